"""What counts as the switch file being there: all but its plain absence."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.deadline import eventually_async
from tests.rig.stores import sqlite_url
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Forbidden
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.kill.targets import check_target
from watchkeeper.decide.service import Decider
from watchkeeper.kill.model import LockTarget
from watchkeeper.plane.switch import Switch
from watchkeeper.store.store import Store


class FailingOnce(KillSwitch):
    """Fails at first, as by a fault of its own."""

    failed = False

    async def lock(self, *args: Any, **more: Any) -> Any:
        """Fail the first time."""
        if not self.failed:
            self.failed = True
            raise RuntimeError("no error of ours")
        return await super().lock(*args, **more)


@pytest.fixture
async def decider(tmp_path: Path) -> AsyncIterator[Decider]:
    async with await Store.open(sqlite_url(tmp_path), RehearsalClock(frozen=True)) as store:
        yield Decider(store, CatalogueView(build_catalogue({})))


async def test_only_a_plain_absence_stops_nothing(decider: Decider, tmp_path: Path) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    file = directory / "STOP"
    switch = Switch(file, decider, KillSwitch(decider))
    assert switch.look() is None
    decider.check_switch()

    file.write_bytes(b"loops \x1b[2J\xff")
    said = switch.look()
    assert said is not None
    assert said.startswith("loops ")
    assert "\x1b" not in said
    with pytest.raises(Forbidden, match="loops"):
        decider.check_switch()
    file.unlink()
    assert switch.look() is None

    file.symlink_to(directory / "nowhere")
    assert switch.look()
    file.unlink()
    os.mkfifo(file)  # a pipe without another end keeps nobody waiting
    assert switch.look()
    file.unlink()
    file.mkdir()
    assert switch.look()
    file.rmdir()
    directory.rmdir()
    assert switch.look()


async def test_a_version_is_locked_under_the_one_name_that_it_has(decider: Decider) -> None:
    catalogue = decider.catalogue.now
    locked = check_target(LockTarget("version", "clerk@007"), catalogue)
    assert locked == LockTarget("version", "clerk@7")


async def test_the_lock_is_tried_again_whatever_goes_wrong(
    decider: Decider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchkeeper.plane.switch._AGAIN_SECONDS", 0.01)
    kill = FailingOnce(decider)
    (tmp_path / "STOP").write_text("loops")
    switch = Switch(tmp_path / "STOP", decider, kill)
    await switch.start()

    async def locked() -> bool:
        return [one.mode for one in decider.locks] == ["stop"]

    await eventually_async(locked, "everything is locked")
    assert kill.failed
    await switch.stop()
