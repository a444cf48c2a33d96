"""A supervised process in a plane: its launches are runs of an agent, and locks reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rig.deadline import eventually_async
from tests.rig.stores import sqlite_url
from tests.runtimes.watched import Ground, watching
from watchkeeper.identity.runs import find_run
from watchkeeper.kill.model import LockTarget
from watchkeeper.tools.processes.table import read_table

PROCESS = """
runtime:
  name: nightly
  kind: process
  agents: [{{id: job, agent: clerk}}]
  process:
    command: [sh, -c, 'env > "{told}.new"; mv "{told}.new" "{told}"; while :; do sleep 100; done']
    grace_seconds: 0
"""


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with watching(sqlite_url(tmp_path), directory=tmp_path / "state") as one:
        await one.apply(PROCESS.format(told=tmp_path / "told"))
        yield one


async def launched(ground: Ground) -> tuple[str, str]:
    """Have it started; return its run there, and the run of ours."""
    await ground.poll(name="nightly")
    rows, _ = await ground.runtimes.runs("nightly", standing=None, live=True, after=None, limit=9)
    (row,) = rows
    assert (row.standing, row.agent, row.state) == ("ours", "clerk", "running"), row
    assert row.run is not None
    return row.id, row.run


async def test_each_launch_is_a_run_of_its_agent_that_ends_with_it(
    ground: Ground, tmp_path: Path
) -> None:
    id, ours = await launched(ground)

    async def told() -> bool:
        return (tmp_path / "told").exists()

    await eventually_async(told)
    text = (tmp_path / "told").read_text()
    assert f"WATCHKEEPER_RUN_ID={ours}\n" in text
    assert "WATCHKEEPER_RUN_TOKEN=" in text
    stopped = await ground.runtimes.tell(
        "nightly", id, "stop", now=True, by="person/ada", reason="enough"
    )
    assert stopped.result == "done"
    envelope = await ground.store.read(lambda tx: find_run(tx, ours))
    assert envelope is not None
    assert envelope.state == "failed"
    await ground.poll(seconds=3600, name="nightly")
    rows, _ = await ground.runtimes.runs("nightly", standing=None, live=True, after=None, limit=9)
    assert rows == []


async def test_a_lock_on_its_agent_ends_it_with_all_its_children(ground: Ground) -> None:
    id, _ = await launched(ground)
    result = await ground.runtimes.stops.tell_in(
        "nightly", LockTarget("agent", "clerk"), by="person/ada", why="loops"
    )
    assert result.result == "done", result
    assert not [one for one in read_table().values() if _carries(one.pid, id)]


def _carries(pid: int, id: str) -> bool:
    try:
        return f"WATCHKEEPER_PROCESS={id}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
