"""What happens at a budget's limit, on a real plane: each response, and once where it says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.world import POLICY, agent_document, world


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    plane = Plane(tmp_path, clock="frozen").start()
    try:
        plane.apply(*world(), agent_document("scribe"), policy__cedar=POLICY)
        yield plane
    finally:
        plane.close()


def budget(plane: Plane, *responses: dict[str, Any], name: str = "day", **more: Any) -> None:
    document = {
        "name": name,
        "scope": "team/finance-ops",
        "period": "day",
        "limits": {"tool_calls": 4},
        "responses": list(responses),
        **more,
    }
    plane.apply(json.dumps({"budget": document}))


def look(run: Run, wait_seconds: float = 0) -> dict[str, Any]:
    return run.decide("books.lookup_charge", {"charge_id": "ch_1"}, wait_seconds=wait_seconds)


def spend(run: Run, times: int) -> None:
    for _ in range(times):
        answer = look(run)
        assert answer["verdict"] == "permit", answer
        run.settle(answer["decision"])


def vote(plane: Plane, request: str, verdict: str = "approve", **more: Any) -> dict[str, Any]:
    digest = plane.operator.get(f"/v1/requests/{request}")["digest"]
    body = {"verdict": verdict, "digest": digest, **more}
    found: dict[str, Any] = plane.operator.post(f"/v1/requests/{request}/votes", body)
    return found


ID = "team/finance-ops/day/tool_calls"


def test_stop_says_all_that_a_person_needs_to_know(plane: Plane) -> None:
    budget(plane, zone="Europe/Berlin")
    run = plane.enrol("clerk").open_run()
    spend(run, 3)
    assert look(run)["verdict"] == "permit"
    answer = look(run)
    assert (answer["verdict"], answer["rule"]) == ("deny", f"budget/{ID}")
    for said in (f"budget {ID}", "4 tool calls per day", "Europe/Berlin", "3 tool calls used",
                 "1 tool call held", "0 tool calls left", "needs 1 tool call"):  # fmt: skip
        assert said in answer["reason"], answer["reason"]
    assert "wait until" in answer["allowed_instead"]
    assert f"top up {ID}" in answer["allowed_instead"]
    (event,) = plane.events(type="budget.exhausted")
    assert event["body"]["budget"] == ID


def test_ask_holds_the_call_and_an_approval_lets_it_through(plane: Plane) -> None:
    budget(
        plane,
        {"at": 100, "do": "ask", "top_up_percent": 50, "role": "finance-ops"},
        zone="Europe/Berlin",
    )
    clerk, scribe = plane.enrol("clerk").open_run(), plane.enrol("scribe").open_run()
    spend(clerk, 4)
    first, second, other = look(clerk), look(clerk), look(scribe)
    assert first["verdict"] == second["verdict"] == other["verdict"] == "hold"
    assert first["request"] == second["request"] == other["request"]
    request = plane.operator.get(f"/v1/requests/{first['request']}")
    assert request["kind"] == "top_up"
    assert request["arguments"] | {"budget": ID, "limit": 4, "used": 4, "held": 0, "asked": 1,
        "amount": 2, "agent": "clerk"} == request["arguments"]  # fmt: skip
    assert request["arguments"]["per_hour"] == 4
    # whether it is full again before it resets depends on the time of day
    assert "at 4 tool calls an hour" in request["asks"]
    # the agents may look at what they wait for
    for run in (clerk, scribe):
        assert run.caller.get(f"/v1/decide/{first['request']}")["state"] == "pending"
    done = vote(plane, first["request"])
    assert done["state"] == "succeeded"
    spend(clerk, 1)
    spend(scribe, 1)
    row = plane.operator.get(f"/v1/budgets/{ID}")
    assert (row["cap"], row["topped_up"], row["posted"]) == (4, 2, 6)
    assert (row["zone"], row["request"], row["state"]) == ("Europe/Berlin", None, "exhausted")
    assert [one["says"] for one in row["responses"]] == [
        "without room finance-ops is asked to top it up by 50 %"
    ]
    assert [(one["agent"], one["amount"], one["calls"]) for one in row["spenders"]] == [
        ("clerk", 5, 5), ("scribe", 1, 1),
    ]  # fmt: skip
    assert [(one["name"], one["agent"], one["amount"]) for one in row["spent"]] == [
        ("books.lookup_charge", "scribe", 1), *[("books.lookup_charge", "clerk", 1)] * 5,
    ]  # fmt: skip
    (event,) = plane.events(type="budget.topped_up")
    assert event["actor"] == "person/owner" or event["actor"].startswith("person/")
    again = look(clerk)
    assert again["verdict"] == "hold"
    assert again["request"] != first["request"]
    assert plane.operator.get(f"/v1/budgets/{ID}")["request"] == again["request"]


def test_a_held_caller_goes_on_once_the_budget_is_topped_up(plane: Plane) -> None:
    budget(plane, {"at": 100, "do": "ask"})
    run = plane.enrol("clerk").open_run()
    spend(run, 4)
    request = look(run)["request"]
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(look, run, 20)
        vote(plane, request)
        assert waiting.result(20)["verdict"] == "permit"


def test_a_refused_top_up_holds_until_the_cap_changes(plane: Plane) -> None:
    budget(plane, {"at": 100, "do": "ask"})
    run = plane.enrol("clerk").open_run()
    spend(run, 4)
    vote(plane, look(run)["request"], "reject", reason="enough")
    answer = look(run)
    assert answer["verdict"] == "deny"
    assert "refused to top it up" in answer["reason"]
    assert "enough" in answer["reason"]
    plane.operator.post(f"/v1/top-ups/{ID}", {"amount": 1, "reason": "one more"})
    spend(run, 1)
    assert look(run)["verdict"] == "hold"


def test_at_the_end_of_its_period_a_top_up_is_not_waited_for(plane: Plane) -> None:
    budget(plane, {"at": 100, "do": "ask", "sla_seconds": 30 * 86_400}, period="hour")
    run = plane.enrol("clerk").open_run()
    spend(run, 4)
    held = look(run)
    row = plane.operator.get("/v1/budgets/team/finance-ops/hour/tool_calls")
    assert held["expires_at"] <= row["resets_at"] + 1_000_000
    plane.advance(3601)
    run = plane.enrol("clerk").open_run()
    assert look(run)["verdict"] == "permit"
    with pytest.raises(Exception, match=r"expired|in time|409"):
        vote(plane, held["request"])


def test_pause_pauses_whose_budget_it_is_once_in_a_period(plane: Plane) -> None:
    budget(plane, {"at": 100, "do": "pause"}, scope="agent/clerk")
    run, other = plane.enrol("clerk").open_run(), plane.enrol("scribe").open_run()
    spend(run, 4)
    answer = look(run)
    assert answer["verdict"] == "deny"
    assert answer["rule"] == "budget/agent/clerk/day/tool_calls"
    assert "paused until a person resumes" in answer["reason"]
    (lock,) = plane.operator.get("/v1/locks")["rows"]
    assert (lock["mode"], lock["by"], lock["target"]) == (
        "pause", "plane", {"kind": "agent", "name": "clerk"},
    )  # fmt: skip
    assert "agent/clerk/day/tool_calls" in lock["reason"]
    assert look(run)["rule"] == f"lock/{lock['lock']}"
    spend(other, 1)
    (event,) = plane.events(type="budget.paused")
    assert event["body"]["locks"] == [lock["lock"]]
    plane.operator.post(f"/v1/locks/{lock['lock']}/lift", {"reason": "go on"})
    assert look(run)["rule"] == "budget/agent/clerk/day/tool_calls"
    assert plane.operator.get("/v1/locks")["rows"] == []


def test_throttle_lets_calls_pass_at_a_rate_from_its_level_on(plane: Plane) -> None:
    budget(
        plane,
        {"at": 50, "do": "throttle", "rate": {"calls": 1, "per": "minute"}},
        limits={"tool_calls": 10},
    )
    run = plane.enrol("clerk").open_run()
    spend(run, 5)
    spend(run, 1)
    answer = look(run)
    assert (answer["verdict"], answer["rule"]) == ("deny", f"budget/{ID}")
    assert answer["retry_after_seconds"] == 60
    assert "60 % used" in answer["reason"]
    plane.advance(60)
    spend(run, 1)
    # without room the budget refuses, and what the rate let pass is given back
    plane.operator.post(f"/v1/caps/{ID}", {"cap": 7, "reason": "less"})
    plane.advance(60)
    assert look(run)["retry_after_seconds"] is None
    plane.operator.post(f"/v1/caps/{ID}", {"cap": 8, "reason": "more"})
    spend(run, 1)


def test_people_are_told_once_for_each_level_and_period(plane: Plane) -> None:
    budget(plane, warn_at=[50, 75], limits={"tool_calls": 4})
    run = plane.enrol("clerk").open_run()
    spend(run, 1)
    assert plane.events(type="budget.warned") == []
    spend(run, 3)
    assert [e["body"]["level"] for e in plane.events(type="budget.warned")] == [50, 75]
    assert look(run)["verdict"] == "deny"
    plane.kill()
    plane.restart()
    plane.operator.post(f"/v1/top-ups/{ID}", {"amount": 1, "reason": "one more"})
    spend(run, 1)
    assert len(plane.events(type="budget.warned")) == 2
    plane.advance(86_400)
    run = plane.enrol("clerk").open_run()
    spend(run, 3)
    assert [e["body"]["level"] for e in plane.events(type="budget.warned")] == [50, 75, 50, 75]


def test_people_are_told_again_where_more_is_used_so_far(plane: Plane) -> None:
    pause = {"at": 100, "do": "pause"}
    budget(plane, pause, warn_at=[50], limits={"tool_calls": 4}, scope="agent/clerk")
    run, of_clerk = plane.enrol("clerk").open_run(), "agent/clerk/day/tool_calls"

    def fill(calls: int) -> None:
        spend(run, calls)
        assert look(run)["verdict"] == "deny"
        (lock,) = plane.operator.get("/v1/locks")["rows"]
        plane.operator.post(f"/v1/locks/{lock['lock']}/lift", {"reason": "go on"})

    fill(4)
    plane.operator.post(f"/v1/top-ups/{of_clerk}", {"amount": 8, "reason": "a large order"})
    spend(run, 1)
    assert len(plane.events(type="budget.warned")) == 1, "5 of 12 is not half"
    fill(7)
    assert [e["body"]["cap"] for e in plane.events(type="budget.warned")] == [4, 12]
    assert [e["body"]["cap"] for e in plane.events(type="budget.paused")] == [4, 12]


def test_two_calls_at_the_level_warn_once(plane: Plane) -> None:
    budget(plane, warn_at=[25], limits={"tool_calls": 40})
    runs = [plane.enrol("clerk").open_run() for _ in range(4)]
    assert all(run.caller for run in runs)  # made before threads share them
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(look, runs * 5))
    assert all(answer["verdict"] == "permit" for answer in answers)
    assert len(plane.events(type="budget.warned")) == 1


def test_many_at_once_ask_one_top_up_and_two_approvals_top_up_once(plane: Plane) -> None:
    budget(plane, {"at": 100, "do": "ask", "top_up_percent": 100})
    runs = [plane.enrol("clerk").open_run() for _ in range(4)]
    spend(runs[0], 4)
    assert all(run.caller for run in runs)  # made before threads share them
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(look, runs * 4))
        assert {one["verdict"] for one in held} == {"hold"}
        (request,) = {one["request"] for one in held}

        def approve(_: int) -> bool:
            try:
                vote(plane, request)
            except Exception:
                return False
            return True

        assert sum(pool.map(approve, range(6))) == 1
    row = plane.operator.get(f"/v1/budgets/{ID}")
    assert (row["topped_up"], row["posted"] + row["held"]) == (4, 4)


def test_each_of_a_kind_has_its_own_cap_to_top_up_or_change(plane: Plane) -> None:
    budget(plane, scope="agent/*", limits={"tool_calls": 1})
    clerk, scribe = plane.enrol("clerk").open_run(), plane.enrol("scribe").open_run()
    name = "agent/clerk/day/tool_calls"
    row = plane.operator.post(f"/v1/top-ups/{name}", {"amount": 1, "reason": "more"})
    assert (row["cap"], row["topped_up"]) == (1, 1)
    spend(clerk, 2)
    assert look(clerk)["rule"] == f"budget/{name}"
    plane.operator.post(f"/v1/caps/{name}", {"cap": 5, "reason": "more"})
    spend(clerk, 1)
    spend(scribe, 1)
    assert look(scribe)["rule"] == "budget/agent/scribe/day/tool_calls"
    for change in ("caps", "top-ups"):
        what = {"cap": 0} if change == "caps" else {"amount": 1}
        problem = plane.operator.problem(
            "POST", f"/v1/{change}/agent/*/day/tool_calls", {**what, "reason": "all"}, status=400
        )
        assert problem["rule"] == "budget/each", "it would hold for nobody"


def cap(plane: Plane, **body: Any) -> dict[str, Any]:
    found: dict[str, Any] = plane.operator.post(f"/v1/caps/{ID}", {"reason": "why", **body})
    return found


def test_a_changed_cap_holds_over_an_apply_and_a_restart_until_it_is_taken_back(
    plane: Plane,
) -> None:
    budget(plane)
    run = plane.enrol("clerk").open_run()
    spend(run, 3)
    row = cap(plane, cap=2)
    assert (row["cap"], row["state"]) == (2, "exhausted")
    assert row["cap_by"].startswith("person/")
    assert look(run)["rule"] == f"budget/{ID}"
    budget(plane, name="other", scope="all")
    assert look(run)["rule"] == f"budget/{ID}"
    plane.kill()
    plane.restart()
    assert look(run)["rule"] == f"budget/{ID}"
    assert plane.operator.get(f"/v1/budgets/{ID}")["cap"] == 2
    row = cap(plane)
    assert (row["cap"], row["cap_by"]) == (4, None)
    spend(run, 1)
    bodies = [event["body"] for event in plane.events(type="budget.cap_changed")]
    assert [(one["before"], one["after"]) for one in bodies] == [(4, 2), (2, None)]


def test_a_changed_cap_ends_with_its_time(plane: Plane) -> None:
    budget(plane, scope="all")
    name = "all/day/tool_calls"
    now = plane.operator.get("/v1/status")["now"]
    body = {"cap": 0, "until": now + 60_000_000, "reason": "wait"}
    plane.operator.post(f"/v1/caps/{name}", body)
    run = plane.enrol("clerk").open_run()
    assert look(run)["rule"] == f"budget/{name}"
    plane.advance(60)
    spend(run, 1)
    assert plane.operator.get(f"/v1/budgets/{name}")["cap_by"] is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"budget": "team/nobody/day/tool_calls", "cap": 1}, "no document"),
        ({"budget": "run/run_x/tool_calls", "cap": 1}, "no document|run"),
        ({"budget": "what", "cap": 1}, "no budget|no document"),
        ({"budget": ID}, "documents' own"),
        ({"budget": ID, "cap": 1, "until": 1}, "is over"),
        ({"budget": ID, "cap": -1}, "cap"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_cap_that_cannot_be_changed(plane: Plane, change: dict[str, Any], says: str) -> None:
    budget(plane)
    named = change.pop("budget")
    with pytest.raises(Exception, match=f"(?i){says}"):
        plane.operator.post(f"/v1/caps/{named}", {"reason": "why", **change})
