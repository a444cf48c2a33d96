"""Runs that are not opened: refused, and written down."""

from __future__ import annotations

from tests.rig.plane import Plane
from tests.rig.world import POLICY, world


def test_a_run_refused_under_a_kill_is_recorded(plane: Plane) -> None:
    plane.apply(*world(), refunds__cedar=POLICY)
    agent = plane.enrol("clerk")
    target = {"kind": "agent", "name": "clerk"}
    lock = plane.operator.post("/v1/locks", {"target": target, "reason": "a drill"})["lock"]

    problem = agent.caller.problem("POST", "/v1/runs", {"goal": "refund ch_1"}, status=403)
    assert problem["rule"] == f"lock/{lock}"

    (event,) = plane.events(type="run.refused")
    assert event["actor"] == "agent/clerk"
    assert event["body"]["rule"] == f"lock/{lock}"
    assert event["body"]["goal"] == "refund ch_1"
    assert event["text"] == f"clerk may not open a run: {event['body']['reason']}"
    assert plane.operator.get("/v1/audit/verification")["ok"]


def test_a_run_in_an_environment_outside_the_contract_is_recorded(plane: Plane) -> None:
    plane.apply(*world(), refunds__cedar=POLICY)
    agent = plane.enrol("clerk")
    agent.caller.problem("POST", "/v1/runs", {"goal": "x", "environment": "moon"}, status=403)
    (event,) = plane.events(type="run.refused")
    assert event["body"]["rule"] == "contract/clerk/environments"
