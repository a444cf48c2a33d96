"""What messages say, and that nothing in them is more than text."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.notices.model import Notice, Place
from watchkeeper.notices.words import message, plain, trial_of

HERE = Place("prod")
NOW = 1_000 * MICROSECONDS


def refund(request: str = "req_1", **changes: object) -> Notice:
    return Notice(
        **{  # type: ignore[arg-type]
            "why": "created",
            "asks": "Refund $240.00 of ch_9",
            "request": request,
            "agent": "clerk",
            "risk": "high",
            "role": "finance-ops",
            "level": 1,
            "levels": 2,
            "decide_by": NOW + 14 * 60 * MICROSECONDS,
            **changes,
        }
    )


def test_one_request_comes_with_the_commands_that_decide_it() -> None:
    found = message([refund()], HERE, NOW)
    assert found.title == "[high] clerk: Refund $240.00 of ch_9 (prod)"
    assert found.body.splitlines() == [
        "[high] clerk: Refund $240.00 of ch_9",
        "risk high, asks finance-ops, level 1 of 2, 14 min left, until 1970-01-01T00:30:40Z",
        "",
        "watchkeeper requests show req_1",
        "watchkeeper requests approve req_1",
        'watchkeeper requests deny req_1 --reason "…"',
        "or decide it in the console: watchkeeper",
    ]
    assert found.short == (
        "[high] clerk: Refund $240.00 of ch_9 (14 min left): watchkeeper requests show req_1"
    )


def test_a_message_says_who_must_agree_and_gives_commands_that_are_taken() -> None:
    both = "1 of finance-ops and 1 of legal"
    found = message([refund(quorum=both, reason=True)], HERE, NOW)
    assert f"asks finance-ops, {both} must agree, level 1 of 2" in found.body
    assert 'watchkeeper requests approve req_1 --reason "…"' in found.body


def test_commands_lead_to_the_plane_that_people_reach() -> None:
    found = message([refund()], Place("prod", "https://watch.example"), NOW)
    assert "watchkeeper --connect https://watch.example requests approve req_1" in found.body


def test_a_storm_is_one_message_with_counts_and_the_first_due() -> None:
    storm = [refund(f"req_{n}", level=1 + (n < 3)) for n in range(12)]
    storm += [refund("req_x", risk="critical", urgent=True, asks="Drop the table")]
    found = message(storm, HERE, NOW)
    lines = found.body.splitlines()
    head = "13 wait for you, 3 late, 1 critical, 12 high"
    assert lines[0] == f"{head}: watchkeeper requests list"
    assert lines[2] == "[critical] clerk: Drop the table (14 min left)"
    assert found.title == f"{head} (prod)"
    assert len(lines) < 10


def test_what_more_waits_is_counted() -> None:
    found = message([refund()], HERE, NOW, more=8000)
    assert found.body.startswith("8001 wait for you")
    assert found.body.endswith("and 8000 more")


def test_what_reads_the_same_is_one_line_where_it_comes_first() -> None:
    more = [refund(f"req_{n}", asks=f"Refund {n}", decide_by=NOW + n) for n in range(1, 9)]
    alike = refund("req_0", decide_by=NOW, level=2), refund("req_9", decide_by=NOW)
    lines = message([*more, *alike], HERE, NOW).body.splitlines()[2:]
    assert lines[0].startswith("[high] clerk: Refund $240.00 of ch_9")
    assert len(lines) == 6
    assert lines[-1] == "and 4 more"


def test_one_request_told_of_twice_counts_once() -> None:
    found = message([refund(), refund(why="reminded")], HERE, NOW)
    assert found.body.startswith("1 wait for you, 1 high: ")


def test_what_cannot_be_decided_any_more_offers_no_vote() -> None:
    for why in ("expired", "break_glass"):
        found = message([refund(why=why)], HERE, NOW)
        assert "requests show req_1" in found.body
        assert "approve req_1" not in found.body


def test_a_lock_is_told_with_where_to_look() -> None:
    notice = Notice("lock", "kill on agent/clerk by person/ada: it loops", urgent=True)
    found = message([notice], HERE, NOW)
    assert found.body == "kill on agent/clerk by person/ada: it loops\n\nwatchkeeper locks list"


@given(st.text(max_size=400))
def test_what_an_agent_wrote_is_only_text(hostile: str) -> None:
    shown = plain(hostile)
    assert len(shown) <= 200
    assert not any(unicodedata.category(one)[0] == "C" for one in shown)
    assert not re.search(r"[<>@`*\[\]|~\\#\n]|://|www\.|mailto:", shown)


@given(st.text(max_size=300), st.text(max_size=80))
def test_no_words_of_an_agent_become_a_line_of_their_own(asks: str, role: str) -> None:
    quiet = message([refund()], HERE, NOW)
    loud = message([refund(asks=asks, agent=asks, role=role)], HERE, NOW)
    assert len(loud.body.split("\n")) == len(quiet.body.split("\n"))
    assert loud.body.split("\n")[3:] == quiet.body.split("\n")[3:], "the commands are ours"
    assert "\n" not in loud.title + loud.short
    assert len(loud.short) <= 260


def test_a_known_disguise_of_a_link_is_broken() -> None:
    text = "see https://evil.example/x, <!channel>, [ok](javascript:x) and `rm -rf`"
    assert (
        plain(text) == "see https:·//evil.example/x, ‹!channel›, ⦋ok⦌(javascript·:x) and ˋrm -rfˋ"
    )


def test_names_keep_their_underscores_and_nothing_is_slanted() -> None:
    assert plain("books.create_refund _now_ __init__") == "books.create_refund ＿now＿ ＿＿init＿＿"


def test_a_test_says_who_tested() -> None:
    found = trial_of("pager", "person/ada", HERE)
    assert "pager" in found.title
    assert "person/ada tested it" in found.body
