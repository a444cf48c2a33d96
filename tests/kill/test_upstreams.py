"""A lock on an upstream ends its process with all it started, and lets none be started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY, upstream_document, world

STUBBORN = """
import json, os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.DEVNULL)
with open(sys.argv[1], "a") as started:
    started.write(f"{os.getpid()} {child.pid}\\n")
SCHEMA = {"type": "object"}
for line in sys.stdin:
    asked = json.loads(line)
    said = {}
    if asked["method"] == "initialize":
        said = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}}
    elif asked["method"] == "tools/list":
        said = {"tools": [{"name": "echo", "inputSchema": SCHEMA}]}
    elif "id" not in asked:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": said}), flush=True)
time.sleep(600)
"""
Make = Callable[..., Plane]
TARGET = {"kind": "upstream", "name": "books"}


def lives(process: int) -> bool:
    """Tell whether a process runs."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in ("Z", "X")


def pids(started: Path, start: int) -> list[int]:
    """Return the processes of one start: the first, and its child."""
    return [int(one) for one in started.read_text().splitlines()[start].split()]


def row_of(plane: Plane, name: str = "books") -> dict[str, Any]:
    row: dict[str, Any]
    (row,) = [one for one in plane.operator.get("/v1/upstreams")["rows"] if one["name"] == name]
    return row


def kill(plane: Plane, **more: Any) -> str:
    body = {"target": TARGET, "reason": "odd answers", **more}
    return str(plane.operator.post("/v1/locks", body)["lock"])


def receipt(plane: Plane, lock: str, *states: str) -> dict[str, Any]:
    """Wait for the upstream's receipt to be in one of these states."""

    def found() -> dict[str, Any] | None:
        rows = plane.operator.get(f"/v1/locks/{lock}")["receipts"]
        (one,) = [row for row in rows if row["party"] == "upstream/books"]
        return one if one["state"] in states else None

    return eventually(found, f"the receipt is {states}")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes by /proc")
def test_the_process_of_a_locked_upstream_ends_whole_and_none_is_started(
    make_plane: Make, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    command = [sys.executable, "-c", STUBBORN, str(started)]
    plane = make_plane()
    plane.apply(*world(upstream=upstream_document(command=command)), finance__cedar=POLICY)
    eventually(lambda: row_of(plane)["state"] == "up", "the upstream is up")
    first = pids(started, 0)
    # a pause leaves it alone
    row = plane.operator.post(
        "/v1/locks", {"target": TARGET, "mode": "pause", "reason": "one moment"}
    )
    assert not [one for one in row["receipts"] if one["party"].startswith("upstream/")]
    assert row_of(plane)["state"] == "up"
    plane.operator.post(f"/v1/locks/{row['lock']}/lift", {"reason": "it was nothing"})
    # what a plane leaves that is killed itself is ended before the next starts another
    plane.kill()
    assert [lives(one) for one in first] == [True, True]
    plane.restart()
    # it is told as it was until it is asked again
    eventually(lambda: len(started.read_text().splitlines()) == 2, "another is started")
    assert not any(lives(one) for one in first), "nobody saw to what the plane left"
    eventually(lambda: row_of(plane)["state"] == "up", "the upstream is up again")
    second = pids(started, 1)
    assert [lives(one) for one in second] == [True, True]
    lock = kill(plane)
    said = receipt(plane, lock, "acknowledged")
    assert not any(lives(one) for one in second), "acknowledged before it was gone"
    assert "has ended, with its group" in said["detail"]
    assert row_of(plane)["detail"] == f"shut off by lock/{lock}"
    plane.kill()
    plane.restart()
    assert row_of(plane)["detail"] == f"shut off by lock/{lock}"
    assert len(started.read_text().splitlines()) == 2, "nothing is started"


def test_over_http_the_session_is_closed_and_calls_are_refused(
    make_plane: Make, upstream: Upstream
) -> None:
    plane = make_plane()
    plane.apply(*world(upstream=upstream_document(url=upstream.url)), finance__cedar=POLICY)
    eventually(lambda: row_of(plane)["state"] == "up", "the upstream is up")
    run = plane.enrol("clerk").open_run()
    lock = kill(plane)
    assert "nothing more is sent" in receipt(plane, lock, "acknowledged")["detail"]
    refused = run.decide("books.echo", {"text": "hi"})
    assert (refused["verdict"], refused["rule"]) == ("deny", f"lock/{lock}")
    assert upstream.executions() == []
    plane.operator.post(f"/v1/locks/{lock}/lift", {"reason": "repaired"})
    eventually(lambda: row_of(plane)["state"] == "up", "it is called again")


def test_a_dead_upstream_is_confirmed_as_ended(make_plane: Make) -> None:
    plane = make_plane()
    plane.apply(*world(), finance__cedar=POLICY)
    lock = kill(plane)
    receipt(plane, lock, "acknowledged")
