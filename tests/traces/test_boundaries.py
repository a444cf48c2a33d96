"""W3C trace context at every way in that asks for an action or opens a run.

Over MCP and of models: `tests/gateways/test_tracing.py`; of hooks: `tests/hooks/test_prompts.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.test_authzen import refund, request_of
from tests.identity.oauth import EXCHANGE
from tests.rig.agent import Agent, Run
from tests.rig.plane import Plane
from tests.rig.world import POLICY, agent_document, world
from tests.traces.entries import CALLER
from watchkeeper.core.tracing import TraceContext, trace_of

GIVEN = TraceContext(*CALLER.split("-")[1:3])
HEADER = {"traceparent": CALLER}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("boundaries")).start()
    clerk = agent_document().replace("{mode: own,", "{mode: own, delegates_to: [helper],")
    try:
        running.apply(*world(agent=clerk), agent_document("helper"), policy__cedar=POLICY)
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def helper(plane: Plane) -> Agent:
    return plane.enrol("helper")


@pytest.fixture(scope="module")
def clerk(plane: Plane) -> Agent:
    return plane.enrol("clerk")


def test_calls_are_in_their_callers_trace(clerk: Agent) -> None:
    run = clerk.open_run()
    asked: dict[str, Any] = {"name": "books.echo", "arguments": {}}
    function = {"call_id": "c1", "run_id": "r1", "spec": {"fn": "books.echo", "kwargs": {"n": 1}}}
    denied = run.caller.post("/access/v1/evaluation", refund(251))
    ways = [
        ("/v1/decide", asked),
        ("/humanlayer/v1/function_calls", function),
        ("/access/v1/requests", request_of(refund(251), denied)),
    ]
    for path, body in ways:
        answered = run.caller.http.post(path, json=body, headers=HEADER)
        assert answered.status_code < 300, answered.text
    rows = actions(run)
    assert len(rows) == len(ways), "an evaluation is a question, and leaves nothing"
    assert {(row["trace"], row["parent"]) for row in rows} == {GIVEN}


def test_child_runs_are_in_their_parents_trace_and_link_to_their_opener(
    plane: Plane, clerk: Agent, helper: Agent
) -> None:
    run = clerk.open_run()
    form = {
        "grant_type": EXCHANGE,
        "subject_token": run.token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "client_id": "helper",
        "client_secret": helper.credential,
    }
    exchanged = plane.caller().http.post("/oauth/token", data=form, headers=HEADER).json()
    opened = helper.caller.http.post(
        "/v1/runs", json={"goal": "help", "parent": run.token}, headers=HEADER
    ).json()
    for child in (exchanged["run"], opened["run"]):
        (top,) = plane.operator.get(f"/v1/traces/{child}")["rows"]
        assert top["trace"] == trace_of(run.id)
        assert top["links"] == [{**GIVEN._asdict(), "relation": "caller"}]


def actions(run: Run) -> list[dict[str, Any]]:
    rows = run.agent.plane.operator.get(f"/v1/traces/{run.id}")["rows"]
    return [row for row in rows if row["kind"] == "action"]
