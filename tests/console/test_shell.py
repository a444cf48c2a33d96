"""The console is read: moving, filtering, commands, details and sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.operator import at_work


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


async def test_the_mouse_works_when_it_is_wanted(tmp_path: Path) -> None:
    async with at_work(tmp_path) as ada:
        await ada.pilot.click("#table", offset=(10, 5))
        await ada.see("6/60")
