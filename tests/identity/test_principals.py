"""SPIFFE ids are written and read exactly as the specification has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import Invalid
from watchkeeper.identity.principals import read_principal, spiffe_id, split_spiffe_id

SEGMENT = st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True).filter(
    lambda text: text not in (".", "..")
)
DOMAIN = st.from_regex(r"[a-z0-9._-]{1,40}", fullmatch=True)


@given(
    DOMAIN,
    st.sampled_from(["agent", "run", "person", "workflow"]),
    SEGMENT,
    st.integers(1, 10**9),
)
def test_what_is_written_is_read_again(domain: str, kind: str, name: str, version: int) -> None:
    number = version if kind == "agent" else None
    text = spiffe_id(domain, kind, name, number)  # type: ignore[arg-type]
    found = read_principal(text, domain)
    assert (found.kind, found.name, found.version) == (kind, name, number)
    assert str(found) == text
    with pytest.raises(Invalid):
        read_principal(text, domain + "x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spiffe://",
        "SPIFFE://local/agent/a",
        "spiffe:///agent/a",
        "spiffe://Local/agent/a",
        "spiffe://local:8443/agent/a",
        "spiffe://user@local/agent/a",
        "spiffe://local/agent/a/",
        "spiffe://local//agent/a",
        "spiffe://local/agent/../person/a",
        "spiffe://local/agent/%61",
        "spiffe://local/agent/a?x=1",
        "spiffe://local/agent/a#x",
        "spiffe://local/agent/ä",
        "spiffe://local/agent/a\n",
        "https://local/agent/a",
        "spiffe://local/agent/" + "a" * 2048,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        split_spiffe_id(text)


@pytest.mark.parametrize("path", ["", "agent", "agent/a/version/01", "agent/a/b", "team/a", "run"])
def test_a_path_that_names_nobody_is_refused(path: str) -> None:
    with pytest.raises(Invalid):
        read_principal(f"spiffe://local/{path}", "local")
