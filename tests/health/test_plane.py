"""Health as people and agents meet it: over the API, on the watch, at the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.command import on
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from watchkeeper.cli import exits

HEALTH = "health: {heartbeat_seconds: 20, stuck_after_seconds: 90}\n  identity:"
REFUND = {"charge_id": "ch_1", "amount_usd": 5}
LARGE = {"charge_id": "ch_1", "amount_usd": 300}


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    running = Plane(tmp_path, clock="frozen").start()
    documents = [text.replace("identity:", HEALTH, 1) for text in world()]
    running.apply(*documents, policy__cedar=POLICY)
    yield running
    running.close()


def needs(plane: Plane, kind: str) -> list[dict[str, Any]]:
    return [need for need in plane.operator.get("/v1/watch")["rows"] if need["kind"] == kind]


def refused(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()["code"]


def test_silent_runs_are_on_the_watch_until_they_give_a_sign(plane: Plane) -> None:
    agent = plane.enrol("clerk")
    run, other = agent.open_run(), agent.open_run()
    with httpx.Client(base_url=plane.url) as http:
        beat = http.post("/v1/heartbeat", headers={"authorization": f"Bearer {run.token}"})
        assert beat.json() == {"run": run.id, "health": "working", "next_seconds": 20}
        for wrong in ("wkr_unknown", agent.credential):
            answer = http.post("/v1/heartbeat", headers={"authorization": f"Bearer {wrong}"})
            assert refused(answer)[0] == httpx.codes.UNAUTHORIZED
    for _ in range(3):
        plane.advance(25)
        run.caller.post("/v1/heartbeat", {})
    (need,) = needs(plane, "run")
    assert need["need"] == "runs/clerk/silent"
    assert f"run {other.id} of clerk is silent: no sign for 1 m 00 s" in need["text"]
    plane.advance(60)
    (need,) = needs(plane, "agent")
    assert (need["text"], needs(plane, "run")) == ("clerk is silent with 2 open runs", [])
    listed = {row["run"]: row["health"] for row in plane.operator.get("/v1/runs")["rows"]}
    assert listed == {run.id: "silent", other.id: "lost"}
    # what was alarmed is alarmed after a crash too, and a sign ends it then
    plane.kill()
    plane.restart()
    assert needs(plane, "agent")
    other.decide("books.create_refund", REFUND)

    def back() -> bool:
        return [event["type"] for event in plane.events(type="run.back")] == ["run.back"]

    eventually(back, "the run is back")
    said = on(plane, "runs", other.id).out
    assert "health     working" in said
    assert "HEALTH" in on(plane, "agents").out


def test_an_unknown_outcome_is_a_task_until_a_person_settles_it(plane: Plane) -> None:
    run = plane.enrol("clerk").open_run()
    decided = run.decide("books.create_refund", REFUND)["decision"]
    run.decide("books.lookup_charge", {"charge_id": "ch_1"})
    assert on(plane, "unsettled", "show", decided).code == exits.NOT_FOUND
    plane.advance(901)
    (need,) = needs(plane, "outcome")
    assert (need["subject"], need["risk"], need["mine"]) == (decided, "high", True)
    assert "nobody knows how books.create_refund on charge/ch_1 of clerk" in need["text"]
    listed = on(plane, "unsettled", "list").out
    assert decided in listed
    assert "books.lookup_charge" in listed
    nothing = on(plane, "unsettled", "reconcile", decided, "--reason", "asked them")
    assert nothing.code == exits.USAGE
    done = on(plane, "unsettled", "reconcile", decided, "--failed", "--reason", "asked them")
    assert done.out == "Settled: books.create_refund of clerk failed.\n"
    assert needs(plane, "outcome") == []
    again = on(plane, "unsettled", "reconcile", decided, "--succeeded", "--reason", "no")
    assert again.code == exits.CONFLICT
    assert "asked them" in on(plane, "unsettled", "show", decided).out
    with httpx.Client(base_url=plane.url) as http:
        late = http.post(
            f"/v1/decisions/{decided}/outcome",
            json={"status": "succeeded"},
            headers={"authorization": f"Bearer {run.token}"},
        )
        assert refused(late) == (httpx.codes.CONFLICT, "reconciled")
    rows = plane.operator.get("/v1/decisions")["rows"]
    (row,) = [one for one in rows if one["decision"] == decided]
    assert (row["outcome"], row["reconciled"]["reason"]) == ("failed", "asked them")
    assert on(plane, "unsettled", "list", "--settled", "--json").json()["total"] == 1
    assert "failed, says " in on(plane, "decisions").out


def test_whoever_waits_for_an_approved_action_is_told_how_it_was_settled(plane: Plane) -> None:
    agent = plane.enrol("clerk")
    run = agent.open_run()
    request = run.decide("books.create_refund", LARGE)["request"]
    approved = on(plane, "requests", "approve", request, "--reason", "customer confirmed")
    assert approved.code == exits.OK, approved.err
    decided = run.decide("books.create_refund", LARGE)
    assert decided["verdict"] == "permit"
    plane.advance(901)
    assert "nobody knows how it ended" in agent.caller.get(f"/v1/decide/{request}")["text"]
    body = {"status": "succeeded", "reason": "it is in the books"}
    plane.operator.post(f"/v1/unsettled/{decided['decision']}/reconcile", body)
    told = agent.caller.get(f"/v1/decide/{request}")["text"]
    assert told == "approved, and a person found that it succeeded"
    timeline = plane.operator.get(f"/v1/requests/{request}")["timeline"]
    assert timeline[-1]["text"].endswith("of which nobody knew how it ended: it is in the books")
