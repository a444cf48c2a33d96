"""The lines around the list, what is typed, and what reaches beyond the screen."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from watchkeeper.console.actions import HELP_ACTION, Action
from watchkeeper.console.blocks import lay_out_blocks, text_of
from watchkeeper.console.chooser import Choice, rank
from watchkeeper.console.editor import Editor, History
from watchkeeper.console.frame import (
    Tab,
    header_row,
    key_row,
    rule_row,
    state_spans,
    tab_rows,
    too_small_rows,
)
from watchkeeper.console.guides import guide_blocks, help_blocks
from watchkeeper.console.painting import Span, span
from watchkeeper.console.place import Place, read_place, write_place
from watchkeeper.console.prompt import Prompt
from watchkeeper.console.refresh import Refresh
from watchkeeper.console.terminal import (
    LARGEST_COPY,
    call_sequence,
    copy_command,
    copy_sequence,
    title_sequence,
    wrap_for_tmux,
)
from watchkeeper.console.waiting import Waiting, WaitingRoom
from watchkeeper.core.errors import TooLarge
from watchkeeper.core.text import cell_width
from watchkeeper.wire.plane import Me, Status


def status(**changed: object) -> Status:
    held = Status(
        environment="staging", plane="plane-1", version="0.1.0",
        me=Me(person="ada", roles=("finance-ops", "legal"), permission="responder", via="socket"),
        now=0, sequence=0, locks=2, waiting=7, pending=9, late=1, spend_hour_micros=41_200_000,
        agents=9, open_runs=4,
    )  # fmt: skip
    return held.model_copy(update=changed)


def text(row: tuple[Span, ...]) -> str:
    return "".join(part.text for part in row)


# The header


@pytest.mark.parametrize("width", [200, 110, 70, 60, 50, 40])
def test_where_and_who_i_am_is_on_every_screen(width: int) -> None:
    shown = text(header_row(status(), [], width))
    assert cell_width(shown) <= width
    assert "staging" in shown
    assert "ada" in shown


def test_the_header_says_what_is_wrong() -> None:
    shown = text(
        header_row(status(store="unavailable", upstreams_down=("a", "b"), rehearsal=True), [], 160)
    )
    for words in (
        "STORE DOWN",
        "2 upstreams down",
        "rehearsal",
        "2 locks",
        "7 for you",
        "(1 late)",
    ):
        assert words in shown


def test_production_is_a_word() -> None:
    assert "PROD-EU !" in text(header_row(status(environment="prod-eu"), [], 100))


def test_hostile_names_in_the_header_are_written_out() -> None:
    shown = text(header_row(status(environment="a\x1b[2Jb"), [], 100))
    assert "\x1b" not in shown
    assert "␛[2J" in shown


def test_old_data_is_told() -> None:
    plan = Refresh(lambda: False)
    plan.succeeded(0)
    assert state_spans(plan, None, 5) == []
    plan.paused = True
    assert "paused 00:05" in text(tuple(state_spans(plan, None, 5)))
    for _ in range(4):
        plan.failed()
    assert "STALE 02:00" in text(tuple(state_spans(plan, None, 120)))
    assert "LOST 02:00" in text(tuple(state_spans(plan, "gone", 120)))


@pytest.mark.parametrize("width", [30, 80, 200])
def test_the_rule_under_the_front_pane_is_heavy(width: int) -> None:
    tabs = [Tab("Watch", "3", False), Tab("Approvals", "", True), Tab("Ledger", "", False)]
    line, rule = tab_rows(tabs, width)
    assert cell_width(text(rule)) == max(width, cell_width(text(line)))
    start = text(line).index("2 Approvals")
    assert text(rule)[start : start + 11] == "━" * 11


def test_the_key_line_dims_what_is_not_allowed() -> None:
    def action(name: str, why: str | None) -> Action:
        return Action(name, name, lambda: None, (name[0],), footer=1, why_not=lambda: why)

    row = key_row([action("approve", None), action("reject", "no")], lambda a: a.why_not(), 80)
    tokens = {str(part.text): part.token for part in row}
    assert tokens["approve"] == "text"
    assert tokens["reject"] == "quiet"
    assert cell_width(text(key_row([action("approve", None)] * 20, lambda a: None, 40))) <= 41


def test_the_key_line_keeps_the_key_that_lists_them_all() -> None:
    many = [Action(f"a.{n}", f"action {n}", lambda: None, ("x",), footer=n) for n in range(20)]
    help_ = Action(HELP_ACTION, "keys", lambda: None, ("question_mark",), footer=90)
    said = text(key_row([*many, help_], lambda a: None, 80))
    assert said.endswith("? keys")
    assert "action 0" in said
    assert cell_width(said) <= 80


@pytest.mark.parametrize("width", [20, 40, 80, 160])
def test_the_foot_fits_whatever_it_says(width: int) -> None:
    facts = [span("filter: " + "x" * 50, "accent"), span("3 marked (2 hidden)", "warning")]
    row = rule_row(facts, span("approved " + "y" * 90), "12/7,204", width)
    assert cell_width(text(row)) <= width
    assert "12/7,204" in text(row)


def test_a_screen_too_small_says_so_in_any_size() -> None:
    for width, height in ((39, 24), (1, 1), (80, 9)):
        rows = too_small_rows(width, height)
        assert len(rows) <= height
        assert all(cell_width(text(row)) <= width for row in rows)


# Refresh


def test_refresh_keeps_its_pace() -> None:
    plan = Refresh(lambda: False)
    done = sum(plan.due(tick * 0.1) for tick in range(100))
    assert 19 <= done <= 21
    plan.focused = False
    assert sum(plan.due(10 + tick * 0.1) for tick in range(100)) <= 2


def test_refresh_waits_for_a_slow_terminal() -> None:
    behind = True
    plan = Refresh(lambda: behind)
    assert not any(plan.due(tick * 0.5) for tick in range(10))
    assert plan.skipped == 10
    behind = False
    assert plan.due(5.0)


def test_the_clock_ticks_at_most_once_a_second() -> None:
    plan = Refresh(lambda: False)
    assert sum(plan.clock_due(tick * 0.25) for tick in range(40)) == 10


# Typing


def test_the_line_editor_knows_the_usual_keys() -> None:
    line = Editor("one two")
    for key in ("ctrl+w", "ctrl+w"):
        line.take_key(key, None)
    assert line.text == ""
    for letter in "ac":
        line.take_key(letter, letter)
    line.take_key("left", None)
    line.take_key("b", "b")
    assert line.text == "abc"
    line.take_key("home", None)
    line.take_key("delete", None)
    line.take_key("end", None)
    line.take_key("backspace", None)
    assert line.text == "b"
    assert not line.take_key("f5", None)
    line.insert("x\x1b[2J\r\n\u202ey")
    assert line.text == "bx[2Jy"


def test_the_caret_stays_in_sight() -> None:
    line = Editor("漢字" * 40)
    shown = "".join(part.text for part in line.spans(20))
    assert "▏" in shown
    assert cell_width(shown) <= 20
    line.take_key("home", None)
    assert "".join(part.text for part in line.spans(20)).startswith("▏漢")


def test_history_walks_and_forgets_repeats() -> None:
    history = History(3)
    for words in ("a", "b", "a", "c", "d"):
        history.add(words)
    assert list(history.lines) == ["a", "c", "d"]
    assert [history.walk(-1) for _ in range(4)] == ["d", "c", "a", "a"]
    assert [history.walk(1) for _ in range(3)] == ["c", "d", ""]


def test_the_prompt_completes_in_turn() -> None:
    prompt = Prompt(
        ":", complete=lambda text: [n for n in ("fleet", "filter") if n.startswith(text)]
    )
    prompt.take_key("f", "f")
    for wanted in ("fleet", "filter", "fleet"):
        prompt.take_key("tab", None)
        assert prompt.editor.text == wanted
    prompt.take_key("enter", None)
    assert prompt.outcome == "done"


@pytest.mark.parametrize("keys", [["escape"], ["x", "backspace", "backspace"]])
def test_the_prompt_is_left_by(keys: list[str]) -> None:
    prompt = Prompt("/")
    for key in keys:
        prompt.take_key(key, key if len(key) == 1 else None)
    assert prompt.outcome == "cancelled"


def test_the_palette_ranks_words_before_letters() -> None:
    choices = [Choice("a", "mark all"), Choice("b", "quit"), Choice("c", "clock times", "marks")]
    assert [c.key for c in rank("mark", choices)] == ["a", "c"]
    assert [c.key for c in rank("ct", choices)] == ["c"]
    assert [c.key for c in rank("", choices)] == ["a", "b", "c"]


# Waiting to be sent


async def _nothing() -> None:
    """Send nothing."""


def test_what_waits_goes_once() -> None:
    room = WaitingRoom()
    room.add(Waiting("a", "approving a", 5, _nothing))
    room.add(Waiting("b", "approving b", 6, _nothing))
    assert room.due(4.9) == []
    assert [w.key for w in room.due(5)] == ["a"]
    taken = room.undo()
    assert taken is not None
    assert taken.key == "b"
    assert room.undo() is None
    assert room.flush() == []
    assert not room


def test_a_second_decision_on_the_same_thing_replaces_the_first() -> None:
    room = WaitingRoom()
    room.add(Waiting("a", "approving", 5, _nothing))
    room.add(Waiting("a", "escalating", 9, _nothing))
    assert len(room) == 1
    assert room.due(6) == []


# Beyond the screen

HOSTILE = "x\x07\x1b]52;c;ZXZpbA==\x07;rm -rf\x1b\\\n"


WHOLE = re.compile(r"\x1b\][^\x00-\x1f\x7f-\x9f]*(\x07|\x1b\\)")


@given(st.text(max_size=300).map(lambda text: text + HOSTILE))
@example(HOSTILE)
def test_nothing_from_outside_ends_a_sequence(text: str) -> None:
    calls = {"osc9": (1, 1), "osc777": (1, 3), "osc99": (2, 4)}
    assert WHOLE.fullmatch(title_sequence(text))
    for kind, (count, fields) in calls.items():
        written = call_sequence(kind, text, tmux=False)
        assert len(list(WHOLE.finditer(written))) == count
        assert WHOLE.sub("", written) == "", "nothing is between or after"
        assert written.count(";") == fields, "no field more than ours"
    assert call_sequence("bell", text, tmux=False) == "\x07"


def test_tmux_hands_sequences_on() -> None:
    assert wrap_for_tmux("\x1b]9;a\x07") == "\x1bPtmux;\x1b\x1b]9;a\x07\x1b\\"
    assert call_sequence("bell", "a", tmux=True) == "\x07", "tmux rings by itself"
    assert call_sequence("osc9", "a", tmux=True).startswith("\x1bPtmux;")


def test_the_clipboard_has_a_cap_and_no_controls() -> None:
    coded = copy_sequence("a\x1bb\nc", tmux=False).split(";")[2].rstrip("\x07")
    assert base64.b64decode(coded).decode() == "a␛b\nc"
    with pytest.raises(TooLarge):
        copy_sequence("x" * LARGEST_COPY, tmux=False)


def test_over_ssh_only_the_terminal_copies() -> None:
    assert copy_command({"SSH_CONNECTION": "1", "DISPLAY": ":0"}) is None


# Help, guides, place


def test_help_is_grouped_and_says_why_not() -> None:
    actions = [
        Action("a.go", "go on", lambda: None, ("g",), "Decide", "Goes on."),
        Action("a.no", "no way", lambda: None, (), "Decide", "Never.", why_not=lambda: "too late"),
    ]
    shown = text_of(lay_out_blocks(help_blocks(actions, ["start"], lambda a: a.why_not()), 76))
    assert "Decide ───" in shown
    assert "Goes on." in shown
    assert "not now: too late" in shown
    assert "start" in shown


def test_guides_read_as_text() -> None:
    markdown = "# Start\n\nRun `it` **now**\nand then.\n\n- one\n- two\n\n```\n  code  here\n```\n"
    shown = text_of(lay_out_blocks(guide_blocks(markdown), 40)).split("\n")
    assert shown[0].startswith("Start ───")
    assert "Run it now and then." in shown
    assert "- one" in shown
    assert "│   code  here" in shown


def test_a_place_is_kept_and_a_broken_one_is_forgotten(tmp_path: Path) -> None:
    place = Place("fleet", "late", "req_1")
    assert write_place(tmp_path, place)
    assert read_place(tmp_path) == place
    for broken in ("", "[]", '{"pane": 3}', '{"pane": "' + "x" * 5000 + '"}', "\x00"):
        (tmp_path / "console.json").write_text(broken)
        assert read_place(tmp_path) == Place()
    assert not write_place(tmp_path / "console.json", place)


def test_the_header_says_until_when_i_am_on_call() -> None:
    """With the time of day, the date where that is not within a day, or without an end."""
    hour = 3600 * 1_000_000
    for until, words in ((18 * hour, "on call till 18:00Z"),
                         (42 * hour, "on call till 01-02 18:00Z"), (None, "on call)")):  # fmt: skip
        shown = status(on_call=("sre",), on_call_until=until)
        assert words in text(header_row(shown, [], 110))
        assert "ada" in text(header_row(shown, [], 50))
    assert "on call" not in text(header_row(status(), [], 200))


def test_panes_without_a_key_give_way_before_names_are_no_names_any_more() -> None:
    """At 80 columns the ten with keys keep their names; the rest is counted, and told of."""
    titles = [
        "Watch", "Fleet", "Approvals", "Runs", "Budgets", "Tools", "Policy", "On call",
        "Ledger", "Locks", "Models", "Runtimes", "Incidents",
    ]  # fmt: skip

    def line(front: str, badges: dict[str, str], width: int = 80) -> str:
        tabs = [Tab(title, badges.get(title, ""), title == front) for title in titles]
        return text(tab_rows(tabs, width)[0])

    assert " 2 Fle" in line("Watch", {})
    assert line("Watch", {}).endswith(" : +3 ")
    assert line("Watch", {"Incidents": "1"}).endswith(" : +3! ")
    assert " : Runtimes " in line("Runtimes", {})
    assert line("Runtimes", {}).endswith(" : +2 ")
    assert " : Incidents 1 " in line("Watch", {"Incidents": "1"}, 160)
