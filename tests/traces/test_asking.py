"""Questions and comparisons over a plane: the API, and as commands print them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.command import on
from tests.rig.agent import Agent, Run
from tests.rig.plane import Plane
from tests.rig.world import POLICY, agent_document, world

PERSON = "person: {name: fin, operates: [{role: viewer, teams: [finance-ops]}]}"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("asking")).start()
    clerk = agent_document().replace("{mode: own,", "{mode: own, delegates_to: [clerk, helper],")
    helper = agent_document("helper", owner="legal")
    try:
        running.apply(*world(agent=clerk), helper, PERSON, policy__cedar=POLICY)
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def clerk(plane: Plane) -> Agent:
    return plane.enrol("clerk")


@pytest.fixture(scope="module")
def run(plane: Plane, clerk: Agent) -> Run:
    """A run that looked something up, had a refund approved, and was refused."""
    run = clerk.open_run(on_behalf_of="user/ada")
    looked = run.decide("books.echo", {"text": "mail ada@example.com"})
    run.settle(looked["decision"], usage={"cost_micros": 1200, "input_tokens": 10})
    refund = {"charge_id": "ch_1", "amount_usd": 300}
    held = run.decide("books.create_refund", refund)
    asked = plane.operator.get(f"/v1/requests/{held['request']}")
    vote = {"verdict": "approve", "digest": asked["digest"], "reason": "checked"}
    plane.operator.post(f"/v1/requests/{held['request']}/votes", vote)
    allowed = run.decide("books.create_refund", refund)
    run.settle(allowed["decision"])
    run.decide("books.unknown")
    run.close()
    return run


def steps(plane: Plane, run: Run) -> list[dict[str, Any]]:
    return [
        row for row in plane.operator.get(f"/v1/traces/{run.id}")["rows"] if row["kind"] == "action"
    ]


def test_every_question_is_listed(plane: Plane) -> None:
    named = {row["name"] for row in plane.operator.get("/v1/ask")["rows"]}
    assert named == {"spike", "touched", "rested-on"}
    assert "watchkeeper ask touched email" in on(plane, "ask", "list").out


def test_a_rise_is_put_down_to_a_version(plane: Plane, run: Run) -> None:
    found = plane.operator.get("/v1/ask/spike", measure="refusals", by="rule")
    assert (found["before"], found["during"], found["before_since"]) == (
        0, 1, 2 * found["since"] - found["until"],
    )  # fmt: skip
    assert found["rows"][0]["agent"] == "clerk"
    assert any("before" in missing for missing in found["missing"])
    printed = on(plane, "ask", "spike", "cost", "--since", "1h", "--by", "tool").out
    assert "cost: $0.0012, before $0.00" in printed
    assert "books.echo" in printed
    assert "100%" in printed
    assert "Counted: what actions cost" in printed
    assert "Not in it: " in printed


def test_a_period_in_the_past_may_be_asked_for(plane: Plane, run: Run) -> None:
    past = on(plane, "ask", "spike", "calls", "--since", "2020-01-01", "--until", "2020-01-03")
    assert "From 2020-01-01T00:00:00Z to 2020-01-03T00:00:00Z." in past.out
    for since, until in ((5, 5), (0, 10**16)):
        plane.operator.problem("GET", f"/v1/ask/spike?since={since}&until={until}", status=400)


def test_who_touched_data_is_named_with_what_cannot_be_known(plane: Plane, run: Run) -> None:
    found = plane.operator.get("/v1/ask/touched", data="email")
    [clerk] = found["rows"]
    assert (clerk["agent"], clerk["actions"], clerk["runs"]) == ("clerk", 1, 1)
    assert clerk["examples"][0]["run"] == run.id
    printed = on(plane, "ask", "touched", "email").out
    assert clerk["examples"][0]["key"] in printed
    assert "Not in it: what passed past the plane" in printed
    assert "No agent is known to have touched" in on(plane, "ask", "touched", "iban").out
    plane.operator.problem("GET", "/v1/ask/touched?data=love", status=400)


def test_what_a_step_rested_on_is_what_came_before_it(plane: Plane, run: Run) -> None:
    looked, held, refund, _ = steps(plane, run)
    found = plane.operator.get(f"/v1/ask/rested-on/{refund['key']}")
    assert [(row["basis"], row["key"]) for row in found["rows"]] == [
        ("approval", held["request"]), ("tool", looked["key"]),
    ]  # fmt: skip
    assert found["rows"][1]["digests"]["call"].startswith("sha256:")
    [under] = found["runs"]
    assert (under["agent"], under["version"], under["principal"]) == ("clerk", 1, "user/ada")
    assert under["contract"] == plane.operator.get("/v1/agents/clerk")["contract_digest"]
    assert list(found["policies"]) == ["policy"]
    assert under["policies"].startswith("sha256:")
    whole = plane.operator.get(f"/v1/ask/rested-on/{run.id}")
    assert [row["key"] for row in whole["rows"]] == [
        refund["key"], held["request"], looked["key"],
    ]  # fmt: skip
    printed = on(plane, "ask", "rested-on", run.id)
    assert f"{run.id}: clerk version 1; contract sha256:" in printed.out
    assert "Not in it: what models know" in printed.out
    as_json = json.loads(on(plane, "ask", "rested-on", run.id, "--json").out)
    assert {**as_json, "sequence": 0} == {**whole, "sequence": 0}
    plane.operator.problem("GET", "/v1/ask/rested-on/dec_none", status=404)
    plane.operator.problem("GET", "/v1/ask/rested-on/refusal_1", status=404)


def test_what_the_runs_above_knew_counts_for_the_run_they_opened(
    plane: Plane, clerk: Agent
) -> None:
    above = clerk.open_run()
    known = above.decide("books.echo")["decision"]
    above.settle(known)
    late = above.decide("books.echo")["decision"]
    child = clerk.open_run(parent=above.token)
    asked = child.decide("books.echo")["decision"]
    above.settle(late)
    found = plane.operator.get(f"/v1/ask/rested-on/{asked}")
    assert [one["run"] for one in found["runs"]] == [child.id, above.id]
    assert [row["key"] for row in found["rows"]] == [known]
    child.settle(asked)
    child.close()
    whole = plane.operator.get(f"/v1/ask/rested-on/{above.id}")
    assert ("delegation", child.id) in [(row["basis"], row["key"]) for row in whole["rows"]]


def test_runs_of_teams_that_one_does_not_read_are_counted_only(plane: Plane, clerk: Agent) -> None:
    above = clerk.open_run()
    child = plane.enrol("helper").open_run(parent=above.token)
    child.close()
    bearer = {"person": "fin", "permission": "viewer"}
    token = plane.operator.post("/v1/persons/tokens", bearer)["token"]
    path = f"/v1/ask/rested-on/{above.id}"
    assert [row["key"] for row in plane.operator.get(path)["rows"]] == [child.id]
    seen = plane.caller(token).get(path)
    assert seen["rows"] == []
    assert "1 run of teams that you do not read" in seen["missing"]
    touched = plane.caller(token).get("/v1/ask/touched", data="email")
    assert "agents of teams that you do not read" in touched["missing"]


def test_two_runs_stand_side_by_side(plane: Plane, clerk: Agent, run: Run) -> None:
    other = clerk.open_run()
    other.settle(other.decide("books.echo")["decision"], "failed", error="closed")
    other.decide("books.unknown")
    found = plane.operator.get(f"/v1/traces/{run.id}/compare/{other.id}")
    changed, *others = found["rows"]
    assert changed["change"] == "changed"
    assert {"outcome", "cost"} <= set(changed["differs"]) <= {"outcome", "cost", "time"}
    assert [row["change"] for row in others] == ["only_a", "only_a", "same"]
    assert (found["a"]["calls"], found["b"]["calls"], found["b"]["outcome"]) == (2, 1, "running")
    assert any("one still runs" in missing for missing in found["missing"])
    printed = on(plane, "traces", "compare", run.id, other.id).out
    assert "1 step the same, 3 not." in printed
    assert "books.unknown" not in printed
    assert "books.unknown" in on(plane, "traces", "compare", run.id, other.id, "--all").out
    assert on(plane, "traces", "compare", run.id, "run_none").code != 0
