"""Which channels are taken."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import Invalid
from watchkeeper.notices.kinds import KINDS, check_url


@pytest.mark.parametrize(
    "url",
    [
        "mailtos://watch:secret@mail.example?to=ada@example.org",
        "ntfys://ntfy.example/on-call",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "pagerduty://A1BRTD4JD@TIiajkdnlazkcOXrIdevi7FQ",
        "JSONS://hooks.example/x?redirect=yes&verify=yes",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#on-call",
    ],
)
def test_what_goes_to_people_over_the_network_is_taken(url: str) -> None:
    assert check_url(url, allow_private=False) in KINDS


@pytest.mark.parametrize(
    "scheme",
    ["syslog", "rsyslog", "dbus", "kde", "glib", "qt", "gnome", "macosx", "windows", "blink1",
     "file", "exec", "mqtt", "irc", "smpp", "apprise", "vapid", "http", "https"],
)  # fmt: skip
def test_what_stays_on_this_machine_or_goes_anywhere_is_not(scheme: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_url(f"{scheme}://planted-canary", allow_private=True)
    assert refused.value.rule == "notice/kind"
    assert "planted-canary" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "planted-canary",
        "json://host/planted-canary with space",
        "mailto://h?pgpprv=/planted-canary",
        "mailto://h?-PGP=sign&planted-canary",
        "json://h?verify=no&planted-canary",
        "json://h?verify=&planted-canary",
        "json://h?%20Verify=-1&planted-canary",
        "json://h?planted-canary;verify=no",
        "json://h/#?verify=no&planted-canary",
        "slack://a/b/c/#?template=/planted-canary",
        "slack://a/b/c?x=%3F&amp;te%6Dplate=/planted-canary",
        "json://[planted-canary",
        "json://h/" + "planted-canary" * 200,
    ],
)
def test_a_refusal_says_why_and_quotes_nothing(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_url(url, allow_private=False)
    assert "planted-canary" not in str(refused.value)
    assert refused.value.rule == "notice/url"


@given(st.text(max_size=60))
def test_any_text_is_judged(url: str) -> None:
    try:
        assert check_url(url, allow_private=False) in KINDS
    except Invalid as error:
        assert error.rule in ("notice/url", "notice/kind")


def test_the_library_knows_every_kind() -> None:
    importlib.import_module("apprise")
    manager: Any = importlib.import_module("apprise.manager_plugins").NotificationManager
    assert set(KINDS) <= set(manager().schemas())
