"""The console acts: votes, marks and dialogs, on what was seen and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path

from tests.console.memory import MemoryConsole, items
from tests.console.operator import at_work
from watchkeeper.console.dialog import GUARD_SECONDS, Dialog


async def test_the_cursor_stays_on_its_row_when_the_list_changes(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("j", "j", "j")
        ada.plane.rows = ada.plane.rows[1:]
        ada.plane.say()
        await ada.see("3/59")
        assert ada.current == "req_00003"
        ada.plane.rows = [row for row in ada.plane.rows if row.id != "req_00003"]
        ada.plane.say()
        await ada.see("is gone; this is the next one")
        assert ada.current == "req_00004"


async def test_nothing_moves_under_an_open_dialog(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("x")
        await ada.see("Reject this?")
        shown = list(ada.console.pane.window.ids)
        ada.plane.rows = [*items(62)[60:], *ada.plane.rows[2:]]
        ada.plane.say()
        await ada.see("2 new")
        assert list(ada.console.pane.window.ids) == shown
        await ada.pass_time(1)
        await ada.press("escape")
        await ada.until(lambda: list(ada.console.pane.window.ids) != shown)
        assert "new" not in ada.foot


async def test_reject_with_a_reason(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("x")
        await ada.see("Reject this?")
        await ada.type("yyy")
        assert "yyy" not in ada.screen, "keys of the first moment are not meant for the dialog"
        ada.console.steady.now += GUARD_SECONDS + 0.01
        await ada.type("no proof")
        await ada.press("enter")
        await ada.see("✓ rejected req_00000")
        assert ada.plane.decided == [("req_00000", "reject", "no proof")]


async def test_a_light_decision_waits_and_can_be_taken_back(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("a")
        await ada.see("u takes back, enter sends: approving req_00000")
        assert not ada.plane.decided
        await ada.press("u")
        await ada.see("taken back")
        await ada.pass_time(8)
        assert not ada.plane.decided
        await ada.press("a")
        await ada.pass_time(6)
        await ada.until(lambda: ada.plane.decided == [("req_00000", "approve", None)])


async def test_enter_sends_at_once_what_waits(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("a")
        await ada.press("enter")
        await ada.until(lambda: len(ada.plane.decided) == 1)
        assert ada.console.layer == "list"


async def test_marks_survive_filters_and_are_counted(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("space", "space", "j", "space")
        await ada.see("3 marked")
        await ada.press("slash")
        await ada.type("cloud")
        await ada.press("enter")
        await ada.see("3 marked (3 hidden)")
        await ada.press("asterisk")
        await ada.see("18 marked (3 hidden)")
        await ada.press("u")
        await ada.until(lambda: not ada.console.pane.window.marks)


async def test_a_range_is_marked_while_moving(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("j", "v", "j", "j", "v", "j")
        assert ada.console.pane.window.marks == {"req_00001", "req_00002", "req_00003"}


async def test_a_disabled_action_stays_and_says_why(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        assert "e escalate" in ada.screen
        await ada.press("e")
        await ada.see("escalate: nobody is above this level")


async def test_quitting_asks_while_something_is_not_sent(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("a", "q")
        await ada.see("Leave without sending?")
        ada.console.steady.now += 1
        await ada.press("enter")
        await ada.until(lambda: not ada.console.stage.overlays)
        assert ada.console.is_running
        await ada.press("u", "q")
        await ada.pilot.pause()
    assert ada.console.return_code == 0
    assert not ada.plane.decided


async def test_pasted_text_presses_no_keys(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        ada.console.take_paste("aaaxxx\nq")
        await ada.pass_time(6)
        assert not ada.plane.decided
        assert ada.console.is_running


async def test_an_objection_of_the_plane_is_shown_and_nothing_breaks(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("a")
        ada.plane.lost = True
        await ada.press("enter")
        await ada.see("nothing listens at plane.sock")
        assert ada.console.is_running


async def test_live_dialogs_read_their_body_again(tmp_path: Path) -> None:
    from watchkeeper.console.blocks import Block, Prose
    from watchkeeper.console.desk import Question

    async with at_work(tmp_path) as ada:
        counted = 0

        async def live() -> list[Block]:
            nonlocal counted
            counted += 1
            return [Prose(f"would stop {counted} runs")]

        question = Question("Stop all of it?", [Prose("counting …")], danger=True, live=live)
        asked: list[Awaitable[object]] = []
        ada.console.run_worker(_keep(asked, ada.console, question))
        await ada.see("would stop 3 runs")
        overlay = ada.console.stage.overlays[-1][0]
        assert isinstance(overlay, Dialog)


async def _keep(asked: list[Awaitable[object]], console: MemoryConsole, question: object) -> None:
    from watchkeeper.console.desk import Question

    assert isinstance(question, Question)
    await console.ask(question)


async def test_nothing_is_sent_for_a_row_that_has_just_come_under_the_cursor(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path) as ada:
        ada.plane.rows = ada.plane.rows[1:]
        ada.plane.say()
        await ada.until(lambda: ada.current == "req_00001")
        ada.console.pulse._moved_at = ada.console.steady.now
        await ada.press("a")
        assert "press again" in ada.foot
        assert not ada.console.waiting
        await ada.pass_time(1)
        await ada.press("a")
        assert ada.console.waiting


async def test_rows_are_marked_while_moving_with_shift(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("J", "J", "shift+up")
        assert ada.console.pane.window.marks == {"req_00000", "req_00001", "req_00002"}
        assert ada.console.pane.window.cursor == 1
