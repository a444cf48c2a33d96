"""Every kind of ledger entry is said in words, whatever its body holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.api.words import say

SOURCE = Path(__file__).resolve().parents[2] / "src" / "watchkeeper"
BODIES = st.dictionaries(
    st.sampled_from(["name", "rule", "reason", "text", "receipts", "cost_micros", "goal", "x"]),
    st.none() | st.text() | st.integers() | st.lists(st.text() | st.lists(st.text())),
)


def test_known_entries_read_well() -> None:
    said = say(
        "decision.denied",
        "agent/clerk",
        "decision/dec_1",
        "clerk",
        {"name": "books.create_refund", "rule": "budget/all/day/spend", "reason": "no room"},
    )
    assert said == "books.create_refund denied by budget/all/day/spend: no room"
    settled = {"name": "books.echo", "status": "failed", "cost_micros": 1_200, "error": "timeout"}
    said = say("outcome.recorded", "agent/clerk", "decision/dec_1", "clerk", settled)
    assert said == "books.echo failed for $0.0012: timeout"
    said = say("tool.applied", "person/ada", "tool/books.echo", None, {"version": 3})
    assert said == "person/ada applied version 3 of tool/books.echo"


def test_every_entry_the_plane_writes_has_words() -> None:
    written: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        written |= set(re.findall(r'record\(\s*(?:tx,\s*row,\s*)?"([a-z]+\.[a-z_]+)"', text))
    assert len(written) > 10
    for type_ in written:
        said = say(type_, "person/ada", "thing/x", "clerk", {})
        assert said
        assert "{" not in said


@given(st.from_regex(r"[a-z]+\.[a-z_]+", fullmatch=True), BODIES)
def test_no_body_breaks_the_words(type_: str, body: dict[str, Any]) -> None:
    assert len(say(type_, "agent/clerk", "run/run_1", None, body)) <= 300


@given(st.text(alphabet="{}abc!r:0[]._", max_size=40))
def test_braces_in_a_body_are_only_text(hostile: str) -> None:
    said = say("decision.denied", "a", "s", "clerk", {"name": hostile, "rule": "r", "reason": "w"})
    assert said.startswith(hostile[:300])
