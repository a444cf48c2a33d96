"""The fleet's processes: started once, restarted when they fall, gone when the fleet ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.rig.deadline import eventually
from watchkeeper.core.errors import NotFound
from watchkeeper.demo import fleet
from watchkeeper.demo.settings import FleetSettings, load_settings

SERVERS = {"models", "payments", "tickets", "cloud", "catalogue"}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory whose plane never comes up; the fleet's servers do."""
    fleet.start(tmp_path, socket=tmp_path / "plane.sock", url="http://127.0.0.1:1")
    yield tmp_path
    fleet.stop(tmp_path)


def serving(state: Path) -> dict[str, int]:
    processes = fleet.status(state).processes
    return processes if set(processes) >= SERVERS else {}


def family(state: Path) -> list[int]:
    status = fleet.status(state)
    assert status.pid is not None
    return [status.pid, *status.processes.values()]


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was never waited for does not."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc/self").exists()


def answers(address: str) -> bool:
    return httpx.post(f"{address}/mcp", json={}, timeout=5, trust_env=False).status_code == 401


def test_every_server_is_a_process_and_a_second_start_changes_nothing(state: Path) -> None:
    processes = eventually(lambda: serving(state))
    assert len(set(processes.values())) == len(processes)
    again = fleet.start(state, socket=state / "plane.sock", url="http://127.0.0.1:1")
    assert again.pid == fleet.status(state).pid
    assert again.processes == processes


def test_a_killed_server_comes_back_at_its_address(state: Path) -> None:
    before = eventually(lambda: serving(state))
    address = fleet.status(state).addresses["payments"]
    eventually(lambda: answers(address), tolerate=(httpx.HTTPError,))
    os.kill(before["payments"], signal.SIGKILL)
    eventually(lambda: serving(state).get("payments", 0) not in {0, before["payments"]})
    after = serving(state)
    assert after["payments"] != before["payments"]
    assert {**after, "payments": 0} == {**before, "payments": 0}
    assert fleet.status(state).restarts == 1
    eventually(lambda: answers(address), tolerate=(httpx.HTTPError,))


def test_when_the_supervisor_is_killed_nothing_is_left(state: Path) -> None:
    eventually(lambda: serving(state))
    pids = family(state)
    assert len(pids) > len(SERVERS)
    assert all(map(alive, pids))
    os.kill(pids[0], signal.SIGKILL)
    eventually(lambda: not any(map(alive, pids)))
    assert not fleet.status(state).running


def test_stop_ends_every_process_and_tells_whether_one_ran(state: Path) -> None:
    eventually(lambda: serving(state))
    pids = family(state)
    assert fleet.stop(state)
    eventually(lambda: not any(map(alive, pids)))
    assert not fleet.stop(state)


def test_what_the_fleet_writes_is_for_its_owner_only(state: Path) -> None:
    eventually(lambda: serving(state))
    directory = fleet.fleet_directory(state)
    for path in (directory, *directory.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_settings_survive_and_their_absence_is_told(tmp_path: Path) -> None:
    settings = FleetSettings(str(tmp_path), "s", "http://127.0.0.1:1", pace=2.5, agents=("a",))
    settings.save()
    assert load_settings(tmp_path) == settings
    with pytest.raises(NotFound, match="no demo fleet"):
        load_settings(tmp_path / "elsewhere")
