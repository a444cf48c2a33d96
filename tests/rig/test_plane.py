"""The rig's plane is a real process: it answers, obeys its clock, dies and comes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.rig.caller import Refused
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world

LARGE = {"charge_id": "ch_2", "amount_usd": 300, "reason": "never arrived"}


def test_a_decision_is_an_event(plane: Plane) -> None:
    plane.apply(*world(), policy__cedar=POLICY)
    run = plane.enrol("clerk").open_run()
    answer = run.decide("books.create_refund", {"charge_id": "ch_1", "amount_usd": 20})
    assert answer["verdict"] == "permit", answer
    events = plane.events(type="decision.permitted")
    assert [event["run"] for event in events] == [run.id]


def test_the_clock_moves_only_when_told(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(clock="frozen")
    before = plane.operator.get("/v1/status")["now"]
    assert plane.operator.get("/v1/status")["now"] == before
    plane.advance(90)
    assert plane.operator.get("/v1/status")["now"] == before + 90_000_000


def test_a_held_request_expires_when_its_time_comes(plane: Plane) -> None:
    plane.apply(*world(), policy__cedar=POLICY)
    run = plane.enrol("clerk").open_run()
    answer = run.decide("books.create_refund", LARGE)
    assert answer["verdict"] == "hold", answer
    plane.advance(901)
    path = f"/v1/requests/{answer['request']}"
    eventually(lambda: plane.operator.get(path)["state"] == "expired", "the request expires")


def test_state_survives_a_kill(plane: Plane) -> None:
    plane.apply(*world(), policy__cedar=POLICY)
    run = plane.enrol("clerk").open_run()
    request = run.decide("books.create_refund", LARGE)["request"]
    plane.kill()
    plane.restart()
    assert plane.operator.get(f"/v1/requests/{request}")["state"] == "pending"
    assert plane.operator.get("/v1/audit/verification")["ok"]


def test_a_refusal_is_an_exception_that_shows_the_problem(plane: Plane) -> None:
    with pytest.raises(Refused) as caught:
        plane.operator.get("/v1/agents/nobody")
    assert caught.value.status == 404
    assert caught.value.problem["code"]


def test_the_clock_is_nobodys_without_rehearsal(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(clock=None)
    plane.operator.problem("POST", "/v1/rehearsal/clock", {"advance_seconds": 1}, status=404)


def test_it_stops_in_order(plane: Plane) -> None:
    assert plane.stop() == 0
    assert not (plane.state / "plane.json").exists()
