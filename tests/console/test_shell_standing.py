"""The console stands: through loss, floods, configuration and restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.memory import items, memory_console
from tests.console.operator import Operator, at_work
from watchkeeper.console.configuration import Configuration
from watchkeeper.core.errors import Invalid


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


async def test_a_plane_that_is_down_at_first_is_waited_for(tmp_path: Path) -> None:
    console = memory_console(items(3), tmp_path)
    console.plane.lost = True
    async with console.run_test(size=(80, 24)) as pilot:
        ada = Operator(console, pilot)
        await ada.see("✗ LOST")
        console.plane.lost = False
        await ada.see("1/3", "staging")
