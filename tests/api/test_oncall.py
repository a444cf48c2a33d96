"""Who is on call, over the API: roles follow shifts and overrides, and so do votes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from watchkeeper.core.wall import wall_clock

HOUR = 3600
SECOND = 1_000_000
DOCUMENTS = """
role: {name: finance-ops, schedules: [desk]}
---
role: {name: finance-lead, members: [owner, edsger]}
---
escalation:
  name: finance
  levels: [{role: finance-ops}, {role: finance-lead, after_seconds: 800}]
---
schedule:
  name: desk
  zone: Europe/Berlin
  layers: [{name: days, people: [ada, bob], rotation: daily, starts: "%s"}]
---
person: {name: cay, operates: [{role: approver}]}
"""


@pytest.fixture
def plane(make_plane: Callable[..., Plane]) -> Plane:
    """A plane whose desk is ada's until an hour from now, then bob's for a day."""
    plane = make_plane(clock="frozen")
    start = wall_clock("Europe/Berlin").at(now(plane) - 23 * HOUR * SECOND)
    texts = [text for text in world() if "name: finance-ops, members" not in text]
    # hand-overs are on full minutes: a little less than an hour is left
    plane.apply(*texts, DOCUMENTS % start.strftime("%Y-%m-%dT%H:%M"), p__cedar=POLICY)
    return plane


def now(plane: Plane) -> int:
    return int(plane.operator.get("/v1/status")["now"])


def held(plane: Plane, role: str = "finance-ops", **at: int) -> list[str]:
    found = plane.operator.get("/v1/oncall/who", role=role, **at)
    return [one["person"] for one in found["people"]]


def token(plane: Plane, person: str, role: str = "approver") -> Any:
    asked = {"person": person, "permission": role}
    return plane.caller(plane.operator.post("/v1/persons/tokens", asked)["token"])


def override(plane: Plane, kind: str, hours: float = 2, **more: Any) -> dict[str, Any]:
    end = now(plane) + round(hours * HOUR * SECOND)
    return {"schedule": "desk", "kind": kind, "end": end, "reason": "planned", **more}


def test_a_role_is_held_by_whoever_is_on_call(plane: Plane) -> None:
    shown = plane.operator.get("/v1/oncall")
    (desk,) = shown["schedules"]
    assert (desk["people"], desk["roles"]) == (["ada", "bob"], ["finance-ops"])
    assert [one["person"] for one in desk["now"]] == ["ada"]
    assert desk["now"][0]["until"] == desk["next_at"]
    assert desk["next"] == ["bob"]
    roles = {one["role"]: one for one in shown["roles"]}
    assert [one["person"] for one in roles["finance-ops"]["now"]] == ["ada"]
    assert roles["finance-lead"]["now"][0]["until"] is None
    ada, bob = token(plane, "ada"), token(plane, "bob")
    assert ada.get("/v1/me")["roles"] == ["finance-ops"]
    assert bob.get("/v1/me")["roles"] == []
    status = ada.get("/v1/status")
    assert (status["on_call"], status["on_call_until"]) == (["desk"], desk["next_at"])
    plane.advance(HOUR)
    assert ada.get("/v1/me")["roles"] == []
    assert bob.get("/v1/me")["roles"] == ["finance-ops"]
    assert held(plane, at=now(plane) - HOUR * SECOND) == ["ada"]
    listed = plane.operator.get("/v1/oncall/desk/shifts")
    assert [one["person"] for one in listed["shifts"]][:3] == ["bob", "ada", "bob"]
    assert listed["shifts"][0]["by"] == "days"
    assert listed["gaps"] == []


def test_votes_and_counts_follow_hand_overs_and_overrides(plane: Plane) -> None:
    run = plane.enrol("clerk").open_run()
    refund = {"charge_id": "ch_1", "amount_usd": 300, "reason": "damaged"}
    answer = run.decide("books.create_refund", refund)
    name = answer["request"]
    digest = plane.operator.get(f"/v1/requests/{name}")["digest"]
    vote = {"verdict": "approve", "digest": digest}
    ada, bob, cay = (token(plane, one) for one in ("ada", "bob", "cay"))
    assert [one.get("/v1/status")["waiting"] for one in (ada, bob, cay)] == [1, 0, 0]
    refused = bob.problem("POST", f"/v1/requests/{name}/votes", vote, status=403)
    assert refused["rule"] == "approval/role_missing"
    made = override(plane, "replace", add="cay", remove="ada")
    plane.operator.post("/v1/oncall/overrides", made)
    assert [one.get("/v1/status")["waiting"] for one in (ada, bob, cay)] == [0, 0, 1]
    refused = ada.problem("POST", f"/v1/requests/{name}/votes", vote, status=403)
    assert refused["rule"] == "approval/role_missing"
    assert cay.post(f"/v1/requests/{name}/votes", vote)["state"] == "approved"


def test_an_override_is_kept_shown_refused_twice_and_ended(plane: Plane) -> None:
    made = plane.operator.post(
        "/v1/oncall/overrides", override(plane, "replace", add="cay", remove="ada")
    )
    assert (made["state"], made["created_by"].partition("/")[0]) == ("now", "person")
    assert held(plane) == ["cay"]
    assert plane.operator.get("/v1/oncall")["schedules"][0]["overrides"] == [made]
    again = override(plane, "remove", 1, remove="ada")
    refused = plane.operator.problem("POST", "/v1/oncall/overrides", again, status=409)
    assert (refused["code"], refused["rule"]) == ("overlapping_override", "oncall/overlap")
    plane.operator.post("/v1/oncall/overrides", override(plane, "add", 0.5, add="bob"))
    assert held(plane) == ["bob", "cay"] or held(plane) == ["cay", "bob"]
    plane.advance(HOUR)  # bob's shift: nobody stands in for him
    assert held(plane) == ["bob"]
    plane.kill()
    plane.restart()
    ended = plane.operator.post(f"/v1/oncall/overrides/{made['override']}/end", {"reason": "back"})
    assert ended["state"] == "ended"
    again = plane.operator.problem(
        "POST", f"/v1/oncall/overrides/{made['override']}/end", {"reason": "back"}, status=409
    )
    assert again["code"] == "already_ended"
    types = [one["type"] for one in plane.events() if one["type"].startswith("oncall.")]
    assert types == ["oncall.override_added", "oncall.override_added", "oncall.override_removed"]


def test_an_override_survives_a_kill(plane: Plane) -> None:
    plane.operator.post("/v1/oncall/overrides", override(plane, "remove", remove="ada"))
    plane.kill()
    plane.restart()
    assert held(plane) == []


def test_who_may_only_decide_hands_over_their_own_shift_and_no_other(plane: Plane) -> None:
    ada, bob, viewer = token(plane, "ada"), token(plane, "bob"), token(plane, "eve", "viewer")
    path = "/v1/oncall/overrides"
    own = override(plane, "replace", 0.5, add="bob", remove="ada")
    for caller, body in (
        (bob, own),  # ada's shift is hers
        (bob, override(plane, "add", add="bob")),  # nobody gives themselves a role
        (bob, override(plane, "replace", add="ada", remove="bob")),  # not on call now
        (ada, override(plane, "replace", add="cay", remove="ada")),  # takes no turns here
        (ada, override(plane, "remove", remove="ada")),
        (viewer, own),
    ):
        refused = caller.problem("POST", path, body, status=403)
        assert refused["rule"] == "permission/oncall"
    made = ada.post(path, own)
    assert held(plane) == ["bob"]
    end = f"{path}/{made['override']}/end"
    assert bob.problem("POST", end, {"reason": "no"}, status=403)["rule"] == "permission/oncall"
    ada.post(end, {"reason": "back"})
    assert held(plane) == ["ada"]


def test_what_cannot_be_is_refused_with_a_reason(plane: Plane) -> None:
    path = "/v1/oncall/overrides"
    past = now(plane) - HOUR * SECOND
    for body, status in (
        (override(plane, "add", add="nobody-here"), 400),
        (override(plane, "remove", remove="cay"), 400),
        (override(plane, "add", remove="ada"), 400),
        (override(plane, "replace", add="ada", remove="ada"), 400),
        ({**override(plane, "add", add="bob"), "end": past}, 400),
        (override(plane, "add", 24 * 400, add="bob"), 400),
        ({**override(plane, "add", add="bob"), "schedule": "gone"}, 404),
    ):
        plane.operator.problem("POST", path, body, status=status)
    plane.operator.problem("GET", "/v1/oncall/gone/shifts", status=404)
    plane.operator.problem("GET", "/v1/oncall/desk/shifts?from=5&until=4", status=400)
    plane.operator.problem("GET", f"/v1/oncall/desk/shifts?from=0&until={past}", status=400)
    plane.operator.problem("GET", "/v1/oncall/who", status=400)
    plane.operator.problem("GET", "/v1/oncall/who?role=gone", status=404)
    plane.operator.problem("POST", f"{path}/ovr_none/end", {"reason": "x"}, status=404)


def test_gaps_ahead_are_told_on_applying_and_to_whoever_watches(plane: Plane) -> None:
    weekdays = DOCUMENTS.replace(
        "starts:", "restrictions: [{days: [mon, tue, wed, thu, fri]}], starts:"
    )
    plan = plane.apply(weekdays % "2026-01-05T09:00")
    told = [one for one in plan["warnings"] if "nobody is on call for finance-ops" in one]
    assert len(told) == 1
    assert "(Europe/Berlin)" in told[0]
    needs = {one["need"]: one for one in plane.operator.get("/v1/watch")["rows"]}
    assert needs["oncall/finance-ops"]["text"] == told[0]
    (desk,) = plane.operator.get("/v1/oncall")["schedules"]
    assert 4 <= len(desk["gaps"]) <= 5
    assert all(one["end"] - one["start"] <= 49 * HOUR * SECOND for one in desk["gaps"])
