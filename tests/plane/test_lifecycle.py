"""One plane on one state directory, through every way of starting and ending."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.command import watchkeeper
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.process import clean_environment
from tests.rig.world import POLICY, world
from watchkeeper.client.local import ensure_plane, find_plane, is_held, stop_plane
from watchkeeper.core.errors import Unavailable
from watchkeeper.core.places import LONGEST_SOCKET_PATH, socket_path

MakePlane = Callable[..., Plane]
ALREADY = 4


def serve(state: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "watchkeeper", "serve", "--state", str(state), *arguments]
    return subprocess.run(
        command,
        env=clean_environment(state.parent, **environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_second_plane_on_the_same_state_refuses_and_harms_nothing(plane: Plane) -> None:
    second = serve(plane.state, "--port", "0")
    assert second.returncode == ALREADY
    assert str(plane.described()["pid"]) in second.stderr
    assert "watchkeeper stop" in second.stderr
    assert plane.operator.get("/v1/status")["sequence"] == 1
    assert plane.described()["http"] == plane.url


def test_the_state_may_be_named_before_the_command(plane: Plane, tmp_path: Path) -> None:
    second = watchkeeper(tmp_path, "--state", str(plane.state), "serve", "--port", "0")
    assert second.code == ALREADY, second.err
    assert str(plane.described()["pid"]) in second.err
    shown = watchkeeper(tmp_path, "--state", str(plane.state), "config", "path")
    assert str(plane.state) in shown.out


def test_many_starts_at_once_give_one_plane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in clean_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    state = tmp_path / "state"
    try:
        with ThreadPoolExecutor(4) as pool:
            starts = [
                pool.submit(ensure_plane, state, arguments=("--port", "0"), within_seconds=60)
                for _ in range(4)
            ]
            found = {start.result().pid for start in starts}
        assert len(found) == 1
        plane = find_plane(state)
        assert plane is not None
        assert {plane.pid} == found
    finally:
        assert stop_plane(state)
    assert find_plane(state) is None


def test_the_plane_it_starts_survives_its_starter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in clean_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    state = tmp_path / "state"
    try:
        plane = ensure_plane(state, arguments=("--port", "0"))
        assert os.getsid(plane.pid) == plane.pid, "it has a session of its own"
        os.kill(plane.pid, signal.SIGHUP)
        assert ensure_plane(state).pid == plane.pid
    finally:
        stop_plane(state)


def test_a_killed_plane_is_taken_over(plane: Plane) -> None:
    plane.apply(*world(), policy__cedar=POLICY)
    plane.kill()
    assert (plane.state / "plane.json").exists(), "a kill leaves its files"
    assert find_plane(plane.state) is None, "what a dead plane left is not a plane"
    assert not is_held(plane.state)
    plane.restart()
    assert plane.operator.get("/v1/status")["agents"] == 1
    assert plane.operator.get("/v1/audit/verification")["ok"]
    kinds = [event["type"] for event in plane.events(type="plane.")]
    assert kinds == ["plane.started", "plane.started"], "a killed plane did not say goodbye"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(plane: Plane, number: signal.Signals) -> None:
    assert plane.child is not None
    os.kill(plane.child.pid, number)
    assert plane.child.wait() == 0
    assert not plane.socket.exists()
    assert not (plane.state / "plane.json").exists()
    plane.restart()
    kinds = [event["type"] for event in plane.events(type="plane.")]
    assert kinds == ["plane.started", "plane.stopped", "plane.started"]


def test_its_owner_stops_it_over_the_api(plane: Plane) -> None:
    assert plane.child is not None
    plane.operator.post("/v1/plane/stop")
    assert plane.child.wait() == 0


def test_stopping_answers_who_waits_and_ends_streams(plane: Plane) -> None:
    plane.apply(*world(), policy__cedar=POLICY)
    run = plane.enrol("clerk").open_run()
    asked = {"name": "books.create_refund", "arguments": {"charge_id": "ch_1", "amount_usd": 300}}
    with (
        ThreadPoolExecutor(1) as pool,
        plane.operator.http.stream("GET", "/v1/events/stream") as stream,
    ):
        held = pool.submit(run.caller.post, "/v1/decide", asked, wait_seconds=200)
        eventually(lambda: plane.operator.get("/v1/status")["pending"], "the call is held")
        assert plane.child is not None
        os.kill(plane.child.pid, signal.SIGTERM)
        answer = held.result(timeout=20)
        list(stream.iter_bytes())
        assert plane.child.wait() == 0
    assert answer["verdict"] == "hold"
    plane.restart()
    (request,) = plane.operator.get("/v1/requests")["rows"]
    assert request["request"] == answer["request"], "the request outlives the stop"


def test_everything_in_the_state_directory_is_private(plane: Plane) -> None:
    assert stat.S_IMODE(plane.state.stat().st_mode) == 0o700
    for path in plane.state.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name


def test_a_taken_port_is_said_and_nothing_stays_held(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = serve(tmp_path / "state", "--port", str(port))
    assert refused.returncode == ALREADY
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "--port" in refused.stderr
    assert not is_held(tmp_path / "state")


def test_a_state_path_longer_than_sockets_may_be_works(make_plane: MakePlane) -> None:
    plane = make_plane("d" * 60 + "/" + "e" * 60)
    assert len(os.fsencode(plane.state / "plane.sock")) > LONGEST_SOCKET_PATH
    assert socket_path(plane.state).parent != plane.state
    assert stat.S_IMODE(plane.socket.parent.stat().st_mode) == 0o700
    found = find_plane(plane.state)
    assert found is not None
    assert found.socket == plane.socket
    assert plane.operator.get("/healthz")["status"] == "alive"


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit")
def test_a_full_disk_is_refused_clearly_and_loses_nothing(plane: Plane) -> None:
    plane.apply(*world(), policy__cedar=POLICY)
    run = plane.enrol("clerk").open_run()
    assert plane.child is not None
    small = {"charge_id": "ch_1", "amount_usd": 5}
    before = run.decide("books.create_refund", small)
    assert before["verdict"] == "permit"
    unlimited = resource.prlimit(plane.child.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(plane.child.pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
    problem = run.caller.problem(
        "POST", "/v1/decide", {"name": "books.create_refund", "arguments": small}, status=503
    )
    assert problem["remedy"], problem
    assert plane.operator.get("/healthz")["status"] == "alive"
    resource.prlimit(plane.child.pid, resource.RLIMIT_FSIZE, unlimited)
    eventually(
        lambda: run.decide("books.create_refund", small)["verdict"] == "permit",
        "it decides again once there is room",
        tolerate=(AssertionError,),
    )
    verification = plane.operator.get("/v1/audit/verification")
    assert verification["ok"], verification
    permitted = plane.events(type="decision.permitted")
    assert before["decision"] in [event["body"]["decision"] for event in permitted]


def test_no_room_to_start_is_said(tmp_path: Path) -> None:
    state = tmp_path / "state"
    command = [sys.executable, "-m", "watchkeeper", "serve", "--state", str(state), "--port", "0"]
    started = subprocess.run(
        command,
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
    )
    assert started.returncode == 1, started.stderr
    assert "Traceback" not in started.stderr
    assert not is_held(state)


def test_a_plane_that_cannot_start_quotes_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in clean_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Unavailable) as caught:
        ensure_plane(tmp_path / "state", arguments=("--database", "oracle://nowhere"))
    assert "--database" in caught.value.message
    assert caught.value.where is not None
    assert caught.value.where.endswith("plane.log")


def test_the_log_is_lines_of_json(plane: Plane) -> None:
    plane.stop()
    lines = (plane.state / "plane.log").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines][-1] == "stopped"
