"""Questions that documents ask: applied, listed, answered, narrowed and refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from tests.cli.command import on, watchkeeper
from tests.rig.agent import Agent
from tests.rig.plane import Plane
from tests.rig.world import agent_document, world
from watchkeeper.registry.questions import Question

PERSON = "person: {name: fin, operates: [{role: viewer, teams: [finance-ops]}]}"
REFUSED = """
question:
  name: refused-by-rule
  description: Which rules refuse which agents?
  where: {verdict: deny, kind: action}
  group_by: [agent, rule]
  order: refusals
---
question:
  name: dear-calls
  description: Which calls cost a tenth of a cent and more?
  where: {kind: action, cost_at_least_usd: 0.001}
  within: 7d
  order: cost
  limit: 2
---
question:
  name: by-day
  description: How much is done a day?
  where: {source: plane}
  group_by: [day]
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("questions")).start()
    try:
        helper = agent_document("helper", owner="legal")
        running.apply(*world(agent=agent_document()), helper, PERSON, REFUSED)
        work(running, running.enrol("clerk"))
        running.enrol("helper").open_run().decide("books.unknown")
        yield running
    finally:
        running.close()


def work(plane: Plane, clerk: Agent) -> None:
    run = clerk.open_run(on_behalf_of="user/ada")
    for micros in (500, 1200, 5000, 3000):
        done = run.decide("books.echo", {"text": str(micros)})
        run.settle(done["decision"], usage={"cost_micros": micros, "input_tokens": 10})
    for _ in range(2):
        run.decide("books.unknown")
    run.close()


def ask(plane: Plane, name: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = plane.operator.get(f"/v1/ask/saved/{name}", **more)
    return found


def test_it_is_listed_beside_what_the_plane_asks_itself(plane: Plane) -> None:
    rows = plane.operator.get("/v1/ask")["rows"]
    assert [row["name"] for row in rows if row["saved"]] == [
        "by-day", "dear-calls", "refused-by-rule",
    ]  # fmt: skip
    assert {row["name"] for row in rows if not row["saved"]} == {"spike", "touched", "rested-on"}
    assert "watchkeeper ask dear-calls" in on(plane, "ask", "list").out


def test_groups_are_counted(plane: Plane) -> None:
    found = ask(plane, "refused-by-rule")
    rows = [(row["values"], row["steps"], row["refusals"], row["runs"]) for row in found["groups"]]
    assert [row[1:] for row in rows] == [(2, 2, 1), (1, 1, 1)]
    assert [row[0][0] for row in rows] == ["clerk", "helper"]
    assert found["where"] == {"kind": "action", "verdict": "deny"}
    (day,) = ask(plane, "by-day")["groups"]
    assert day["values"][0].endswith("00:00:00Z")
    assert (day["cost_micros"], day["tokens"]) == (9700, 40)


def test_steps_are_listed_as_the_document_says(plane: Plane) -> None:
    found = ask(plane, "dear-calls")
    assert [row["cost_micros"] for row in found["steps"]] == [5000, 3000]
    assert found["more"] is True
    assert found["until"] - found["since"] == 7 * 86_400_000_000


def test_what_is_asked_besides_stands_in_the_documents_place(plane: Plane) -> None:
    assert [row["cost_micros"] for row in ask(plane, "dear-calls", limit=5)["steps"]] == [
        5000, 3000, 1200,
    ]  # fmt: skip
    assert ask(plane, "dear-calls", agent="helper")["steps"] == []
    assert len(ask(plane, "refused-by-rule", verdict="permit")["groups"]) == 1
    printed = on(plane, "ask", "refused-by-rule", "--agent", "helper", "--since", "1h").out
    assert "agent helper" in printed
    assert "clerk" not in printed


def test_it_is_printed_and_as_json(plane: Plane) -> None:
    printed = on(plane, "ask", "refused-by-rule").out.splitlines()
    assert printed[0] == "refused-by-rule: Which rules refuse which agents?"
    assert printed[2].split()[:4] == ["AGENT", "RULE", "STEPS", "RUNS"]
    assert "execute_tool books.echo" in on(plane, "ask", "dear-calls").out
    said = json.loads(on(plane, "ask", "by-day", "--json").out)
    assert said["order"] == "steps"
    assert "Nothing of the kind happened." in on(plane, "ask", "by-day", "--run", "run_0").out


def test_of_other_teams_nothing_is_counted(plane: Plane) -> None:
    bearer = {"person": "fin", "permission": "viewer"}
    token = plane.operator.post("/v1/persons/tokens", bearer)["token"]
    groups = plane.caller(token).get("/v1/ask/saved/refused-by-rule")["groups"]
    assert [row["values"][0] for row in groups] == ["clerk"]


def test_one_that_there_is_not_is_named(plane: Plane) -> None:
    plane.operator.problem("GET", "/v1/ask/saved/unheard-of", status=404)
    missing = on(plane, "ask", "unheard-of")
    assert "there is no question 'unheard-of'" in missing.err
    assert "ask list" in missing.err


def test_the_shell_completes_its_name(plane: Plane) -> None:
    typed = {
        "_WATCHKEEPER_COMPLETE": "bash_complete",
        "COMP_WORDS": "watchkeeper ask re",
        "COMP_CWORD": "2",
    }
    offered = watchkeeper(plane.directory, state=plane.state, environ=typed).out.splitlines()
    assert offered == ["plain,rested-on", "plain,refused-by-rule"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"name": "spike"}, "the plane has a question spike itself"),
        ({"within": "soon"}, "write 90s, 30m, 12h, 7d or 2w"),
        ({"within": "93d"}, "from 1s to 92d"),
        ({"group_by": ["agent", "agent"]}, "each of them once"),
        ({"group_by": ["colour"]}, "Input should be 'agent', 'version'"),
        ({"order": "refusals"}, "refusals counts groups"),
        ({"where": {"colour": "red"}}, "Extra inputs are not permitted"),
        ({"where": {"data": "colours"}}, "Input should be 'secret'"),
        ({"where": {"verdict": "refused"}}, "Input should be 'permit', 'hold'"),
        ({"where": {"kind": "action", "verdict": "denied"}}, "it is permit, hold or deny"),
        ({"where": {"kind": "approval", "verdict": "deny"}}, "it is pending, approved"),
        ({"limit": 501}, "less than or equal to 500"),
    ],
)
def test_one_that_cannot_be_asked_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Question.model_validate({"name": "mine", "description": "what?", **more})
