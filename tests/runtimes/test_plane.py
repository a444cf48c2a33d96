"""Runtimes as people meet them: commands, what needs them, and a plane that ends at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cli.command import Ended, on
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.runtimes.agent_server import AgentServer
from tests.runtimes.watched import AGENTS, RUNTIME
from watchkeeper.cli import exits

QUESTION = {
    "action_requests": [{"name": "stripe.refund", "args": {"amount_usd": 40}}],
    "review_configs": [],
}


@pytest.fixture
def server() -> Iterator[AgentServer]:
    with AgentServer() as running:
        yield running


@pytest.fixture
def watched(plane: Plane, server: AgentServer) -> Plane:
    apply(plane, server)
    return plane


def apply(plane: Plane, server: AgentServer) -> dict[str, Any]:
    text = RUNTIME.format(url=server.url, timeout=2).replace("poll_seconds: 10", "poll_seconds: 1")
    return plane.apply(AGENTS, text)


def done(ended: Ended, code: int = exits.OK) -> Ended:
    assert ended.code == code, ended.out + ended.err
    assert "\x1b" not in ended.out + ended.err
    return ended


def runs(plane: Plane, **options: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = plane.operator.get("/v1/runtimes/there/runs", **options)["rows"]
    return rows


def needs(plane: Plane) -> list[dict[str, Any]]:
    rows = plane.operator.get("/v1/watch")["rows"]
    return [row for row in rows if row["kind"] == "runtime"]


def waiting(plane: Plane) -> dict[str, Any] | None:
    rows = plane.operator.get("/v1/requests")["rows"]
    return next(iter(rows), None)


def test_what_runs_is_listed_stopped_and_adopted(watched: Plane, server: AgentServer) -> None:
    first, second = server.begin(), server.begin(graph="\x1b[2Jwho")
    eventually(lambda: len(runs(watched)) == 2, "both are listed")
    listed = done(on(watched, "runtimes", "list")).out
    assert "there" in listed
    assert "langgraph" in listed
    assert "stop all" in done(on(watched, "runtimes", "show", "there")).out
    shown = done(on(watched, "runtimes", "runs", "there", "--rogue")).out
    assert first in shown
    assert "names no run" in shown
    assert {need["text"].split()[0] for need in needs(watched)} >= {"clerk"}
    why = ("--reason", "nightly job")
    adopted = done(on(watched, "runtimes", "adopt", "there", first, "--agent", "clerk", *why)).out
    assert "is run run_" in adopted
    again = on(watched, "runtimes", "adopt", "there", first, "--agent", "clerk", *why)
    done(again, exits.CONFLICT)
    assert "Paused" in done(on(watched, "runtimes", "pause", "there", first, *why)).out
    assert "Resumed" in done(on(watched, "runtimes", "resume", "there", first, *why)).out
    assert "Stopped" in done(on(watched, "runtimes", "stop", "there", second, *why)).out
    assert "Nothing to do" in done(on(watched, "runtimes", "stop", "there", second, *why)).out
    assert len(done(on(watched, "runtimes", "runs", "there", "--all", "--json")).json()["rows"]) > 1
    done(on(watched, "runtimes", "show", "nowhere"), exits.NOT_FOUND)
    done(on(watched, "runtimes", "stop", "there", "no-run", *why), exits.NOT_FOUND)
    eventually(lambda: not needs(watched), "nothing is left to do")


def test_one_that_does_not_answer_is_said_to_be_so(watched: Plane, server: AgentServer) -> None:
    run = server.begin()
    eventually(lambda: runs(watched), "it is listed")
    server.mode = "broken"
    ended = done(on(watched, "runtimes", "stop", "there", run, "--reason", "odd"), exits.REFUSED)
    assert "not confirmed" in ended.out

    def is_down() -> bool:
        watched.advance(60)
        return any("does not answer" in need["text"] for need in needs(watched))

    eventually(is_down, "it is down")


def test_a_lock_stops_it_and_nothing_resumes_it(watched: Plane, server: AgentServer) -> None:
    run = server.begin()
    eventually(lambda: runs(watched), "it is listed")
    secret = "sk-ant-api03-" + "a1B2" * 20
    why = {"reason": f"look first: it says {secret}"}
    watched.operator.post(f"/v1/runtimes/there/runs/{run}/pause", why)
    graceful = {"reason": "slowly", "now": False}
    came = watched.operator.post(f"/v1/runtimes/there/runs/{run}/stop", graceful)
    assert came["result"] == "not supported", "only a supervised process has a grace"
    (told,) = [one for one in watched.events() if "look first" in str(one["body"])]
    assert secret not in str(told)
    lock = {"target": {"kind": "agent", "name": "clerk"}, "mode": "pause", "reason": "odd"}
    made = watched.operator.post("/v1/locks", lock)
    path = f"/v1/runtimes/there/runs/{run}/resume"
    problem = watched.operator.problem("POST", path, why, status=403)
    assert problem["rule"] == f"lock/{made['lock']}"
    watched.operator.post(f"/v1/locks/{made['lock']}/lift", {"reason": "fine"})
    watched.operator.post(path, why)


def test_documents_that_lead_nowhere_are_told_of(plane: Plane, server: AgentServer) -> None:
    text = RUNTIME.format(url=server.url, timeout=2).replace("finance-ops", "nobody-knows")
    warnings = " ".join(plane.apply(text)["warnings"])
    assert "agents.agent names agent 'clerk'" in warnings
    assert "owner names 'nobody-knows'" in warnings


def test_an_answer_in_flight_when_the_plane_is_killed_is_not_given_again(
    make_plane: Callable[..., Plane], server: AgentServer
) -> None:
    plane = make_plane()
    apply(plane, server)
    ours = plane.enrol("clerk").open_run().id
    server.ask(server.begin(ours=ours), QUESTION)
    request = eventually(lambda: waiting(plane), "a request")
    shown = plane.operator.get(f"/v1/requests/{request['request']}")
    assert shown["arguments"]["arguments"] == {"amount_usd": 40}
    assert shown["suspicious"] == []
    server.holds_back = True
    plane.operator.post(
        f"/v1/requests/{request['request']}/votes",
        {"verdict": "approve", "digest": request["digest"]},
    )
    eventually(lambda: server.resumed, "the answer has arrived")
    plane.kill()
    server.holds_back = False
    server.released.set()
    plane.restart()

    def succeeded() -> bool:
        plane.advance(30)
        found = plane.operator.get(f"/v1/requests/{request['request']}")
        return bool(found["state"] == "succeeded")

    eventually(succeeded, "it is found to have been answered")
    assert len(server.resumed) == 1
