"""Child runs: handed on only where contracts say so, on their parent's budget, and no longer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.identity.conftest import Issuers, documents
from tests.identity.conftest import agent as contract
from tests.identity.oauth import JWT, exchange, given
from tests.identity.test_exchange import decide, introspect, person, refund
from tests.rig.agent import Agent, Run
from tests.rig.plane import Plane
from tests.rig.world import POLICY


def open_child(agent: Agent, parent: str, **more: Any) -> Run:
    return agent.open_run("a part of it", parent=parent, **more)


def why_not(agent: Agent, parent: str, status: int = 403, **more: Any) -> str:
    body = {"goal": "x", "parent": parent, **more}
    return str(agent.caller.problem("POST", "/v1/runs", body, status=status)["rule"])


def left(plane: Plane, run: str, measure: str = "tool_calls") -> tuple[int, int]:
    """What a run's budget has posted and held."""
    found = plane.operator.get(f"/v1/budgets/run/{run}/{measure}")
    return found["posted"], found["held"]


def test_a_child_works_on_its_parents_budget_and_gives_the_rest_back(plane: Plane) -> None:
    lead, helper = plane.enrol("lead"), plane.enrol("helper")
    parent = lead.open_run("the whole", on_behalf_of="person/customer")
    child = open_child(helper, parent.token)
    assert left(plane, parent.id) == (0, 4), "as much as its own contract lets it use"
    row = plane.operator.get(f"/v1/runs/{child.id}")
    assert (row["parent"], row["on_behalf_of"]) == (parent.id, "person/customer")
    assert row["lent"]["tool_calls"] == 4
    for _ in range(4):
        assert refund(plane, child.token, 1)["verdict"] == "permit"
    denied = refund(plane, child.token, 1)
    assert denied["rule"] == f"budget/run/{child.id}/tool_calls"
    second = open_child(helper, parent.token, budget={"tool_calls": 5})
    third = helper.caller.problem(
        "POST", "/v1/runs", {"goal": "x", "parent": parent.token, "budget": {"tool_calls": 2}},
        status=402,
    )  # fmt: skip
    assert third["rule"] == f"budget/run/{parent.id}/tool_calls"
    assert refund(plane, second.token, 1)["verdict"] == "permit"
    second.close()
    assert left(plane, parent.id) == (1, 4)
    child.close()
    assert left(plane, parent.id) == (5, 0)
    assert [e["body"]["parent"] for e in plane.events(run=child.id, type="run.opened")] == [
        parent.id
    ]


def test_what_a_child_may_spend_is_what_it_was_lent(plane: Plane) -> None:
    lead, helper = plane.enrol("lead"), plane.enrol("helper")
    parent = lead.open_run()
    child = open_child(helper, parent.token, budget={"spend_micros": 500_000})
    found = plane.operator.get(f"/v1/runs/{child.id}")["lent"]
    assert found["spend"] == 500_000
    asked = {"goal": "x", "budget": {"spend_micros": 1}}
    helper.caller.problem("POST", "/v1/runs", asked, status=400)


def test_contracts_say_who_hands_on_to_whom_and_how_deep(plane: Plane) -> None:
    lead, helper, clerk = (plane.enrol(name) for name in ("lead", "helper", "clerk"))
    parent = lead.open_run()
    assert why_not(clerk, parent.token) == "contract/lead/delegates_to"
    assert why_not(lead, clerk.open_run().token) == "contract/clerk/delegates_to"
    child = open_child(helper, parent.token, budget={"tool_calls": 3})
    grand = open_child(helper, child.token, budget={"tool_calls": 2})
    # two deep under lead, one deep under helper: no further
    assert why_not(helper, grand.token) == "contract/helper/delegation_depth"
    assert why_not(lead, "wkr_unknown", 401) == "identity/token"
    assert left(plane, child.id) == (0, 2)
    assert why_not(helper, parent.token, on_behalf_of="person/other") == "identity/on-behalf-of"


def test_a_child_may_do_no_more_than_its_parents_token(plane: Plane) -> None:
    lead, helper = plane.enrol("lead"), plane.enrol("helper")
    run = lead.open_run()
    narrow = given(exchange(plane, run.token, scope="class:read agent:helper"))["access_token"]
    child = open_child(helper, narrow)
    assert refund(plane, child.token, 1)["rule"] == "identity/scope"
    assert decide(plane, child.token, "books.echo")["verdict"] == "permit"
    renewed = helper.caller.post(f"/v1/runs/{child.id}/token")["token"]
    assert refund(plane, renewed, 1)["rule"] == "identity/scope"
    reader = given(exchange(plane, run.token, scope="class:read"))["access_token"]
    assert why_not(helper, reader) == "identity/scope"


def test_a_child_by_token_exchange_acts_in_the_chain(plane: Plane, issuers: Issuers) -> None:
    lead, helper = plane.enrol("lead"), plane.enrol("helper")
    top = given(exchange(plane, person(issuers, plane), JWT, actor_token=lead.credential))[
        "access_token"
    ]
    found = given(
        exchange(plane, top, actor_token=helper.credential, scope="class:read", goal="look it up")
    )
    assert found["agent"] == "helper"
    row = plane.operator.get(f"/v1/runs/{found['run']}")
    assert (row["goal"], row["scope"]) == ("look it up", "class:read")
    assert (row["on_behalf_of"], row["on_behalf_of_proof"]) == ("person/grace", "staff 00u1")
    seen = introspect(plane, found["access_token"], helper.credential)
    domain = "spiffe://local.watchkeeper/agent"
    assert seen["act"] == {"sub": f"{domain}/helper", "act": {"sub": f"{domain}/lead"}}
    assert seen["sub"] == "spiffe://local.watchkeeper/person/grace"


@pytest.mark.parametrize("target", ["run", "agent"])
def test_a_kill_of_the_parent_stops_its_children(plane: Plane, target: str) -> None:
    lead, helper = plane.enrol("lead"), plane.enrol("helper")
    parent = lead.open_run()
    child = open_child(helper, parent.token, budget={"tool_calls": 3})
    grand = open_child(helper, child.token, budget={"tool_calls": 1})
    other = helper.open_run()
    assert refund(plane, grand.token, 1)["verdict"] == "permit"
    named = {"kind": target, "name": parent.id if target == "run" else "lead"}
    lock = plane.operator.post("/v1/locks", {"target": named, "mode": "stop", "reason": "stop"})
    for run in (parent, child, grand):
        assert plane.operator.get(f"/v1/runs/{run.id}")["state"] == "stopped"
        assert refund(plane, run.token, 1)["rule"] == f"lock/{lock['lock']}"
        assert why_not(helper, run.token) == f"lock/{lock['lock']}"
    assert refund(plane, other.token, 1)["verdict"] == "permit"
    assert left(plane, parent.id) == (1, 0), "what was not used came back"
    assert left(plane, child.id) == (1, 0)
    plane.operator.post(f"/v1/locks/{lock['lock']}/lift", {"reason": "over"})
    assert refund(plane, child.token, 1)["rule"] == "lock/run-stopped"


def test_a_pause_of_the_parent_pauses_its_children(plane: Plane) -> None:
    lead, helper = plane.enrol("lead"), plane.enrol("helper")
    parent = lead.open_run()
    child = open_child(helper, parent.token)
    body = {"target": {"kind": "run", "name": parent.id}, "mode": "pause", "reason": "look"}
    lock = plane.operator.post("/v1/locks", body)["lock"]
    assert refund(plane, child.token, 1)["rule"] == f"lock/{lock}"
    renewed = helper.caller.problem("POST", f"/v1/runs/{child.id}/token", status=403)
    assert renewed["rule"] == f"lock/{lock}"
    plane.operator.post(f"/v1/locks/{lock}/lift", {"reason": "over"})
    assert refund(plane, child.token, 1)["verdict"] == "permit"


def test_children_end_with_their_parent(plane: Plane) -> None:
    lead, helper = plane.enrol("lead"), plane.enrol("helper")
    parent = lead.open_run()
    child = open_child(helper, parent.token)
    refund(plane, child.token, 1)
    parent.close()
    assert plane.operator.get(f"/v1/runs/{child.id}")["state"] == "failed"
    asked = {"kind": "tool", "name": "books.echo", "arguments": {}}
    plane.caller(child.token).problem("POST", "/v1/decide", asked, status=401)
    assert left(plane, parent.id) == (1, 0)


def test_work_that_nobody_may_hand_on_any_more_stops(plane: Plane, issuers: Issuers) -> None:
    """A child has what its parent has: when the parent's contract goes, so does the child."""
    passing = contract("passing", identity={"delegates_to": ["helper"], "delegation_depth": 1})
    plane.apply(passing)
    helper = plane.enrol("helper")
    child = open_child(helper, plane.enrol("passing").open_run().token)
    assert refund(plane, child.token, 1)["verdict"] == "permit"
    files = [{"path": f"{n}.yaml", "text": t} for n, t in enumerate(documents(issuers))]
    files.append({"path": "policy.cedar", "text": POLICY})
    plan = plane.operator.post("/v1/apply", {"files": files, "prune": True})
    changed = [line for line in plan["lines"] if line["change"] != "unchanged"]
    assert [(line["change"], line["name"]) for line in changed] == [("delete", "passing")]
    assert refund(plane, child.token, 1)["rule"] == "identity/contract"
    answer = helper.caller.problem("POST", f"/v1/runs/{child.id}/token", status=403)
    assert answer["rule"] == "identity/contract"


def test_a_child_that_is_left_expires_with_its_token(plane: Plane) -> None:
    lead, helper = plane.enrol("lead"), plane.enrol("helper")
    parent = lead.open_run()
    plane.advance(600)
    parent_token = lead.caller.post(f"/v1/runs/{parent.id}/token")["token"]
    child = open_child(helper, parent.token)  # the older token: ends in five minutes
    plane.advance(200)
    helper.caller.post(f"/v1/runs/{child.id}/token")
    plane.advance(200)
    assert plane.operator.get(f"/v1/runs/{child.id}")["state"] == "open"
    assert decide(plane, parent_token, "books.echo")["verdict"] == "permit"
    plane.advance(700)
    assert plane.operator.get(f"/v1/runs/{child.id}")["state"] == "expired"
    assert left(plane, parent.id) == (0, 1), "only its own call is held yet"
    renewed = helper.caller.problem("POST", f"/v1/runs/{child.id}/token", status=409)
    assert renewed["code"] == "run_ended"


def test_taking_back_the_parents_token_takes_back_the_childs(plane: Plane) -> None:
    lead, helper = plane.enrol("lead"), plane.enrol("helper")
    parent = lead.open_run()
    child = open_child(helper, parent.token)
    plane.caller(parent.token).http.post("/oauth/revoke", data={"token": parent.token})
    asked = {"kind": "tool", "name": "books.echo", "arguments": {}}
    plane.caller(child.token).problem("POST", "/v1/decide", asked, status=401)
    assert helper.caller.problem("POST", f"/v1/runs/{child.id}/token", status=403)["rule"] in (
        "identity/parent", "identity/token-revoked",
    )  # fmt: skip
