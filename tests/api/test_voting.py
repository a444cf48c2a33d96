"""Quorums, risk classes and delegation on a real plane: who may decide, and what a vote takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.rig.agent import Agent
from tests.rig.caller import Caller
from tests.rig.plane import Plane
from tests.rig.world import agent_document, world

REFUND = "books.create_refund"
QUORUM = """
@id("contracts-permit")
permit (principal, action, resource);

@id("refund-over-200")
@message("A refund of more than $200 needs two of finance-ops and a lead.")
@obligation("require_approval")
@approver_role("finance-ops")
@quorum("2 of finance-ops and 1 of finance-lead")
@risk("high")
forbid (principal, action == Action::"use_tool", resource == Tool::"books.create_refund")
when { context.amount_micros > 200000000 }
unless { context.approvals.contains("finance-ops") };
"""
PEOPLE = """
role: {name: finance-ops, members: [ada, bob, carol, dave]}
---
role: {name: finance-lead, members: [ada, erin]}
---
person: {name: ada, aliases: [ada@example.com], operates: [{role: approver}]}
---
person: {name: bob, operates: [{role: approver}]}
---
person: {name: carol, operates: [{role: approver}]}
---
person: {name: dave, operates: [{role: approver}]}
---
person: {name: erin, operates: [{role: approver}]}
---
person: {name: frank, operates: [{role: approver}]}
"""
CRITICAL = "books.close_account"


class Ground:
    """A plane with five approvers and one agent."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        agent = agent_document(tools=["create_refund", "close_account"])
        plane.apply(*world(agent=agent), rules__cedar=QUORUM)
        plane.apply(PEOPLE)
        self.agent: Agent = plane.enrol("clerk")
        self.people: dict[str, Caller] = {}
        self.charge = 0

    def person(self, name: str) -> Caller:
        """The API as a person sees it."""
        if name not in self.people:
            asked = {"person": name, "permission": "approver", "ttl_seconds": 86_400}
            token = self.plane.operator.post("/v1/persons/tokens", asked)["token"]
            self.people[name] = self.plane.caller(token)
        return self.people[name]

    def hold(self, tool: str = REFUND, **more: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """A run, what it asks for, and the answer that holds it."""
        self.charge += 1
        run = self.agent.open_run(**more)
        arguments: dict[str, Any] = {"charge_id": f"ch_{self.charge}", "amount_usd": 400}
        held = run.decide(tool, arguments)
        assert held["verdict"] == "hold", held
        return run, arguments, held

    def vote(self, name: str, request: str, verdict: str = "approve", **more: Any) -> Any:
        """Cast a person's vote on what they see."""
        body = {"verdict": verdict, "digest": self.show(name, request)["digest"], **more}
        return self.person(name).post(f"/v1/requests/{request}/votes", body)

    def refused(self, name: str, request: str, status: int = 403, **more: Any) -> Any:
        """Cast a person's vote, which is refused; return the problem."""
        body = {"verdict": "approve", "digest": self.show(name, request)["digest"], **more}
        path = f"/v1/requests/{request}/votes"
        return self.person(name).problem("POST", path, body, status=status)

    def show(self, name: str, request: str) -> Any:
        """A request as a person sees it."""
        return self.person(name).get(f"/v1/requests/{request}")

    def delegate(self, giver: str, taker: str, **more: Any) -> Any:
        """Let one person vote for another."""
        body = {"to": taker, "seconds": 7200, **more}
        return self.person(giver).post("/v1/delegations", body)

    def waiting(self, name: str) -> set[str]:
        """Which pending requests a person may decide, as the list and the count say."""
        rows = self.person(name).get("/v1/requests", state="pending")["rows"]
        mine = {row["request"] for row in rows if row["mine"]}
        assert self.person(name).get("/v1/status")["waiting"] == len(mine)
        return mine


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    plane = Plane(tmp_path_factory.mktemp("voting")).start()
    try:
        yield Ground(plane)
    finally:
        plane.close()


def test_a_quorum_takes_distinct_people_for_every_role(ground: Ground) -> None:
    run, arguments, held = ground.hold()
    request = held["request"]
    assert "2 of finance-ops and 1 of finance-lead" in held["reason"]
    assert request in ground.waiting("erin")
    assert request not in ground.waiting("frank")
    assert ground.vote("ada", request)["groups"] == [
        {"role": "finance-ops", "count": 2, "have": 1},
        {"role": "finance-lead", "count": 1, "have": 0},
    ]
    assert request not in ground.waiting("ada")
    assert ground.refused("ada", request, 409)["code"] == "already_voted"
    assert ground.vote("bob", request)["state"] == "pending"
    # ada stands for the lead now: bob and carol are the two of finance-ops
    last = ground.vote("carol", request)
    assert (last["state"], last["approvals"], last["quorum"]) == ("approved", 3, 3)
    assert [group["have"] for group in last["groups"]] == [2, 1]
    assert run.decide(REFUND, arguments)["verdict"] == "permit"


def test_nobody_decides_what_is_done_for_them_under_any_name(ground: Ground) -> None:
    _, _, held = ground.hold(on_behalf_of="Ada@Example.com")
    request = held["request"]
    assert ground.refused("ada", request)["code"] == "separation_of_duties"
    assert request not in ground.waiting("ada")
    ground.delegate("bob", "ada")
    problem = ground.refused("bob", request)
    assert problem["code"] == "separation_of_duties"
    assert "shares votes, by delegation" in problem["message"]
    assert request not in ground.waiting("bob")
    assert request in ground.waiting("carol")
    for name in ("mailto:ada@example.com", "acct:Ada@example.com", "spiffe://x/person/ada"):
        _, _, another = ground.hold(on_behalf_of=name)
        assert ground.refused("ada", another["request"])["code"] == "separation_of_duties"


def test_a_delegated_vote_is_one_of_two_people(ground: Ground) -> None:
    made = ground.delegate("erin", "frank", roles=["finance-lead"])
    assert made["in_force"]
    assert ground.person("frank").get("/v1/delegations")["rows"][0]["giver"] == "erin"
    _, _, held = ground.hold()
    request = held["request"]
    seen = ground.show("frank", request)
    assert (seen["mine"], seen["acting_for"]) == (True, "erin")
    assert request in ground.waiting("frank")
    assert ground.refused("frank", request)["code"] == "role_missing"
    assert ground.refused("frank", request, acting_for="dave")["code"] == "not_delegated"
    cast = ground.vote("frank", request, acting_for="erin")["votes"][0]
    assert (cast["person"], cast["acting_for"]) == ("person/frank", "person/erin")
    assert ground.refused("erin", request, 409)["code"] == "already_voted"
    assert request not in ground.waiting("erin")
    assert request not in ground.waiting("frank")
    ground.person("erin").post(f"/v1/delegations/{made['delegation']}/end", {})
    _, _, held = ground.hold()
    problem = ground.refused("frank", held["request"], acting_for="erin")
    assert problem["code"] == "not_delegated"
    ended = {row["type"] for row in ground.plane.events() if row["type"].startswith("delegation")}
    assert ended == {"delegation.made", "delegation.ended"}


def test_delegations_that_make_no_sense_are_refused(ground: Ground) -> None:
    dave = ground.person("dave")

    def problem(**body: Any) -> Any:
        return dave.problem("POST", "/v1/delegations", {"seconds": 60, **body}, status=400)

    assert problem(to="dave")["rule"] == "delegation/to"
    assert problem(to="nobody")["rule"] == "delegation/to"
    assert problem(to="erin", roles=["ghosts"])["rule"] == "delegation/roles"
    later = ground.plane.operator.get("/v1/status")["now"] + 10 * 86_400_000_000
    late = problem(to="erin", seconds=25 * 86_400, starts_at=later)
    assert late["rule"] == "delegation/time"
    made = ground.delegate("dave", "carol")
    path = f"/v1/delegations/{made['delegation']}/end"
    assert ground.person("erin").problem("POST", path, {}, status=403)["rule"] == "delegation/end"
    ground.person("carol").post(path, {})
    assert ground.person("dave").problem("POST", path, {}, status=409)["code"] == "already_over"


def test_an_approver_who_is_taken_off_the_role_spoils_the_approval(ground: Ground) -> None:
    run, arguments, held = ground.hold()
    for name in ("dave", "carol", "erin"):
        last = ground.vote(name, held["request"])
    assert last["state"] == "approved"
    without = PEOPLE.replace("[ada, bob, carol, dave]", "[ada, bob, carol]")
    ground.plane.apply(without)
    again = run.decide(REFUND, arguments)
    assert again["verdict"] == "hold"
    assert again["request"] != held["request"]
    assert "dave approved it, and is gone or off the role since" in again["reason"]
    spoiled = ground.show("carol", held["request"])
    assert (spoiled["state"], spoiled["decided_by"]) == ("revoked", "rule/approval")
    (why,) = [entry["text"] for entry in spoiled["timeline"] if entry["type"] == "request.revoked"]
    assert "the unused approval was revoked: dave approved it" in why
    ground.plane.apply(PEOPLE)


def test_a_delegation_to_the_beneficiary_spoils_an_approval(ground: Ground) -> None:
    run, arguments, held = ground.hold(on_behalf_of="person/frank")
    for name in ("dave", "carol", "erin"):
        ground.vote(name, held["request"])
    made = ground.delegate("frank", "carol")
    again = run.decide(REFUND, arguments)
    assert again["verdict"] == "hold"
    assert "carol shares votes, by delegation" in again["reason"]
    ground.person("carol").post(f"/v1/delegations/{made['delegation']}/end", {})
    # who shared them when it was asked stays excluded
    assert ground.refused("carol", again["request"])["code"] == "separation_of_duties"


def test_what_takes_more_by_now_is_asked_for_again_and_less_is_not(ground: Ground) -> None:
    run, arguments, held = ground.hold()
    ground.plane.apply(
        rules__cedar=QUORUM.replace("2 of finance-ops and ", "3 of finance-ops and ")
    )
    again = run.decide(REFUND, arguments)
    assert again["request"] != held["request"]
    was = ground.show("ada", held["request"])
    assert was["state"] == "revoked"
    (why,) = [entry["text"] for entry in was["timeline"] if entry["type"] == "request.revoked"]
    assert why == "the request was revoked: 3 of finance-ops must agree by now, where 2 had to"
    for name in ("bob", "dave", "erin", "carol"):
        last = ground.vote(name, again["request"])
    assert last["state"] == "approved"
    ground.plane.apply(rules__cedar=QUORUM)
    assert run.decide(REFUND, arguments)["verdict"] == "permit"


def test_a_risk_class_says_what_a_vote_takes(ground: Ground) -> None:
    ground.plane.apply(
        "risk: {name: critical, role: finance-lead, quorum: 1 of finance-lead, reason: true, "
        "view_seconds: 5, sla_seconds: 600, grant_seconds: 60}"
    )
    run, arguments, held = ground.hold(CRITICAL)
    request = held["request"]
    seen = ground.show("erin", request)
    assert seen["deciding"] == {
        "signed": False, "reason": True, "view_seconds": 5.0, "read_to_end": False,
        "break_glass": True,
    }  # fmt: skip
    assert [group["role"] for group in seen["groups"]] == ["finance-ops", "finance-lead"]
    assert seen["decide_by"] - seen["created_at"] == 600_000_000
    assert ground.refused("erin", request)["code"] == "reason_required"
    short = ground.refused("erin", request, reason="asked", view_seconds=4.9)
    assert (short["code"], short["rule"]) == ("view_required", "risk/critical/view_seconds")
    ground.vote("erin", request, reason="asked", view_seconds=5)
    assert ground.vote("bob", request, reason="yes", view_seconds=9)["state"] == "approved"
    ground.plane.apply(
        "risk: {name: critical, role: finance-lead, quorum: 1 of finance-lead, signed: true}"
    )
    again = run.decide(CRITICAL, arguments)
    assert "its votes are not signed, as they must be by now" in again["reason"]
    assert ground.refused("erin", again["request"])["code"] == "signature_required"


def test_a_class_may_need_approval_of_everything(ground: Ground) -> None:
    run = ground.agent.open_run()
    small = {"charge_id": "ch_1", "amount_usd": 5}
    assert run.decide(REFUND, small)["verdict"] == "permit"
    ground.plane.apply("risk: {name: high, approval: always}")
    held = ground.agent.open_run().decide(REFUND, small)
    assert (held["verdict"], held["rule"]) == ("hold", "risk/high/approval")


@pytest.mark.parametrize(
    ("case", "state", "ran"),
    [("approve", "succeeded", 1), ("reject", "denied", 0), ("modify", "superseded", 0),
     ("defer", "pending", 0), ("duplicate", "succeeded", 1)],
)  # fmt: skip
def test_a13_five_cases_in_the_audit_and_in_what_was_dispatched(
    ground: Ground, case: str, state: str, ran: int
) -> None:
    """Approve, reject, modify, defer and a second resume: both views say the same."""
    ground.plane.apply(
        rules__cedar=QUORUM.replace("2 of finance-ops and 1 of finance-lead", "1 of finance-ops")
    )
    run, arguments, held = ground.hold()
    request = held["request"]
    if case in ("approve", "duplicate"):
        ground.vote("bob", request)
    elif case == "reject":
        ground.vote("bob", request, "reject", reason="no")
    elif case == "modify":
        seen = ground.show("bob", request)
        body = {"digest": seen["digest"], "arguments": {**arguments, "amount_usd": 300}}
        stands = ground.person("bob").post(f"/v1/requests/{request}/edit", body)
        assert stands["state"] == "approved"
    else:
        ground.person("bob").post(f"/v1/requests/{request}/acknowledge", {"seconds": 60})
    performed = []
    for _ in range(2 if case == "duplicate" else 1):
        answer = run.decide(REFUND, arguments)
        if answer["verdict"] == "permit" and not answer.get("replay"):
            performed.append(answer["decision"])
            run.settle(answer["decision"], "succeeded")
    assert len(performed) == ran
    assert ground.show("bob", request)["state"] == state
    told = [row["type"] for row in ground.plane.events(request=request)]
    assert told.count("grant.redeemed") == told.count("decision.permitted") == ran
    assert told.count("outcome.recorded") == ran
