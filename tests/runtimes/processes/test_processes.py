"""Supervised processes: started, found again after the plane was killed, held, and ended whole."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.rig.deadline import eventually, eventually_async
from tests.rig.process import Child, clean_environment
from tests.runtimes.ground import pid_of, speaking_to
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.runtimes.adapters.processes import Processes
from watchkeeper.runtimes.model import RemoteRun
from watchkeeper.runtimes.processes.record import read_record, write_record
from watchkeeper.tools.processes import table
from watchkeeper.tools.processes.table import Process, read_table

Watch = Callable[..., AbstractAsyncContextManager[Processes]]
needs_proc = pytest.mark.skipif(not table.HAS_PROC, reason="what it tells is in /proc")
FOR_EVER = ("sh", "-c", "while :; do sleep 100; done")


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    """Supervise a command in a directory of the test; whatever it left is ended with the test."""
    place = tmp_path / "state"

    @asynccontextmanager
    async def open_it(*command: str, clock: Any = None, **more: Any) -> AsyncIterator[Processes]:
        process = {"command": command, "grace_seconds": 0, **more}
        async with speaking_to(None, "process", place, clock=clock, process=process) as adapter:
            assert isinstance(adapter, Processes)
            yield adapter

    yield open_it
    if (place / "launches.json").exists():
        ids = {launch.id for launch in read_record(place).launches}
        for one in read_table().values():
            if any(table._carries(one.pid, id) for id in ids):
                os.kill(one.pid, signal.SIGKILL)


async def running(adapter: Processes) -> RemoteRun:
    await adapter.information()
    (run,) = (await adapter.list_runs()).runs
    assert run.state == "running"
    return run


def living(pid: int) -> Process | None:
    return read_table().get(pid)


async def test_it_is_started_with_what_its_document_says_and_little_else(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANE_SECRET", "hunter2")
    told = tmp_path / "told"
    program = f'env > "{told}.new"; pwd >> "{told}.new"; mv "{told}.new" "{told}"; exec sleep 100'
    more = {"environment": {"PLACE": "here"}, "directory": str(tmp_path)}
    async with watch("sh", "-c", program, **more) as adapter:
        run = await running(adapter)
        eventually(told.exists)
        text = told.read_text()
        assert f"WATCHKEEPER_PROCESS={run.id}\n" in text
        assert "PLACE=here\n" in text
        assert f"{tmp_path}\n" in text
        assert "hunter2" not in text
        assert (await adapter.discover())[0].id == run.offered == "there"
    assert not living(pid_of(run))


async def test_a_stop_leaves_none_of_its_children_and_is_for_good(
    watch: Watch, tmp_path: Path
) -> None:
    children = tmp_path / "children"
    stubborn = (
        "trap '' TERM; sleep 100 & echo $! >> children; "
        "sh -c 'trap \"\" TERM; echo $$ >> children; while :; do sleep 1; done' & wait; wait"
    )
    async with watch("sh", "-c", stubborn, directory=str(tmp_path)) as adapter:
        run = await running(adapter)
        eventually(lambda: children.exists() and len(children.read_text().split()) == 2)
        pids = [int(pid) for pid in children.read_text().split()]
        assert all(living(pid) for pid in pids)
        stopped = await adapter.stop(run, now=False)
        assert (stopped.result, stopped.state) == ("done", "stopped"), stopped
        assert not any(living(pid) for pid in (*pids, pid_of(run)))
        assert (await adapter.stop(run, now=True)).result == "already done"
        assert (await adapter.list_runs()).runs == ()
        after = await adapter.inspect(run)
        assert after is not None
        assert after.state == "stopped"
    async with watch("sh", "-c", stubborn, directory=str(tmp_path)) as adapter:
        await adapter.information()
        assert (await adapter.list_runs()).runs == ()
        await adapter.supervisor.start()
        assert (await running(adapter)).id != run.id
    async with watch(*FOR_EVER) as adapter:
        await running(adapter)  # another command is another thing to run


@needs_proc
async def test_a_child_that_went_its_own_way_is_ended_too(watch: Watch, tmp_path: Path) -> None:
    own = tmp_path / "own"
    program = (
        "import os, signal, time\n"
        "if not os.fork():\n"
        "    os.setsid()\n"
        "    if not os.fork():\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"        open({str(own)!r}, 'w').write(str(os.getpid()))\n"
        "        time.sleep(100)\n"
        "    os._exit(0)\n"
    )
    async with watch(sys.executable, "-c", program) as adapter:
        run = await running(adapter)
        eventually(lambda: own.exists() and own.read_text())
        pid = int(own.read_text())
        eventually(lambda: not living(pid_of(run)))
        (left,) = (await adapter.list_runs()).runs
        assert left.state == "running"
        assert "1 process left of it" in left.said
        strayed = living(pid)
        assert strayed is not None
        assert pid_of(run) not in (strayed.group, strayed.session)
        assert (await adapter.stop(run, now=True)).result == "done"
        assert not living(pid)


async def test_it_is_asked_first_and_has_its_grace(watch: Watch, tmp_path: Path) -> None:
    said = tmp_path / "said"
    program = f"""
        trap 'echo bye > "{said}"; exit 3' TERM
        echo > "{said}.ready"
        while :; do sleep 0.05; done
    """
    async with watch("sh", "-c", program, grace_seconds=60) as adapter:
        run = await running(adapter)
        eventually(Path(f"{said}.ready").exists)
        assert (await adapter.stop(run, now=False)).result == "done"
        assert said.read_text() == "bye\n"
        after = await adapter.inspect(run)
        assert after is not None
        assert (after.state, after.said) == ("stopped", "ended with exit code 3")


async def test_one_in_its_grace_is_unconfirmed_and_can_be_hurried(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchkeeper.runtimes.adapters.processes.WAIT_SECONDS", 0.1)
    deaf = f"trap '' TERM; echo > '{tmp_path}/deaf'; while :; do sleep 0.05; done"
    async with watch("sh", "-c", deaf, grace_seconds=60) as adapter:
        run = await running(adapter)
        eventually((tmp_path / "deaf").exists)
        stopped = await adapter.stop(run, now=False)
        assert stopped.result == "unconfirmed"
        assert "is killed after 60 s" in stopped.detail
        assert living(pid_of(run))
        monkeypatch.setattr("watchkeeper.runtimes.adapters.processes.WAIT_SECONDS", 60)
        assert (await adapter.stop(run, now=True)).result == "done"
        assert not living(pid_of(run))


async def test_what_is_held_does_nothing_and_is_not_let_go_on_to_end(
    watch: Watch, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    program = f"trap 'echo bye > \"{said}\"; exit' TERM; sleep 100 & while :; do sleep 0.05; done"
    async with watch("sh", "-c", program, grace_seconds=60) as adapter:
        run = await running(adapter)
        held = await adapter.pause(run)
        assert (held.result, held.state) == ("done", "paused"), held
        assert (await adapter.pause(run)).result == "done"
        (paused,) = (await adapter.list_runs()).runs
        assert paused.state == "paused"
        assert (await adapter.resume(run)).state == "running"
        assert (await adapter.pause(run)).state == "paused"
        assert (await adapter.stop(run, now=False)).result == "done"
        assert not said.exists()
        assert (await adapter.pause(run)).result == "already done"


async def test_a_plane_that_was_killed_finds_its_process_again(
    watch: Watch, tmp_path: Path
) -> None:
    ready = tmp_path / "ready.json"
    plane = Child.python(
        "-m",
        "tests.runtimes.processes.doomed",
        str(tmp_path / "state"),
        str(ready),
        log=tmp_path / "plane.out",
        env=clean_environment(tmp_path),
    )
    found = plane.wait_for_file(ready)
    plane.process.kill()
    plane.wait()
    assert living(found["process"])
    async with watch(*FOR_EVER) as adapter:
        run = await running(adapter)
        assert run.id == found["run"]
        assert pid_of(run) == found["process"]
        assert (await adapter.stop(run, now=True)).result == "done"
    assert not living(found["process"])


async def test_a_plane_that_was_killed_before_it_wrote_leaves_nothing(tmp_path: Path) -> None:
    said = tmp_path / "said"
    child = Child.python(
        "-m",
        "tests.runtimes.processes.doomed",
        str(tmp_path / "state"),
        str(tmp_path / "ready.json"),
        str(said),
        log=tmp_path / "plane.out",
        env=clean_environment(tmp_path),
    )
    gate = int(child.wait_for_file(tmp_path / "ready.json")["process"])
    child.process.kill()
    child.wait()
    eventually(lambda: not living(gate))
    assert not said.exists()


async def test_a_number_that_another_process_has_now_is_left_alone(
    watch: Watch, tmp_path: Path
) -> None:
    async with watch(*FOR_EVER) as adapter:
        await adapter.stop(await running(adapter), now=True)
    innocent = Child(["sleep", "100"], log=tmp_path / "innocent.out", env=os.environ)
    try:
        record = read_record(tmp_path / "state")
        launch = record.launches[-1]
        launch.pid, launch.ended_at, launch.told = innocent.pid, None, False
        launch.code = None
        launch.known = [launch.leader]
        write_record(tmp_path / "state", record)
        async with watch(*FOR_EVER) as adapter:
            run = RemoteRun(launch.id, "running")
            stopped = await adapter.stop(run, now=True)
            assert (stopped.result, stopped.state) == ("already done", "unknown")
            await adapter.stop_all()
        assert innocent.running
    finally:
        innocent.kill()


async def test_what_fails_is_started_again_ever_later(watch: Watch) -> None:
    clock = RehearsalClock(frozen=True)
    async with watch("sh", "-c", "exit 7", clock=clock, restart="on failure") as adapter:

        async def failed() -> bool:
            record, alive = await adapter.supervisor.tend(start=True)
            return not alive and record.launches[-1].ended_at is not None

        for wait in (2, 4, 8):
            await eventually_async(failed)
            record, _ = await adapter.supervisor.tend(start=True)
            latest = record.launches[-1]
            assert (latest.code, latest.ended_state()) == (7, "failed")
            clock.advance(wait - 1)
            assert (await adapter.supervisor.tend(start=True))[0].launches[-1].id == latest.id
            clock.advance(1)
            assert (await adapter.supervisor.tend(start=True))[0].launches[-1].id != latest.id


async def test_what_fails_is_not_started_again_once_it_was_stopped(watch: Watch) -> None:
    clock = RehearsalClock(frozen=True)
    async with watch("sh", "-c", "exit 7", clock=clock, restart="on failure") as adapter:
        run = (await adapter.supervisor.tend(start=True))[0].launches[-1]

        async def failed() -> bool:
            found = await adapter.inspect(RemoteRun(run.id, "running"))
            return found is not None and found.state == "failed"

        await eventually_async(failed)
        stopped = await adapter.stop(RemoteRun(run.id, "running"), now=True)
        assert stopped.result == "already done"
        clock.advance(3600)
        assert len((await adapter.supervisor.tend(start=True))[0].launches) == 1


@pytest.mark.parametrize(("restart", "code"), [("never", 1), ("on failure", 0)])
async def test_what_ended_as_it_should_is_not_started_again(
    watch: Watch, restart: str, code: int
) -> None:
    clock = RehearsalClock(frozen=True)
    async with watch("sh", "-c", f"exit {code}", clock=clock, restart=restart) as adapter:
        run = (await adapter.supervisor.tend(start=True))[0].launches[-1]

        async def ended() -> bool:
            await adapter.information()
            return not (await adapter.list_runs()).runs

        await eventually_async(ended)
        clock.advance(3600)
        record, alive = await adapter.supervisor.tend(start=True)
        assert ([one.id for one in record.launches], alive) == ([run.id], [])


async def test_a_command_that_is_not_there_is_told(watch: Watch) -> None:
    async with watch("watchkeeper-no-such-command") as adapter:
        run = (await adapter.supervisor.tend(start=True))[0].launches[-1]

        async def ended() -> RemoteRun | None:
            found = await adapter.inspect(RemoteRun(run.id, "running"))
            return found if found is not None and found.state == "failed" else None

        assert (await eventually_async(ended)).said == "ended with exit code 127"
        assert "not found" in adapter.supervisor.log.read_text()
        told = (await adapter.information()).problem
        assert told is not None
        assert told.startswith("it ended with exit code 127, and it is not started again")


async def test_its_log_is_bounded(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchkeeper.runtimes.processes.child.LARGEST_LOG", 1000)
    async with watch("sh", "-c", "while :; do echo 0123456789; done") as adapter:
        run = await running(adapter)
        eventually(lambda: adapter.supervisor.log.stat().st_size > 5000)
        await adapter.stop(run, now=True)
        await adapter.list_runs()
        assert adapter.supervisor.log.stat().st_size <= 1000
        assert (adapter.supervisor.log.with_suffix(".log.1")).stat().st_size <= 1000


async def test_without_proc_the_group_is_found_by_ps(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "HAS_PROC", False)
    async with watch("sh", "-c", "sleep 100 & while :; do sleep 100; done") as adapter:
        run = await running(adapter)
        await eventually_async(lambda: _has(adapter, 3))
        assert (await adapter.pause(run)).state == "paused"
        assert (await adapter.stop(run, now=True)).result == "done"


async def test_only_one_plane_at_a_time_looks_after_it(watch: Watch) -> None:
    async with watch(*FOR_EVER) as first:
        await running(first)
        async with watch(*FOR_EVER) as second:
            with pytest.raises(Exception, match="still being ended"):
                await second.information()
        await running(first)


async def test_a_record_that_cannot_be_read_starts_nothing(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "launches.json").write_bytes(msgspec.json.encode({"launches": 3}))
    async with watch(*FOR_EVER) as adapter:
        with pytest.raises(Exception, match="can't be read"):
            await adapter.information()
    (tmp_path / "state" / "launches.json").unlink()


async def _has(adapter: Processes, count: int) -> bool:
    (run,) = (await adapter.list_runs()).runs
    return run.said.startswith(f"{count} processes,")
