"""Policies on a real plane: sets and versions, explanations that decide alike, replays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.world import AMPLE, POLICY, agent_document, budget_document, world

CASES = """
cases:
  - name: small
    given: {agent: clerk, tool: books.create_refund, arguments: {charge_id: ch_1, amount_usd: 20}}
    expect: {verdict: %s}
"""
AGENTS = ("clerk", "poor", "quiet", "hasty")
"""One with ample budgets, one that has few calls, one with one tool, one that is rate limited."""
STRICTER = POLICY.replace("200000000", "100000000")
NEVER = POLICY.replace("> 1000000000", "> 50000000")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("policy")).start()
    few: dict[str, float] = {**AMPLE, "max_steps": 1}
    running.apply(
        *world(
            agent_document("poor", budgets=few),
            agent_document("quiet", tools=("lookup_charge",)),
            budget_document("day", "agent/poor", tool_calls=9),
            agent_document("hasty", owner="support"),
            "rate: {name: slow, scope: team/support, limit: {calls: 1, per: day}}",
        ),
        policy__cedar=POLICY,
    )
    yield running
    running.close()


@pytest.fixture
def plane(tmp_path: Any) -> Iterator[Plane]:
    running = Plane(tmp_path).start()
    running.apply(*world(), policy__cedar=POLICY)
    yield running
    running.close()


@pytest.fixture(scope="module")
def runs(shared: Plane) -> dict[str, Run]:
    return {name: shared.enrol(name).open_run() for name in AGENTS}


ARGUMENTS = st.fixed_dictionaries(
    {
        "charge_id": st.sampled_from(["ch_1", "ch_2", "nonsense"]),
        "amount_usd": st.sampled_from([-1, 5, 200, 200.01, 1000, 1000.01]),
    },
    optional={"reason": st.sampled_from(["late", "a gift card"])},
)
LOOKUP: tuple[str, str, dict[str, Any]] = ("tool", "books.lookup_charge", {})
ACTIONS: st.SearchStrategy[tuple[str, str, dict[str, Any]]] = st.one_of(
    st.tuples(st.just("tool"), st.just("books.create_refund"), ARGUMENTS),
    st.tuples(
        st.just("tool"),
        st.sampled_from(["books.lookup_charge", "books.close_account", "no"]),
        st.just({}),
    ),
    st.tuples(st.just("model"), st.sampled_from(["small-fast", "other"]), st.just({})),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(agent=st.sampled_from(AGENTS), action=ACTIONS)
@example("poor", LOOKUP)
@example("poor", LOOKUP)
@example("hasty", LOOKUP)
@example("hasty", LOOKUP)
def test_an_explanation_decides_as_the_path_does(
    shared: Plane, runs: dict[str, Run], agent: str, action: tuple[str, str, dict[str, Any]]
) -> None:
    kind, name, arguments = action
    run = runs[agent]
    asked = {"agent": agent, "kind": kind, "name": name, "arguments": arguments, "run": run.id}
    before = len(shared.operator.get("/v1/decisions", run=run.id, limit=500)["rows"])
    explained = shared.operator.post("/v1/policy/explain", asked)
    assert len(shared.operator.get("/v1/decisions", run=run.id, limit=500)["rows"]) == before
    decided = run.decide(name, arguments, kind=kind)  # type: ignore[arg-type]
    assert (explained["verdict"], explained["rule"]) == (decided["verdict"], decided["rule"])
    assert explained["reason"] == decided["reason"]
    results = [gate["result"] for gate in explained["gates"]]
    ended = {"permit": [], "deny": ["refuse"], "hold": ["hold"]}[decided["verdict"]]
    passed = results.count("pass")
    assert results == ["pass"] * passed + ended + ["not reached"] * (
        len(results) - passed - len(ended)
    )


def explain(plane: Plane, amount: float, **more: Any) -> dict[str, Any]:
    arguments = {"charge_id": "ch_1", "amount_usd": amount}
    asked = {"agent": "clerk", "name": "books.create_refund", "arguments": arguments} | more
    found: dict[str, Any] = plane.operator.post("/v1/policy/explain", asked)
    return found


def test_an_explanation_names_policies_files_and_what_would_change_it(shared: Plane) -> None:
    found = explain(shared, 250)
    assert (found["verdict"], found["role"]) == ("hold", "finance-ops")
    spoken = {one["policy"]: one for one in found["matches"]}
    assert set(spoken) == {"contracts-permit", "refund-over-200"}
    assert spoken["refund-over-200"]["decided"]
    assert spoken["refund-over-200"]["effect"] == "ask"
    assert spoken["refund-over-200"]["where"] == "policy.cedar:12"
    assert spoken["refund-over-200"]["annotations"]["sla"] == "15m"
    assert found["would_change"] == ["with the approval of finance-ops or finance-lead: permit"]
    never = explain(shared, 1001)
    assert {one["policy"] for one in never["matches"]} == {
        "contracts-permit", "refund-over-200", "refund-never-over-1000",
    }  # fmt: skip
    assert (never["verdict"], never["rule"]) == ("deny", "policy/refund-never-over-1000")


def test_a_recorded_decision_is_explained_under_what_is_in_force(plane: Plane) -> None:
    run = plane.enrol("clerk").open_run()
    decided = run.decide("books.create_refund", {"charge_id": "ch_1", "amount_usd": 150})
    plane.apply(policy__cedar=STRICTER)
    found = plane.operator.post("/v1/policy/explain", {"decision": decided["decision"]})
    assert (found["recorded"], found["verdict"]) == ("permit", "hold")
    plane.operator.problem("POST", "/v1/policy/explain", {"decision": "dec_x"}, status=404)
    plane.operator.problem("POST", "/v1/policy/explain", {"agent": "clerk"}, status=400)


def test_a_directory_with_a_failing_case_is_not_applied(plane: Plane) -> None:
    def apply(expected: str, **more: Any) -> Any:
        files = [
            {"path": "policy.cedar", "text": STRICTER},
            {"path": "refunds.cases.yaml", "text": CASES % expected},
        ]
        return {"files": files} | more

    before = plane.operator.get("/v1/policies/policy")
    for more in ({}, {"dry_run": True}):
        found = plane.operator.problem("POST", "/v1/apply", apply("deny", **more), status=400)
        assert found["where"] == "refunds.cases.yaml:3"
        assert "expected deny, came permit" in found["message"]
    assert plane.operator.get("/v1/policies/policy") == before
    assert plane.operator.post("/v1/apply", apply("permit"))["applied"]
    assert plane.operator.get("/v1/policies/policy")["version"] == 2


def test_versions_and_going_back_in_one_step(plane: Plane) -> None:
    plane.apply(policy__cedar=STRICTER)
    assert explain(plane, 150)["verdict"] == "hold"
    seen = plane.operator.get("/v1/policies/policy")
    versions = plane.operator.get("/v1/policies/policy/versions")["rows"]
    assert [(row["version"], row["in_force"]) for row in versions] == [(2, True), (1, False)]
    assert "+when { context.amount_micros > 100000000 }" in versions[0]["diff"]

    stale = {"version": 1, "reason": "too strict"}
    found = plane.operator.problem("POST", "/v1/policies/policy/rollback", stale, status=409)
    assert found["code"] == "version_changed"
    back = {"version": seen["version"], "reason": "too strict"}
    after = plane.operator.post("/v1/policies/policy/rollback", back)
    assert (after["version"], after["digest"]) == (3, versions[1]["digest"])
    assert explain(plane, 150)["verdict"] == "permit"
    (told,) = plane.events(type="policy.rolled_back")
    assert (told["body"]["from"], told["body"]["to"], told["body"]["version"]) == (2, 1, 3)
    again = {"version": 3, "to": 1, "reason": "again"}
    found = plane.operator.problem("POST", "/v1/policies/policy/rollback", again, status=409)
    assert found["code"] == "unchanged"
    plane.operator.problem("POST", "/v1/policies/policy/rollback", again | {"to": 9}, status=404)


def test_a_stage_is_set_against_what_was_seen(plane: Plane) -> None:
    run = plane.enrol("clerk").open_run()
    move = {"stage": "observe", "seen": "enforce", "version": 1, "reason": "try it first"}
    stale = [move | {"seen": "warn"}, move | {"version": 2}]
    for wrong in stale:
        plane.operator.problem("POST", "/v1/policies/policy/stage", wrong, status=409)
    assert plane.operator.post("/v1/policies/policy/stage", move)["stage"] == "observe"
    arguments = {"charge_id": "ch_1", "amount_usd": 250}
    assert run.decide("books.create_refund", arguments)["verdict"] == "permit"
    explained = explain(plane, 250)
    assert explained["verdict"] == "permit"
    assert any("refund-over-200" in note for note in explained["notes"])
    assert {one["stage"] for one in explained["matches"] if one["set"] == "policy"} == {"observe"}
    (row,) = plane.operator.get("/v1/policies")["rows"]
    assert (row["stage"], row["would_day"], row["holds_day"]) == ("observe", 1, 0)


def replay(plane: Plane, **more: Any) -> dict[str, Any]:
    started = plane.operator.post("/v1/policy/replays", more)
    found: dict[str, Any] = plane.operator.get(
        f"/v1/policy/replays/{started['replay']}", wait_seconds=20
    )
    assert found["state"] == "done", found
    return found


def test_a_replay_of_the_same_policies_finds_nothing_and_of_others_exactly_that(
    plane: Plane,
) -> None:
    plane.apply(
        budget_document("week", "agent/clerk", tool_calls=8),
        agent_document(budgets={**AMPLE, "max_input_tokens": 1000}),
    )
    agent = plane.enrol("clerk")
    run = agent.open_run()
    decided = [
        run.decide("books.create_refund", {"charge_id": f"ch_{n}", "amount_usd": amount})
        for n, amount in enumerate((20, 60, 150, 250, 1001, -1))
    ]
    run.decide("books.lookup_charge")
    run.decide("books.close_account")
    request = decided[3]["request"]
    digest = plane.operator.get(f"/v1/requests/{request}")["digest"]
    vote = {"verdict": "approve", "digest": digest, "reason": "fine"}
    plane.operator.post(f"/v1/requests/{request}/votes", vote)
    arguments = {"charge_id": "ch_3", "amount_usd": 250}
    assert run.decide("books.create_refund", arguments)["verdict"] == "permit"
    rejected = run.decide("books.create_refund", {"charge_id": "ch_9", "amount_usd": 300})
    digest = plane.operator.get(f"/v1/requests/{rejected['request']}")["digest"]
    vote = {"verdict": "reject", "digest": digest, "reason": "no"}
    plane.operator.post(f"/v1/requests/{rejected['request']}/votes", vote)
    again = run.decide("books.create_refund", {"charge_id": "ch_9", "amount_usd": 300})
    assert again["rule"].startswith("approval/")
    run.decide("small-fast", kind="model", estimate={"input_tokens": 100, "output_tokens": 10})
    run.decide("small-fast", kind="model", estimate={"input_tokens": 9000, "output_tokens": 10})
    for _ in range(4):
        last = run.decide("books.lookup_charge")
    assert last["rule"].startswith("budget/")
    lock = {"target": {"kind": "tool", "name": "books.echo"}, "mode": "pause", "reason": "look"}
    plane.operator.post("/v1/locks", lock)
    assert run.decide("books.echo")["rule"].startswith("lock/")
    run.close()

    for same in ({}, {"files": [{"path": "policy.cedar", "text": POLICY}]}):
        found = replay(plane, **same)
        assert found["groups"] == []
        assert (found["differ"], found["other_rule"], found["skipped"]) == (0, 0, 0)
        assert found["kept"] >= 3
        assert found["looked_at"] == found["total"] == found["same"] + found["kept"]

    stricter = replay(plane, files=[{"path": "policy.cedar", "text": STRICTER}])
    assert stricter["changes"] == ["~ policy policy"]
    (group,) = stricter["groups"]
    assert (group["before"], group["after"], group["rule"], group["count"]) == (
        "permit", "hold", "policy/refund-over-200", 1,
    )  # fmt: skip
    assert group["examples"][0]["decision"] == decided[2]["decision"]

    never = replay(plane, files=[{"path": "policy.cedar", "text": NEVER}])
    changed = {
        (one["before"], one["after"], one["before_rule"], one["count"]) for one in never["groups"]
    }
    assert changed == {
        ("permit", "deny", "policy/contracts-permit", 2),
        ("hold", "deny", "policy/refund-over-200", 2),
        ("permit", "deny", "approval", 1),
        ("deny", "deny", "approval", 1),
    }
    assert never["differ"] == 5
    assert never["other_rule"] == 1

    contract = agent_document(tools=("create_refund",), budgets={**AMPLE})
    fewer = replay(plane, files=[{"path": "clerk.yaml", "text": contract}])
    assert {one["rule"] for one in fewer["groups"]} == {"contract/clerk/tools"}
    assert {one["name"] for one in fewer["groups"]} == {"books.lookup_charge"}


def test_a_replay_is_bounded_and_refuses_what_cannot_be_used(plane: Plane) -> None:
    run = plane.enrol("clerk").open_run()
    for _ in range(5):
        run.decide("books.lookup_charge")
    assert replay(plane, most=3)["total"] == 3
    assert replay(plane, agent="other")["total"] == 0
    plane.advance(100)
    assert replay(plane, since_seconds=50)["total"] == 0
    bad = {"files": [{"path": "p.cedar", "text": "permit (principal"}]}
    assert plane.operator.problem("POST", "/v1/policy/replays", bad, status=400)["where"]
    plane.operator.problem("GET", "/v1/policy/replays/rpl_x", status=404)
    started = plane.operator.post("/v1/policy/replays", {})
    assert started["state"] in {"running", "done"}
    assert started["by"].startswith("person/")


def test_what_policies_decide_takes_its_own_permission(plane: Plane) -> None:
    plane.apply("operator_role: {name: builder, permissions: [read, apply]}")
    asked = {"person": "bob", "permission": "builder"}
    bob = plane.caller(plane.operator.post("/v1/persons/tokens", asked)["token"])
    tool = {"path": "t.yaml", "text": "tool: {name: books.spare, does: Nothing yet}"}
    changed = {"path": "policy.cedar", "text": STRICTER}
    assert bob.post("/v1/apply", {"files": [tool]})["applied"]
    assert bob.post("/v1/apply", {"files": [changed], "dry_run": True})["lines"]
    for path, body in (
        ("/v1/apply", {"files": [tool, changed]}),
        ("/v1/policies/policy/stage",
         {"stage": "observe", "seen": "enforce", "version": 1, "reason": "x"}),
        ("/v1/policies/policy/rollback", {"version": 1, "reason": "x"}),
    ):  # fmt: skip
        found = bob.problem("POST", path, body, status=403)
        assert found["rule"] == "permission/policy-activate"
    assert plane.operator.get("/v1/policies/policy")["version"] == 1
    unchanged = {"files": [{"path": "policy.cedar", "text": POLICY}, tool]}
    assert bob.post("/v1/apply", unchanged)["applied"]
