"""Escalation in a real plane: documents, people who come and go, kills at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.rig.plane import Plane
from tests.rig.world import POLICY, world

LARGE = {"charge_id": "ch_1", "amount_usd": 300}
LADDER = """
escalation:
  name: finance
  remind_every_seconds: 100
  repeat: 1
  repeat_after_seconds: 50
  levels:
    - {role: finance-ops, after_seconds: 0}
    - {person: edsger, after_seconds: 150}
    - {channel: pager, after_seconds: 200}
    - {role: finance-lead, after_seconds: 250}
"""
STEPS = ("request.reminded", "request.escalated", "request.repeated", "request.expired")
Maker = Callable[..., Plane]


def hold(plane: Plane, *, amount: float = 300, ladder: str = LADDER) -> str:
    """Put a ladder in force and have one refund wait on it."""
    plane.apply(*governed(ladder), policy__cedar=POLICY)
    run = plane.enrol("clerk").open_run()
    request: str = run.decide("books.create_refund", {**LARGE, "amount_usd": amount})["request"]
    return request


def governed(ladder: str, roles: str = "") -> list[str]:
    """The small world with another escalation, and with other roles where given."""
    found = []
    for document in world():
        parts = [part for part in document.split("\n---\n") if "escalation:\n" not in part]
        found += [part for part in parts if not (roles and "role: {name: finance-" in part)]
    return [*found, ladder, *([roles] if roles else [])]


def story(plane: Plane, request: str) -> list[tuple[Any, ...]]:
    """What happened to a request by itself: type, level, round, and when it was due."""
    created = next(e["at"] for e in plane.events(request=request, type="request.created"))
    return [
        (e["type"], e["body"].get("level"), e["body"].get("round"),
         (e["body"]["due_at"] - created) // 1_000_000 if "due_at" in e["body"] else None)
        for e in plane.events(request=request)
        if e["type"] in STEPS
    ]  # fmt: skip


OVER = """
schedule:
  name: over
  shifts: [{person: zoe, from: 2020-01-01T09:00, to: 2020-01-01T17:00}]
---
role: {name: finance-lead, schedules: [over]}
"""
WHOLE = [
    ("request.reminded", 1, 1, 100),
    ("request.escalated", 2, 1, 150),
    ("request.escalated", 3, 1, 200),
    ("request.escalated", 4, 1, 250),
    ("request.repeated", 1, 2, 300),
    ("request.reminded", 1, 2, 400),
    ("request.escalated", 2, 2, 450),
    ("request.escalated", 3, 2, 500),
    ("request.escalated", 4, 2, 550),
    ("request.reminded", 4, 2, 650),
    ("request.reminded", 4, 2, 750),
    ("request.reminded", 4, 2, 850),
    ("request.expired", None, None, None),
]


def test_people_and_channels_are_levels_too(make_plane: Maker) -> None:
    plane = make_plane(clock="frozen")
    request = hold(plane)
    plane.advance(200)
    found = plane.operator.get(f"/v1/requests/{request}")
    assert (found["level"], found["role"], found["round"]) == (3, "person/edsger", 1)
    assert set(found["asked"]) == {"finance-ops", "person/edsger"}
    assert set(found["on_call"]) == {"finance-ops: grace, owner", "person/edsger: edsger"}
    told = [e["body"] for e in plane.events(request=request, type="request.escalated")]
    assert [(body["people"], body["channels"]) for body in told] == [
        (["edsger"], []),
        (["edsger"], ["pager"]),
    ]
    plane.advance(700)
    assert story(plane, request) == WHOLE


def test_killed_at_every_step_it_takes_each_once(make_plane: Maker) -> None:
    plane = make_plane(clock="frozen")
    request = hold(plane)
    for pause in (100, 50, 50, 50, 50, 100, 50, 50, 50, 100, 100, 100, 50):
        plane.kill()
        plane.restart()
        plane.advance(pause)
    assert story(plane, request) == WHOLE
    assert plane.operator.get(f"/v1/requests/{request}")["state"] == "expired"


def test_stopped_for_a_day_it_takes_every_step_once_and_in_order(make_plane: Maker) -> None:
    plane = make_plane(clock="frozen")
    request = hold(plane)
    plane.advance(120)
    plane.stop()
    plane.restart()
    plane.advance(86_400)
    assert story(plane, request) == WHOLE


def test_what_waits_keeps_the_policy_that_it_was_made_under(make_plane: Maker) -> None:
    """A level taken out of the document, and the document taken away, change nothing."""
    plane = make_plane(clock="frozen")
    request = hold(plane)
    plane.advance(160)
    short = "escalation: {name: finance, levels: [{role: finance-ops}]}"
    plane.apply(*governed(short), policy__cedar=POLICY)
    plane.advance(100)
    assert plane.operator.get(f"/v1/requests/{request}")["role"] == "finance-lead"
    plane.advance(650)
    assert story(plane, request) == WHOLE


def test_nobody_there_is_a_need_until_somebody_comes(make_plane: Maker) -> None:
    plane = make_plane(clock="frozen")
    nobody = OVER + "---\nrole: {name: finance-ops, schedules: [over]}"
    somebody = OVER + "---\nrole: {name: finance-ops, members: [zoe]}"
    ladder = """
escalation:
  name: finance
  levels:
    - {role: finance-ops}
    - {role: finance-lead, channel: pager, after_seconds: 60}
"""
    plane.apply(*governed(ladder, nobody), policy__cedar=POLICY)
    run = plane.enrol("clerk").open_run()
    request = run.decide("books.create_refund", LARGE)["request"]
    found = plane.operator.get(f"/v1/requests/{request}")
    assert "finance-ops: nobody is on call" in found["on_call"]
    (alarm,) = plane.events(request=request, type="request.no_coverage")
    assert alarm["body"]["channels"] == ["pager"]
    needs = {need["need"]: need for need in plane.operator.get("/v1/watch")["rows"]}
    assert "NOBODY is on call for finance-ops, finance-lead" in needs["oncall/uncovered"]["text"]
    plane.apply(*governed(ladder, somebody), policy__cedar=POLICY)
    plane.advance(30)
    (event,) = plane.events(request=request, type="request.rerouted")
    assert event["body"]["people"] == ["zoe"]
    needs = {need["need"]: need for need in plane.operator.get("/v1/watch")["rows"]}
    assert "oncall/uncovered" not in needs
    plane.advance(900)
    assert plane.operator.get(f"/v1/requests/{request}")["state"] == "expired"


def test_i_am_on_it_is_said_and_seen(make_plane: Maker) -> None:
    plane = make_plane(clock="frozen")
    request = hold(plane)
    path = f"/v1/requests/{request}"
    plane.advance(20)
    found = plane.operator.post(f"{path}/acknowledge", {"seconds": 120})
    assert found["acknowledged_by"].startswith("person/")
    assert found["next_at"] == found["acknowledged_until"]
    (row,) = plane.operator.get("/v1/requests")["rows"]
    assert row["acknowledged_until"] == found["acknowledged_until"]
    plane.advance(119)
    assert story(plane, request) == []
    plane.advance(1)
    again = plane.operator.get(path)
    assert again["acknowledged_by"] is None
    assert any("asks finance-ops again" in entry["text"] for entry in again["timeline"])
    stale = plane.operator.problem("POST", f"{path}/escalate", {"level": 1, "round": 2}, status=409)
    assert stale["code"] == "already_escalated"
