"""Locks against real processes: a plane that is killed, an agent that slept through the lock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.rig.agent import Run
from tests.rig.caller import Refused
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.process import clean_environment
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY, agent_document, upstream_document, world

Make = Callable[..., Plane]
AGENT = """
import json, sys, urllib.request

mcp, token = sys.argv[1:3]
names = iter(("one", "two"))
for line in sys.stdin:
    if line.strip() == "prepare":
        # everything is ready to be sent: what is left is one write
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "books.echo", "arguments": {"text": next(names)}}}).encode()
        headers = {"authorization": "Bearer " + token, "content-type": "application/json",
                   "accept": "application/json"}
        request = urllib.request.Request(mcp, body, headers)
        print("ready", flush=True)
    else:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            print(answer.read().decode(), flush=True)
"""


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Upstream]:
    server = Upstream(tmp_path / "books").start()
    yield server
    server.stop()


def locked(plane: Plane, kind: str = "agent", name: str = "clerk", mode: str = "stop") -> str:
    body = {"target": {"kind": kind, "name": name}, "mode": mode, "reason": "drill"}
    return str(plane.operator.post("/v1/locks", body)["lock"])


def first_answers(run: Run) -> list[dict[str, Any]]:
    """Ask as soon as the port is open, before anything else; return what was answered."""

    def ask() -> list[dict[str, Any]] | None:
        sent = {"kind": "tool", "name": "books.echo", "arguments": {"text": "early"}}
        headers = {"authorization": f"Bearer {run.token}"}
        url = f"{run.agent.plane.url}/v1/decide"
        answer = httpx.post(url, json=sent, headers=headers, timeout=20, trust_env=False)
        return [answer.json()]

    return eventually(ask, "the first answer", tolerate=(httpx.TransportError,))


@pytest.mark.parametrize("mode", ["stop", "pause"])
def test_a_lock_is_in_force_before_the_first_request_after_a_power_cut(
    make_plane: Make, mode: str
) -> None:
    plane = make_plane()
    plane.apply(*world(), policy__cedar=POLICY)
    run = plane.enrol("clerk").open_run()
    assert run.decide("books.echo", {"text": "before"})["verdict"] == "permit"
    lock = locked(plane, mode=mode)
    plane.kill()
    # it is asked from the moment on that its port is open, as agents that retry do
    starting = plane.restart()
    (first,) = first_answers(run)
    assert (first["verdict"], first["rule"]) == ("deny", f"lock/{lock}")
    events = starting.events(type="decision.permitted")
    (created,) = starting.events(type="lock.created")
    assert all(one["sequence"] < created["sequence"] for one in events)
    assert starting.operator.get("/v1/locks", state="in_force")["rows"][0]["lock"] == lock


def test_an_agent_that_slept_through_a_lock_does_nothing_as_it_wakes(
    plane: Plane, books: Upstream, tmp_path: Path
) -> None:
    documents = world(
        upstream=upstream_document(url=books.url), agent=agent_document(tools=["echo"])
    )
    plane.apply(*documents, policy__cedar=POLICY)
    run = plane.enrol("clerk").open_run()
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, run.mcp_url, run.token],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(tmp_path),
    )
    assert agent.stdin is not None
    assert agent.stdout is not None
    try:
        for word in ("prepare", "send", "prepare"):
            agent.stdin.write(f"{word}\n")
            agent.stdin.flush()
            said = agent.stdout.readline()
            if word == "send":
                assert json.loads(said)["result"]["isError"] is False
        os.kill(agent.pid, signal.SIGSTOP)
        agent.stdin.write("send\n")
        agent.stdin.flush()
        lock = locked(plane)
        os.kill(agent.pid, signal.SIGCONT)
        result = json.loads(agent.stdout.readline())["result"]
    finally:
        agent.kill()
        agent.wait()
        agent.stdin.close()
        agent.stdout.close()
    assert result["isError"] is True
    assert result["structuredContent"]["rule"] == f"lock/{lock}"
    assert books.executions("echo") == [{"text": "one"}], "only what came before the lock ran"


def test_a_plane_that_starts_with_the_switch_file_serves_nothing_that_acts(
    make_plane: Make,
) -> None:
    plane = make_plane()
    plane.apply(*world(), policy__cedar=POLICY)
    clerk = plane.enrol("clerk")
    run = clerk.open_run()
    plane.stop()
    (plane.state / "STOP").write_text("maintenance\n")
    plane.restart()
    bearer = {"authorization": f"Bearer {run.token}"}
    own = {"authorization": f"Bearer {clerk.credential}"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "books.echo", "arguments": {}}}  # fmt: skip
    grant = {"grant_type": "client_credentials", "client_id": "clerk",
             "client_secret": clerk.credential}  # fmt: skip
    model = {"model": "small-fast", "messages": [{"role": "user", "content": "x"}]}
    evaluation = {"subject": {"type": "agent", "id": "clerk"},
                  "resource": {"type": "tool", "id": "books.echo"},
                  "action": {"name": "use_tool"}}  # fmt: skip
    function = {"call_id": "c1", "run_id": "r1", "spec": {"fn": "books.echo", "kwargs": {}}}
    ways: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        ("/v1/decide", {"name": "books.echo"}, bearer),
        ("/v1/runs", {"goal": "more"}, own),
        (f"/v1/runs/{run.id}/token", {}, own),
        ("/mcp", call, bearer),
        ("/openai/v1/chat/completions", model, bearer),
        ("/humanlayer/v1/function_calls", function, bearer),
        ("/access/v1/evaluation", evaluation, bearer),
    ]
    with httpx.Client(base_url=plane.url, timeout=20, trust_env=False) as http:
        for path, body, headers in ways:
            answer = http.post(path, json=body, headers=headers)
            assert "STOP" in answer.text, (path, answer.text)
            assert '"verdict":"permit"' not in answer.text
            if path.startswith("/access"):
                assert answer.json()["decision"] is False
        given = http.post("/oauth/token", data=grant)
        assert given.status_code in (400, 401, 403)
        looked = http.post("/oauth/introspect", data={"token": run.token}, headers=bearer)
        assert looked.json() == {"active": False}
        hook = {"hook_event_name": "PreToolUse", "session_id": "s1", "tool_name": "Bash",
                "tool_input": {"command": "ls"}, "tool_use_id": "t1", "cwd": "/"}  # fmt: skip
        said = http.post("/hooks/claude", json=hook, headers=own).json()
        assert said["hookSpecificOutput"]["permissionDecision"] == "deny"
        assert said["continue"] is False
    assert plane.events(type="decision.permitted") == []
    (plane.state / "STOP").unlink()

    def lifted() -> bool:
        rows = plane.operator.get("/v1/locks", state="in_force")["rows"]
        for row in rows:
            plane.operator.post(f"/v1/locks/{row['lock']}/lift", {"reason": "over"})
        return not rows

    eventually(lifted, "the locks of the file are lifted")
    # it is looked for ten times a second
    opened = eventually(clerk.open_run, "a run is opened again", tolerate=(Refused,))
    assert opened.decide("books.echo", {"text": "on"})["verdict"] == "permit"
