"""Traces of a plane: over the API, and as the command line draws them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import httpx
import pytest

from tests.cli.command import on
from tests.rig.agent import Agent
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from tests.traces.entries import CALLER
from watchkeeper.core.tracing import read_traceparent


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("traces")).start()
    try:
        running.apply(*world(), policy__cedar=POLICY)
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def clerk(plane: Plane) -> Agent:
    return plane.enrol("clerk")


def test_a_run_is_drawn_with_what_was_decided_and_approved(plane: Plane, clerk: Agent) -> None:
    run = clerk.open_run(on_behalf_of="user/ada")
    looked = run.decide("books.echo")["decision"]
    run.settle(looked, usage={"cost_micros": 1200, "input_tokens": 10})
    refund = {"charge_id": "ch_1", "amount_usd": 300}
    held = run.decide("books.create_refund", refund)
    asked = plane.operator.get(f"/v1/requests/{held['request']}")
    vote = {"verdict": "approve", "digest": asked["digest"], "reason": "checked"}
    plane.operator.post(f"/v1/requests/{held['request']}/votes", vote)
    allowed = run.decide("books.create_refund", refund)
    assert allowed["verdict"] == "permit"
    run.settle(allowed["decision"], "failed", error="the bank is closed")
    denied = run.decide("books.unknown")
    assert denied["verdict"] == "deny"
    run.close()

    shown = plane.operator.get(f"/v1/traces/{run.id}")
    rows = shown["rows"]
    assert [(row["depth"], row["key"]) for row in rows] == [
        (0, run.id),
        (1, looked),
        (1, held["decision"]),
        (2, held["request"]),
        (1, allowed["decision"]),
        (1, denied["decision"]),
    ]
    whole, first, waited, approval, done, refused = rows
    assert {row["trace"] for row in rows} == {shown["trace"]}
    assert (whole["calls"], whole["refusals"], whole["cost_micros"]) == (2, 1, 1200)
    assert (first["status"], first["cost_micros"], first["principal"]) == ("ok", 1200, "user/ada")
    assert waited["verdict"] == "hold"
    assert approval["verdict"] == "succeeded" or approval["verdict"] == "redeemed"
    assert [link["relation"] for link in done["links"]] == ["approval"]
    assert (done["outcome"], done["error"]) == ("failed", "the bank is closed")
    assert refused["attributes"]["error.type"] == "denied"

    drawn = on(plane, "trace", run.id).out.splitlines()
    assert drawn[0].startswith(f"{run.id}: clerk version 1 for user/ada, succeeded, ")
    assert "2 calls, 1 refused, 10 tokens, $0.0012" in drawn[0]
    assert drawn[1].split() == ["AT", "TOOK", "BAR", "SPAN", "HOW", "COST", "WHY", "ID"]
    assert "invoke_agent clerk" in drawn[2]
    assert "  execute_tool books.echo" in drawn[3]
    assert "    approval create refund of $300" in drawn[5]
    assert "approved by " in drawn[5]
    assert "failed" in drawn[6]
    assert "the bank is closed" in drawn[6]
    assert "denied" in drawn[7]
    again = json.loads(on(plane, "trace", run.id, "--json").out)
    # what the plane records by itself meanwhile moves the sequence on
    assert again | {"sequence": 0} == shown | {"sequence": 0}
    assert again["sequence"] >= shown["sequence"]


def test_a_long_run_comes_in_pages(plane: Plane, clerk: Agent) -> None:
    run = clerk.open_run()
    for _ in range(4):
        run.decide("books.unknown")
    first = plane.operator.get(f"/v1/traces/{run.id}", limit=3)
    rest = plane.operator.get(f"/v1/traces/{run.id}", limit=3, after=first["next"])
    assert [row["kind"] for row in first["rows"]] == ["run", "action", "action"]
    assert ([row["kind"] for row in rest["rows"]], rest["next"]) == (["action"] * 2, None)
    assert "continued" in on(plane, "trace", run.id, "--after", first["next"]).out
    assert "more: --after" in on(plane, "trace", run.id, "--limit", "3").err


def test_windows_name_what_is_asked_for(plane: Plane, clerk: Agent) -> None:
    run = clerk.open_run()
    run.decide("books.unknown")
    found = plane.operator.get("/v1/spans", run=run.id, status="error")["rows"]
    assert [row["subject"] for row in found] == ["books.unknown"]
    denied = ("traces", "list", "--agent", "clerk", "--verdict", "deny")
    assert run.id in on(plane, *denied, "--since", "2020-01-01").out
    assert run.id not in on(plane, *denied, "--until", "2020-01-01").out
    assert on(plane, "traces", "list", "--agent", "nobody").out.count("\n") == 1


def test_callers_say_in_which_span_of_theirs_they_call(plane: Plane, clerk: Agent) -> None:
    context = read_traceparent(CALLER)
    assert context is not None
    header = {"traceparent": CALLER}
    opened = httpx.post(
        f"{plane.url}/v1/runs",
        json={"goal": "work"},
        headers={"authorization": f"Bearer {clerk.credential}", **header},
    ).json()
    bearer = {"authorization": f"Bearer {opened['token']}"}
    asked = {"name": "books.echo"}
    for headers in (header, {"traceparent": "nonsense"}, {}):
        answered = httpx.post(f"{plane.url}/v1/decide", json=asked, headers={**bearer, **headers})
        assert answered.json()["verdict"] == "permit"
    in_body = httpx.post(f"{plane.url}/v1/decide", json={**asked, **header}, headers=bearer)
    assert in_body.json()["verdict"] == "permit"
    run, *calls = plane.operator.get(f"/v1/traces/{opened['run']}")["rows"]
    assert run["links"] == [{"trace": context.trace, "span": context.span, "relation": "caller"}]
    told = [call["trace"] == context.trace for call in calls]
    assert told == [True, False, False, True]
    assert [call["parent"] for call in calls] == [
        context.span if given else run["span"] for given in told
    ]
    assert [call["depth"] for call in calls] == [1] * 4


def test_every_admitted_call_is_recorded(plane: Plane, clerk: Agent) -> None:
    run = clerk.open_run()
    run.settle(run.decide("books.echo")["decision"])
    run.decide("books.echo")
    run.decide("books.unknown")
    found = plane.operator.get("/v1/spans/check")
    assert found["ok"] is True
    assert found["admitted"] == found["decided"] == found["recorded"] >= 2
    assert found["running"] >= 1
    checked = on(plane, "traces", "check")
    assert checked.out.startswith("Every admitted call is recorded.\n")
    assert checked.code == 0
    database = sqlite3.connect(plane.state / "plane.sqlite3")
    with database:
        database.execute("UPDATE decisions SET verdict = 'permit' WHERE verdict = 'deny'")
    database.close()
    doubtful = on(plane, "traces", "check")
    assert (doubtful.code, doubtful.out.splitlines()[0]) == (1, "CALLS AND RECORDS DIFFER.")


def test_what_went_into_a_call_is_shown(plane: Plane, clerk: Agent) -> None:
    run = clerk.open_run()
    decision = run.decide("books.echo", {"text": "hello"})["decision"]
    shown = on(plane, "traces", "show", decision).out
    assert shown.startswith(f"books.echo of clerk, run {run.id}\ninput: 16 bytes, sha256:")
    assert shown.endswith('{"text":"hello"}\n')
    assert on(plane, "traces", "show", "dec_none").code == 3


def test_refusals_are_searched(plane: Plane, clerk: Agent) -> None:
    run = clerk.open_run()
    run.decide("books.never_heard_of")
    found = on(plane, "traces", "search", "never", "heard", "allowlist", "--agent", "clerk")
    assert run.id in found.out
    nothing = on(plane, "traces", "search", "whatever").out
    assert nothing.count("\n") == 1


def test_there_is_no_trace_of_what_there_was_not(plane: Plane) -> None:
    plane.operator.problem("GET", "/v1/traces/run_none", status=404)


def test_what_a_plane_did_not_tell_before_it_was_killed_the_next_one_tells(plane: Plane) -> None:
    run = plane.enrol("clerk").open_run()
    denied = run.decide("books.unknown")["decision"]
    plane.kill()
    plane.restart()
    rows = plane.operator.get(f"/v1/traces/{run.id}")["rows"]
    assert [row["key"] for row in rows] == [run.id, denied]
