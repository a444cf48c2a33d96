"""Who decides in some teams only sees, counts and is shown as theirs what is of those."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rig.caller import Caller
from tests.rig.plane import Plane
from tests.rig.world import agent_document, world

ASKED = """
@id("contracts-permit")
permit (principal, action, resource);

@id("echoes-are-seen")
@obligation("require_approval")
@approver_role("finance-ops")
forbid (principal, action == Action::"use_tool", resource == Tool::"books.echo")
unless { context.approvals.contains("finance-ops") };
"""
PEOPLE = """
role: {name: finance-ops, members: [ada, grace, carol, edsger]}
---
role: {name: sales, members: [carol]}
---
person: {name: ada, operates: [{role: approver}]}
---
person: {name: grace, operates: [{role: approver, teams: [sales]}]}
---
person: {name: carol, operates: [{role: viewer}, {role: approver, teams: [sales]}]}
---
person: {name: edsger, operates: [{role: viewer}]}
"""


@pytest.fixture
def held(plane: Plane) -> dict[str, str]:
    """What an agent of each of two teams asks for, by team."""
    plane.apply(*world(agent_document("seller", owner="sales")), rules__cedar=ASKED)
    plane.apply(PEOPLE)
    found = {}
    for team, agent in (("finance-ops", "clerk"), ("sales", "seller")):
        answer = plane.enrol(agent).open_run().decide("books.echo", {"text": team})
        found[team] = answer["request"]
    return found


def person(plane: Plane, name: str) -> Caller:
    asked: dict[str, Any] = {"person": name, "permission": "approver"}
    return plane.caller(plane.operator.post("/v1/persons/tokens", asked)["token"])


@pytest.mark.parametrize(
    ("name", "sees", "decides"),
    [
        ("ada", {"finance-ops", "sales"}, {"finance-ops", "sales"}),
        ("grace", {"sales"}, {"sales"}),
        ("carol", {"finance-ops", "sales"}, {"sales"}),
        ("edsger", {"finance-ops", "sales"}, set()),
    ],
)
def test_list_count_and_vote_agree(
    plane: Plane, held: dict[str, str], name: str, sees: set[str], decides: set[str]
) -> None:
    caller = person(plane, name)
    rows = caller.get("/v1/requests")["rows"]
    assert {row["request"] for row in rows} == {held[team] for team in sees}
    mine = {row["request"] for row in rows if row["mine"]}
    status = caller.get("/v1/status")
    for team, request in held.items():
        digest = plane.operator.get(f"/v1/requests/{request}")["digest"]
        body = {"verdict": "approve", "digest": digest}
        answer = caller.http.post(f"/v1/requests/{request}/votes", json=body)
        assert answer.is_success == (team in decides), answer.text
    assert mine == {held[team] for team in decides}
    assert (status["pending"], status["waiting"]) == (len(sees), len(decides))
