"""Breakers on a real plane: agents run away, are stopped, and are let go on again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.notices.test_plane import channel, person, told
from tests.rig.agent import Run
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.sinks import web_sink
from tests.rig.world import POLICY, agent_document, budget_document, world

CLERK = agent_document().replace("token_ttl_seconds: 900", "token_ttl_seconds: 3600")
USUAL, JUMPED = 2_000, 20_000
BREAKER = "runaway/clerk"


def breaker_document(**more: object) -> str:
    return json.dumps({"breaker": {"name": "runaway", "scope": "agent/clerk", **more}})


COST = breaker_document(cost={"baseline_calls": 30}, cool_down_seconds=60)


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    plane = Plane(tmp_path, clock="frozen").start()
    yield plane
    plane.close()


def begin(plane: Plane, *documents: str) -> Run:
    plane.apply(*world(*documents, agent=CLERK), policy__cedar=POLICY)
    return plane.enrol("clerk").open_run()


def call(run: Run, cost: int = USUAL, status: str = "succeeded", n: object = 0) -> dict[str, Any]:
    """Ask for a model call and report what it cost."""
    said = {"messages": [{"role": "user", "content": str(n)}]}
    answer = run.decide("small-fast", said, kind="model")
    if answer["verdict"] == "permit":
        run.settle(answer["decision"], status, usage={"cost_micros": cost})
    return answer


def row(plane: Plane, breaker: str = BREAKER) -> dict[str, Any]:
    found: dict[str, Any] = plane.operator.get(f"/v1/breakers/{breaker}")
    return found


def caught_up(plane: Plane, calls: int) -> None:
    eventually(lambda: row(plane)["calls"] >= calls, "the baseline is learned")


def wait_for(plane: Plane, state: str) -> dict[str, Any]:
    return eventually(
        lambda: found if (found := row(plane))["state"] == state else None, f"it is {state}"
    )


def learn(plane: Plane, run: Run, calls: int = 30) -> None:
    for n in range(calls):
        plane.advance(10)
        assert call(run, USUAL + n % 7 * 50, n=n)["verdict"] == "permit"
    caught_up(plane, calls)


def jump(plane: Plane, run: Run) -> tuple[int, dict[str, Any]]:
    """Call at ten times the price until refused; return how many calls passed."""
    for n in range(100):
        plane.advance(10)
        answer = call(run, JUMPED, n=f"jump {n}")
        if answer["verdict"] == "deny":
            return n, answer
    raise AssertionError("nothing was refused")


def test_an_agent_whose_calls_cost_ten_times_as_much_is_paused(plane: Plane) -> None:
    run = begin(plane, COST)
    learn(plane, run)
    assert row(plane)["median_cost_micros"] in range(1_900, 2_400)
    passed, refused = jump(plane, run)
    assert passed <= 15
    assert refused["rule"] == f"breaker/{BREAKER}"
    assert "(cost)" in refused["reason"]
    assert "times the usual $0.002" in refused["reason"]
    assert f"watchkeeper breakers reset {BREAKER}" in refused["allowed_instead"]
    found = row(plane)
    assert (found["state"], found["detector"], found["run"]) == ("open", "cost", run.id)
    assert (found["trips"], found["refused"]) == (1, 1)
    # tools too
    tool = run.decide("books.lookup_charge", {"charge_id": "ch_1"})
    assert tool["rule"] == f"breaker/{BREAKER}"
    needs = plane.operator.get("/v1/watch")["rows"]
    assert [need["subject"] for need in needs if need["kind"] == "breaker"] == [BREAKER]


def test_a_probe_that_goes_well_closes_it_and_the_next_jump_opens_it(plane: Plane) -> None:
    run = begin(plane, COST)
    learn(plane, run)
    jump(plane, run)
    plane.advance(61)
    # a tool shows nothing of what model calls cost
    assert run.decide("books.lookup_charge", {"charge_id": "ch_1"})["verdict"] == "deny"
    free = run.decide("small-fast", {"messages": [], "n": 1}, kind="model")
    assert free["verdict"] == "permit"
    run.settle(free["decision"])
    wait_for(plane, "open")  # what costs nothing shows nothing
    probe = run.decide("small-fast", {"messages": []}, kind="model")
    assert probe["verdict"] == "permit"
    assert row(plane)["state"] == "half-open"
    assert call(run)["verdict"] == "deny"
    run.settle(probe["decision"], usage={"cost_micros": JUMPED})
    assert wait_for(plane, "open")["probes_at"] > row(plane)["opened_at"]
    assert call(run)["verdict"] == "deny"
    plane.advance(61)
    assert call(run)["verdict"] == "permit"
    assert wait_for(plane, "closed")["trips"] == 1
    assert call(run)["verdict"] == "permit"
    assert jump(plane, run)[0] <= 15
    types = [event["type"] for event in plane.events(type="breaker.")][1:]
    assert types == [
        "breaker.opened", *["breaker.probing", "breaker.reopened"] * 2, "breaker.probing",
        "breaker.closed", "breaker.opened",
    ]  # fmt: skip


def test_a_person_closes_it_with_a_reason(plane: Plane) -> None:
    run = begin(plane, breaker_document(cost={"baseline_calls": 30}, reset="person"))
    learn(plane, run)
    jump(plane, run)
    assert row(plane)["probes_at"] is None
    plane.advance(7 * 86_400)
    renewed = plane.caller(run.agent.credential).post("/v1/runs", {"goal": "again"})
    again = Run(renewed["run"], renewed["token"], "", "", run.agent)
    assert call(again)["rule"] == f"breaker/{BREAKER}"
    closed = plane.operator.post(f"/v1/breakers/{BREAKER}/reset", {"reason": "a new prompt"})
    assert closed["state"] == "closed"
    assert call(again)["verdict"] == "permit"
    (event,) = plane.events(type="breaker.reset")
    assert "a new prompt" in event["text"]


def test_a_looping_agent_is_stopped_and_pages_are_no_loop(plane: Plane) -> None:
    run = begin(plane, breaker_document(loop={"repeats": 5}, cool_down_seconds=60))
    for page in range(20):
        plane.advance(1)
        assert run.decide("books.echo", {"page": page})["verdict"] == "permit"
    for _ in range(3):
        plane.advance(1)
        run.decide("books.echo", {"page": 99})
    assert row(plane)["state"] == "closed"
    for _ in range(2):
        plane.advance(1)
        run.decide("books.echo", {"page": 99})
    found = wait_for(plane, "open")
    assert found["detector"] == "loop"
    assert "books.echo was called 5 times with the same arguments" in found["reason"]
    plane.advance(61)
    assert run.decide("books.echo", {"page": 99})["verdict"] == "deny"
    assert run.decide("books.echo", {"page": 100})["verdict"] == "permit"


def test_a_storm_of_errors_stops_it(plane: Plane) -> None:
    run = begin(plane, breaker_document(errors={"share": 0.5, "calls": 10}))
    for n in range(10):
        plane.advance(1)
        call(run, status="failed" if n % 2 else "succeeded", n=n)
    found = wait_for(plane, "open")
    assert found["reason"] == "5 of the newest 10 calls failed"


def test_a_faster_agent_is_slowed_down(plane: Plane) -> None:
    rate = {"baseline_calls": 30}
    run = begin(
        plane,
        breaker_document(rate=rate, then="throttle", throttle={"calls": 1, "per": "minute"}),
    )
    for n in range(60):
        plane.advance(8 + n % 5)
        assert call(run, n=n)["verdict"] == "permit"
    for n in range(15):
        plane.advance(1)
        call(run, n=f"fast {n}")
    found = wait_for(plane, "open")
    assert (found["detector"], found["does"]) == ("rate", "throttle")
    assert found["calls_per_minute"] == pytest.approx(6, rel=0.1)
    plane.advance(60)
    assert call(run)["verdict"] == "permit"
    refused = call(run)
    assert refused["rule"] == f"breaker/{BREAKER}"
    assert "may make 1 call a minute" in refused["reason"]


def test_a_budget_that_burns_too_fast_stops_it(plane: Plane) -> None:
    run = begin(
        plane,
        breaker_document(burn={"times": 4.8}),
        budget_document("daily", "team/finance-ops", spend_usd=1),
    )
    for n in range(10):
        plane.advance(30)
        call(run, 9_000, n=n)
    assert row(plane)["state"] == "closed"
    for n in range(10, 14):
        plane.advance(30)
        call(run, 9_000, n=n)
    assert "of budget daily within 30 min" in wait_for(plane, "open")["reason"]


def test_nothing_is_lost_when_the_plane_is_killed(plane: Plane) -> None:
    run = begin(plane, COST)
    learn(plane, run)
    plane.kill()
    plane.restart()
    caught_up(plane, 30)
    assert jump(plane, run)[0] <= 15
    plane.kill()
    plane.restart()
    assert row(plane)["state"] == "open"
    assert call(run)["verdict"] == "deny"
    plane.advance(61)
    probe = run.decide("small-fast", {"messages": []}, kind="model")
    assert probe["verdict"] == "permit"
    plane.kill()
    plane.restart()
    assert row(plane)["state"] == "half-open"
    assert call(run)["verdict"] == "deny"
    plane.advance(901)
    again = run.agent.open_run()
    eventually(lambda: row(plane)["state"] == "open", "the lost probe is given up")
    assert call(again)["verdict"] == "permit"
    wait_for(plane, "closed")
    assert len(plane.events(type="breaker.opened")) == 1


def test_the_owners_are_told(tmp_path: Path) -> None:
    with web_sink() as web:
        plane = Plane(tmp_path, clock="frozen", environ={"TELL_PAGER": web.url("p")}).start()
        try:
            run = begin(
                plane,
                breaker_document(loop={"repeats": 2}),
                channel("pager"),
                person("grace", "pager"),
            )
            for _ in range(2):
                run.decide("books.echo", {"page": 1})
            (said,) = eventually(lambda: told(web), "grace, who is of finance-ops, is told")
            assert "breaker runaway tripped (loop) and paused clerk" in said[1]
        finally:
            plane.close()


def test_it_closes_with_its_document(plane: Plane) -> None:
    run = begin(plane, breaker_document(loop={"repeats": 2}))
    for _ in range(2):
        run.decide("books.echo", {"page": 1})
    wait_for(plane, "open")
    files = [{"path": f"{n}.yaml", "text": text} for n, text in enumerate(world())]
    plane.operator.post(
        "/v1/apply",
        {"files": [*files, {"path": "policy.cedar", "text": POLICY}], "prune": True},
    )
    assert run.decide("books.echo", {"page": 1})["verdict"] == "permit"
    assert plane.operator.get("/v1/breakers")["rows"] == []
    assert plane.events(type="breaker.")[-1]["type"] == "breaker.closed"


def test_each_agent_of_a_team_has_its_own(plane: Plane) -> None:
    document = breaker_document(scope="team/finance-ops", loop={"repeats": 2})
    plane.apply(*world(document), agent_document("scribe"), policy__cedar=POLICY)
    clerk, scribe = (plane.enrol(name).open_run() for name in ("clerk", "scribe"))
    for _ in range(2):
        clerk.decide("books.echo", {"page": 1})
    wait_for(plane, "open")
    assert scribe.decide("books.echo", {"page": 1})["verdict"] == "permit"
    rows = plane.operator.get("/v1/breakers")["rows"]
    assert [(one["breaker"], one["state"]) for one in rows] == [
        ("runaway/clerk", "open"),
        ("runaway/scribe", "closed"),
    ]
    assert len(plane.operator.get("/v1/breakers", state="open")["rows"]) == 1
