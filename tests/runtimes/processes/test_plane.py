"""A plane that is killed, and its successor, which still has its process in hand."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from watchkeeper.tools.processes.table import HAS_PROC

pytestmark = pytest.mark.skipif(not HAS_PROC, reason="what is left is looked up in /proc")
AGENT = "agent: {name: clerk, owner: finance-ops}"
PROCESS = """
runtime:
  name: nightly
  kind: process
  agents: [{id: job, agent: clerk}]
  poll_seconds: 1
  process:
    command: [sh, -c, 'setsid sh -c "while :; do sleep 100; done" & while :; do sleep 100; done']
    grace_seconds: 0
"""


def marked(id: str) -> list[int]:
    """Return the processes that were started with this launch's mark."""
    found = []
    for name in os.listdir("/proc"):
        try:
            held = Path(f"/proc/{name}/environ").read_bytes() if name.isdigit() else b""
        except OSError:
            continue
        if f"WATCHKEEPER_PROCESS={id}".encode() in held:
            found.append(int(name))
    return found


@pytest.fixture
def governed(plane: Plane) -> Iterator[Plane]:
    plane.apply(AGENT, PROCESS)
    yield plane
    for row in _runs(plane, state="all") if plane.child and plane.child.running else ():
        for pid in marked(row["id"]):
            os.kill(pid, signal.SIGKILL)


def _runs(plane: Plane, **options: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = plane.operator.get("/v1/runtimes/nightly/runs", **options)["rows"]
    return rows


def launched(plane: Plane, after: str = "") -> dict[str, Any]:
    """Let polls come due until the process runs, as another launch than the one before."""

    def look() -> dict[str, Any] | None:
        plane.advance(2)
        rows = [row for row in _runs(plane) if row["state"] == "running"]
        return next((row for row in rows if row["id"] > after), None)

    return eventually(look)


def test_the_next_plane_ends_what_a_killed_one_started(governed: Plane) -> None:
    row = launched(governed)
    assert (row["standing"], row["agent"]) == ("ours", "clerk")
    eventually(lambda: len(marked(row["id"])) == 4)
    governed.kill()
    assert len(marked(row["id"])) == 4
    governed.restart()
    assert launched(governed)["id"] == row["id"]
    path = f"/v1/runtimes/nightly/runs/{row['id']}/stop"
    stopped = governed.operator.post(path, {"reason": "enough"})
    assert stopped["result"] == "done", stopped
    assert marked(row["id"]) == []
    again = governed.operator.post("/v1/runtimes/nightly/start", {"reason": "fixed"})
    assert again["running"] == 1
    launched(governed, row["id"])
    lock = {"target": {"kind": "agent", "name": "clerk"}, "mode": "stop", "reason": "loops"}
    governed.operator.post("/v1/locks", lock)
    for one in _runs(governed):
        path = f"/v1/runtimes/nightly/runs/{one['id']}/stop"
        assert governed.operator.post(path, {"reason": "loops"})["result"] != "unconfirmed"
    started = "/v1/runtimes/nightly/start"
    problem = governed.operator.problem("POST", started, {"reason": "let me"}, status=503)
    assert "agent clerk is killed: loops" in str(problem)
    governed.apply(AGENT, PROCESS.replace("grace_seconds: 0", "grace_seconds: 1"))

    def told() -> bool:
        governed.advance(2)
        row = governed.operator.get("/v1/runtimes/nightly")
        return row["health"] == "degraded" and "agent clerk is killed" in row["problem"]

    eventually(told)
    assert _runs(governed) == []


def test_a_plane_that_stops_ends_what_it_started_and_the_next_starts_it(governed: Plane) -> None:
    row = launched(governed)
    eventually(lambda: len(marked(row["id"])) == 4)
    assert governed.stop() == 0
    assert marked(row["id"]) == []
    governed.restart()
    later = launched(governed, row["id"])
    eventually(lambda: [one["id"] for one in _runs(governed)] == [later["id"]])
    governed.stop()
