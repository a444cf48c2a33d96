"""Operators at work: real keys on the real screen, over lists in memory and time that is driven."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.console.memory import MemoryConsole, MemoryPlane, items, memory_console
from tests.rig.deadline import eventually_async
from watchkeeper.console.configuration import Configuration
from watchkeeper.console.dialog import GUARD_SECONDS, Dialog
from watchkeeper.core.errors import Invalid


class Operator:
    """Presses keys and reads the screen."""

    def __init__(self, console: MemoryConsole, pilot: Pilot[int]) -> None:
        self.console = console
        self.pilot = pilot

    @property
    def plane(self) -> MemoryPlane:
        return self.console.plane

    @property
    def screen(self) -> str:
        return "\n".join(line.rstrip() for line in self.console.stage.text_lines())

    @property
    def current(self) -> str | None:
        return self.console.pane.window.current_id

    @property
    def foot(self) -> str:
        return self.console.stage.text_lines()[-2]

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        await self.press(*("space" if letter == " " else letter for letter in text))

    async def pass_time(self, seconds: float) -> None:
        """Let the clock go on in quarter seconds, as the console's timer would."""
        for _ in range(max(1, round(seconds * 4))):
            self.console.steady.now += 0.25
            self.console.pulse.tick()
            await self.pilot.pause()

    async def see(self, *texts: str) -> str:
        async def look() -> str | None:
            self.console.steady.now += 0.25
            self.console.pulse.tick()
            await self.pilot.pause()
            screen = self.screen
            return screen if all(text in screen for text in texts) else None

        try:
            return await eventually_async(look, f"screen shows {texts!r}")
        except AssertionError:
            raise AssertionError(f"never shown: {texts!r}; it shows:\n{self.screen}") from None

    async def until(self, condition: Callable[[], object]) -> None:
        async def look() -> bool:
            self.console.steady.now += 0.25
            self.console.pulse.tick()
            await self.pilot.pause()
            return bool(condition())

        await eventually_async(look, "the condition holds")


@asynccontextmanager
async def at_work(
    tmp_path: Path, rows: int = 60, size: tuple[int, int] = (80, 24), **named: object
) -> AsyncIterator[Operator]:
    console = memory_console(items(rows), tmp_path, **named)  # type: ignore[arg-type]
    async with console.run_test(size=size, notifications=True) as pilot:
        operator = Operator(console, pilot)
        if rows:
            await operator.see(f"1/{rows:,}")
        yield operator


async def test_the_first_screen_has_its_frame(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        lines = (await ada.see("staging", "ada (responder)", "$41.20/h")).split("\n")
        assert lines[0].startswith(" staging")
        assert lines[0].rstrip().endswith("Z")
        assert lines[1].startswith(" 1 Approvals")
        assert set(lines[2]) == {"━", "─"}
        assert lines[3].split() == ["LEFT", "RISK", "ASKS", "OBJECT", "ID", "STATE"]
        assert all("level" in line for line in lines[4:22])
        assert lines[22].startswith("─")
        assert "1/60" in lines[22]
        assert "a approve" in lines[23]
        assert "? keys" in lines[23]


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        (["j", "j"], 2), (["down", "down", "up"], 1), (["G"], 59), (["end"], 59),
        (["G", "g"], 0), (["G", "home"], 0), (["ctrl+f"], 17), (["pagedown", "pagedown"], 34),
        (["G", "ctrl+b"], 42), (["G", "pageup"], 42), (["ctrl+d"], 8), (["G", "ctrl+u"], 51),
        (["j", "k", "k", "k"], 0),
    ],
)  # fmt: skip
async def test_every_way_to_move(tmp_path: Path, keys: list[str], place: int) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press(*keys)
        assert ada.console.pane.window.cursor == place
        assert f"{place + 1}/60" in ada.foot
        marked = [line for line in ada.console.stage.text_lines() if line.startswith("▸")]
        assert len(marked) == 1


async def test_a_long_list_is_read_as_the_cursor_reaches_its_end(tmp_path: Path) -> None:
    async with at_work(tmp_path, rows=1000) as ada:
        assert len(ada.console.pane.window) == 64
        await ada.press("G")
        await ada.until(lambda: len(ada.console.pane.window) == 128)
        assert "64/1,000" in ada.foot


async def test_filter_narrows_is_seen_and_clears(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("slash")
        await ada.type("cloud")
        await ada.press("enter")
        screen = await ada.see("filter: cloud", "1/15")
        assert "refund-assistant" not in screen
        await ada.press("escape")
        screen = await ada.see("3/60")
        assert "filter:" not in screen
        assert ada.current == "req_00002", "the cursor stays on its row"


async def test_esc_while_typing_a_filter_clears_it(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("slash")
        await ada.type("fraud")
        await ada.see("/fraud")
        await ada.press("escape")
        await ada.see("4/60", "a approve")


async def test_a_filter_that_matches_nothing_says_so(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("slash")
        await ada.type("zzz")
        await ada.press("enter")
        await ada.see("Nothing matches the filter")


async def test_an_empty_list_says_what_it_means(tmp_path: Path) -> None:
    async with at_work(tmp_path, rows=0) as ada:
        await ada.see("Nothing waits for a decision.")
        await ada.press("enter", "y", "space", "j", "G")
        await ada.see("there is nothing to copy")


async def test_commands_complete_and_name_the_nearest(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("colon")
        await ada.type("fl")
        await ada.press("tab", "enter")
        await ada.until(lambda: ada.console.pane.key == "fleet")
        await ada.press("colon")
        await ada.type("approvls")
        await ada.press("enter")
        await ada.see("no command 'approvls'", "did you mean approvals?")
        await ada.press("colon", "up", "up", "enter")
        assert ada.console.pane.key == "fleet"


async def test_help_lists_every_key_that_works_and_no_other(tmp_path: Path) -> None:
    async with at_work(tmp_path, size=(100, 200)) as ada:
        await ada.press("question_mark")
        screen = await ada.see("Keys in Approvals", "approve", "Lets it happen.")
        active = ada.console.registry.active("approvals", "list")
        for action in active:
            assert action.title in screen, action.id
        assert "not now: nobody" in screen
        await ada.press("q")
        await ada.until(lambda: not ada.console.stage.overlays)
        listed = {key for action in active for key in action.keys}
        for key in "bcdfhilmnoswzABCDEFHIJKLMNOPQRSTUVWXZ":
            assert (ada.console.registry.for_key(key, "approvals", "list") is None) == (
                key not in listed
            )


async def test_the_palette_finds_by_letters(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("ctrl+p")
        await ada.type("clock")
        await ada.see("What to do", "▸ clock times")
        await ada.press("enter")
        await ada.until(lambda: ada.console.absolute)


async def test_a_detail_opens_scrolls_and_closes_one_layer_at_a_time(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("j", "enter")
        await ada.see("What will happen", "q back")
        await ada.press("J")
        assert ada.current == "req_00002"
        await ada.press("K", "escape")
        await ada.see("2/60", "/ filter")
        await ada.press("enter", "backspace")
        await ada.see("2/60")
        await ada.press("escape", "escape")
        assert ada.console.is_running


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (119, 30), (120, 30), (200, 50)])
async def test_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    async with at_work(tmp_path, size=size) as ada:
        screen = await ada.see("LEFT", "a approve")
        assert ("What will happen" in screen) == (size[0] >= 120)
        assert all(len(line) <= size[0] for line in screen.splitlines())
        if size[0] >= 120:
            await ada.see("What will happen", "In the agent's own words")


async def test_resizing_keeps_everything_and_a_tiny_screen_says_so(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("j", "j", "space")
        for width, height in ((39, 24), (10, 3), (1, 1), (160, 48), (60, 20)):
            await ada.pilot.resize_terminal(width, height)
            await ada.pilot.pause()
        await ada.see("1 marked", "4/60")
        await ada.pilot.resize_terminal(38, 9)
        await ada.see("This screen is 38×9.")
        await ada.pilot.resize_terminal(80, 24)
        await ada.see("4/60", "a approve")


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


async def test_a_lost_plane_is_told_once_and_reading_goes_on(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        ada.plane.lost = True
        ada.plane.say()
        await ada.see("✗ LOST", "the plane does not answer")
        await ada.pass_time(15)
        assert "does not answer" not in ada.foot, "it is said once, then the header keeps saying it"
        await ada.press("a")
        await ada.see("approve: the plane does not answer")
        await ada.press("j", "j")
        assert ada.current == "req_00002"
        ada.plane.lost = False
        await ada.until(lambda: ada.console.offline is None)
        await ada.see("2 locks")
        assert "LOST" not in ada.screen


async def test_refresh_can_be_paused_and_the_age_is_told(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.press("p")
        reads = ada.plane.reads
        ada.plane.say()
        await ada.pass_time(5)
        assert ada.plane.reads == reads
        assert "‖ paused 00:0" in ada.screen
        await ada.press("p")
        await ada.until(lambda: ada.plane.reads > reads)


async def test_nobody_looking_slows_it_down(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        ada.console.on_app_blur()
        await ada.pass_time(5)
        reads = ada.plane.reads
        for _ in range(40):
            ada.plane.say()
            await ada.pass_time(0.25)
        assert ada.plane.reads - reads <= 3
        ada.console.on_app_focus()
        await ada.until(lambda: ada.plane.reads > reads)


async def test_events_of_other_kinds_read_nothing(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        reads = ada.plane.reads
        for _ in range(50):
            ada.plane.say("run.opened")
        await ada.pass_time(3)
        assert ada.plane.reads == reads


async def test_a_flood_of_events_is_read_twice_a_second(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        reads = ada.plane.reads
        for _ in range(12):
            for _ in range(50):
                ada.plane.say()
            await ada.pass_time(0.25)
        assert 1 <= ada.plane.reads - reads <= 8


async def test_missing_too_much_reads_everything_again(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        reads = ada.plane.reads
        ada.plane.resync()
        await ada.until(lambda: ada.plane.reads > reads)
        assert ada.console.panes[1].dirty


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


async def test_the_next_start_is_where_this_one_ended(tmp_path: Path) -> None:
    from watchkeeper.console.place import read_place

    async with at_work(tmp_path) as ada:
        await ada.press("2")
        await ada.see("━━━━━━━")
        await ada.press("j", "j", "j", "q")
    async with at_work(tmp_path, rows=0) as ada:
        place = read_place(tmp_path)
    assert place.pane == "fleet"
    assert place.row == "req_00003"
    console = memory_console(items(60), tmp_path, place=place)
    async with console.run_test(size=(80, 24)) as pilot:
        ada = Operator(console, pilot)
        await ada.see("4/60")
        assert console.pane.key == "fleet"
    assert (tmp_path / "console.json").stat().st_mode & 0o777 == 0o600


async def test_read_only_leaves_nothing_that_changes_anything(tmp_path: Path) -> None:
    async with at_work(tmp_path, configuration=Configuration(read_only=True)) as ada:
        assert not [action for action in ada.console.registry if action.sends]
        assert "approve" not in ada.screen
        await ada.press("a", "x")
        await ada.pass_time(6)
        assert not ada.plane.decided


async def test_a_key_map_is_followed_and_checked(tmp_path: Path) -> None:
    keys = Configuration(keymap={"approvals.approve": ("A",)})
    async with at_work(tmp_path, configuration=keys) as ada:
        assert "A approve" in ada.screen
        await ada.press("A")
        await ada.see("approving req_00000")
    with pytest.raises(Invalid, match="unknown action"):
        memory_console([], tmp_path, configuration=Configuration(keymap={"no.such": ("z",)}))


async def test_defaults_keep_clear_of_the_keys_of_terminals(tmp_path: Path) -> None:
    console = memory_console([], tmp_path)
    taken = {"ctrl+a", "ctrl+b", "ctrl+s", "ctrl+q", "ctrl+z"}
    for action in console.registry:
        if action.keys and action.id != "console.suspend":
            usable = [
                key
                for key in action.keys
                if key not in taken
                and "alt+" not in key
                and not (key[0] == "f" and key[1:].isdigit())
            ]
            assert usable, action.id


async def test_production_differs_by_word_and_frame(tmp_path: Path) -> None:
    console = memory_console(items(3), tmp_path)
    console.plane.environment = "prod-eu"
    async with console.run_test(size=(80, 24)) as pilot:
        screen = await Operator(console, pilot).see("PROD-EU !", "ada")
        assert "═" in screen.splitlines()[2]


async def test_ascii_only(tmp_path: Path) -> None:
    async with at_work(tmp_path, configuration=Configuration(ascii=True)) as ada:
        await ada.press("space", "x")
        screen = await ada.see("Reject this?")
        assert screen.isascii()


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


async def test_a_bug_ends_it_with_a_short_message_and_a_private_log(tmp_path: Path) -> None:
    secret = "wkr_planted-canary"

    def boom() -> None:
        token = secret
        raise RuntimeError(f"{token}\x1b[2J")

    console = memory_console(items(3), tmp_path)

    async def use() -> None:
        async with console.run_test() as pilot:
            console.call_later(boom)
            await pilot.pause()

    with pytest.raises(RuntimeError):
        await use()
    (log,) = tmp_path.glob("crash_*.log")
    assert log.stat().st_mode & 0o777 == 0o600
    text = log.read_text()
    assert "RuntimeError" in text
    assert "\x1b" not in text
    assert console.return_code == 1


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


async def test_a_detail_never_turns_into_another_row(tmp_path: Path) -> None:
    """What is read is what is decided: a row that is decided elsewhere stays on the screen."""
    async with at_work(tmp_path) as ada:
        await ada.press("enter")
        await ada.see("What will happen", "refund $5.00")
        ada.plane.rows = ada.plane.rows[1:]
        ada.plane.say()
        reads = ada.plane.reads
        await ada.until(lambda: ada.plane.reads > reads)
        assert "refund $5.00" in ada.screen
        assert ada.current == "req_00000"
        await ada.press("q")
        await ada.see("1/59", "is gone; this is the next one")


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


async def test_the_mouse_works_when_it_is_wanted(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.pilot.click("#table", offset=(10, 5))
        await ada.see("6/60")


async def test_a_plane_that_is_down_at_first_is_waited_for(tmp_path: Path) -> None:
    console = memory_console(items(3), tmp_path)
    console.plane.lost = True
    async with console.run_test(size=(80, 24)) as pilot:
        ada = Operator(console, pilot)
        await ada.see("✗ LOST")
        console.plane.lost = False
        await ada.see("1/3", "staging")
