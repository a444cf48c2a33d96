"""A person under a lock: they read, and change nothing; who runs the plane can always undo it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from watchkeeper.api.operations import OPERATIONS

PEOPLE = """
person: {name: grace, aliases: [g.h], operates: [{role: admin}]}
---
person: {name: edsger, operates: [{role: admin}]}
"""
REFUND = {"charge_id": "ch_1", "amount_usd": 260}
TOOL = "books.create_refund"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("operators")).start()
    try:
        running.apply(*world(PEOPLE), policy__cedar=POLICY)
        yield running
    finally:
        running.close()


@pytest.fixture
def run(plane: Plane) -> Run:
    return plane.enrol("clerk").open_run()


def admin(plane: Plane, person: str) -> Any:
    """The API as a person calls it who may do almost everything."""
    body = {"person": person, "permission": "admin"}
    return plane.caller(plane.operator.post("/v1/persons/tokens", body)["token"])


def lock(plane: Plane, person: str, mode: str = "pause") -> str:
    target = {"kind": "person", "name": person}
    row = plane.operator.post("/v1/locks", {"target": target, "mode": mode, "reason": "stolen"})
    return str(row["lock"])


def lift(plane: Plane, name: str) -> None:
    plane.operator.post(f"/v1/locks/{name}/lift", {"reason": "over"})


def refused(caller: Any, path: str, body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = caller.problem("POST", path, body, status=403)
    return found


def ask(plane: Plane, run: Run) -> tuple[str, str]:
    held = run.decide(TOOL, REFUND)
    assert held["verdict"] == "hold"
    detail = plane.operator.get(f"/v1/requests/{held['request']}")
    return held["request"], detail["digest"]


@pytest.mark.parametrize("mode", ["stop", "drain", "pause"])
def test_who_is_locked_reads_and_changes_nothing(plane: Plane, run: Run, mode: str) -> None:
    grace = admin(plane, "grace")
    edsger = admin(plane, "edsger")
    request, digest = ask(plane, run)
    name = lock(plane, "g.h", mode)
    vote = {"verdict": "approve", "digest": digest, "reason": "fine"}
    try:
        for path, body in (
            (f"/v1/requests/{request}/votes", vote),
            (f"/v1/locks/{name}/lift", {"reason": "let me"}),
            ("/v1/locks", {"target": {"kind": "agent", "name": "clerk"}, "reason": "why"}),
            ("/v1/apply", {"files": []}),
            ("/v1/enrolments", {"agent": "clerk"}),
        ):
            assert refused(grace, path, body)["rule"] == f"lock/{name}"
        assert "grace" in str(grace.get("/v1/me"))
        assert grace.get(f"/v1/requests/{request}")["state"] == "pending"
        assert grace.post("/v1/locks/preview", {"kind": "agent", "name": "clerk"})["agents"]
        assert edsger.get("/v1/locks", state="in_force")["rows"][0]["lock"] == name
        edsger.post(f"/v1/locks/{name}/lift", {"reason": "it was her"})
    finally:
        if plane.operator.get("/v1/locks", state="in_force")["rows"]:
            lift(plane, name)
    assert grace.post(f"/v1/requests/{request}/votes", vote)["state"] == "approved"


def test_a_lock_that_only_refuses_new_runs_lets_a_person_work(plane: Plane) -> None:
    grace = admin(plane, "grace")
    name = lock(plane, "grace", "deny-new")
    grace.post(f"/v1/locks/{name}/lift", {"reason": "over"})


def test_who_runs_the_plane_lifts_a_lock_on_themselves_and_does_nothing_else(
    plane: Plane,
) -> None:
    name = lock(plane, "owner")
    body = {"target": {"kind": "agent", "name": "clerk"}, "reason": "why"}
    assert refused(plane.operator, "/v1/locks", body)["rule"] == f"lock/{name}"
    lift(plane, name)
    plane.operator.post("/v1/enrolments", {"agent": "clerk"})


def test_what_somebody_approved_who_is_locked_since_is_asked_for_anew(
    plane: Plane, run: Run
) -> None:
    grace = admin(plane, "grace")
    request, digest = ask(plane, run)
    vote = {"verdict": "approve", "digest": digest, "reason": "fine"}
    assert grace.post(f"/v1/requests/{request}/votes", vote)["state"] == "approved"
    name = lock(plane, "grace")
    try:
        anew = run.decide(TOOL, REFUND)
        assert (anew["verdict"], anew["request"] != request) == ("hold", True)
        assert "grace approved it, and is locked now" in anew["reason"]
        # whoever is left is asked; nobody who is locked is told of it
        told = plane.events(request=anew["request"], type="request.opened")
        assert "grace" not in str(told)
        waits = run.decide(TOOL, REFUND)
        assert waits["request"] == anew["request"]
    finally:
        lift(plane, name)


def test_every_post_of_people_is_refused_to_who_is_locked_or_says_why_not() -> None:
    """A route that is added is covered without anybody thinking of it."""
    let = {
        one.path
        for one in OPERATIONS
        if one.method == "POST" and one.needs not in ("anyone", "agent") and not one.changes
    }
    assert let == {
        "/v1/locks/preview", "/v1/policy/explain", "/v1/policy/replays", "/v1/logout",
        "/v1/audit/checkpoints",
        "/v1/audit/erasures/preview",
    }  # fmt: skip
    always = {one.path for one in OPERATIONS if one.always_for_owner}
    assert always == {"/v1/locks/{lock}/lift"}


@pytest.mark.parametrize("kind", ["agent", "tool", "approval"])
def test_an_approval_under_a_lock_is_not_shown_as_a_permit(
    plane: Plane, run: Run, kind: str
) -> None:
    request, digest = ask(plane, run)
    vote = {"verdict": "approve", "digest": digest, "reason": "fine"}
    plane.operator.post(f"/v1/requests/{request}/votes", vote)
    assert run.caller.get(f"/v1/decide/{request}")["verdict"] == "permit"
    names = {"agent": "clerk", "tool": TOOL, "approval": request}
    target = {"kind": kind, "name": names[kind]}
    body = {"target": target, "mode": "pause", "reason": "look at it first"}
    name = plane.operator.post("/v1/locks", body)["lock"]
    try:
        shown = run.caller.get(f"/v1/decide/{request}")
        assert shown["verdict"] == "hold"
        assert f"lock/{name}" in shown["text"]
        assert run.decide(TOOL, REFUND)["rule"] == f"lock/{name}"
    finally:
        lift(plane, name)
    assert run.caller.get(f"/v1/decide/{request}")["verdict"] == "permit"
    assert run.decide(TOOL, REFUND)["verdict"] == "permit"
