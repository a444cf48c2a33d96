"""One request as one causal chain: a model asked, something retrieved, tools, a refusal, an
approval, a failure, a child run; and who, under what, at what cost, on each of them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.provider import Provider
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY, agent_document, upstream_document, world
from tests.traces.entries import CALLER
from watchkeeper.core.tracing import span_of

READS = "does: Read one charge.\n  access: read"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    place = tmp_path_factory.mktemp("chain")
    upstream, provider = Upstream(place / "up").start(), Provider(place / "model").start()
    running = Plane(place / "plane").start()
    clerk = agent_document().replace("{mode: own,", "{mode: own, delegates_to: [helper],")
    try:
        documents = world(
            agent_document("helper"),
            agent=clerk,
            upstream=upstream_document(url=upstream.url),
            provider_url=provider.url,
        )
        told = [one.replace(READS, f"{READS}\n  retrieves: charges") for one in documents]
        running.apply(*told, policy__cedar=POLICY)
        yield running
    finally:
        running.close()
        upstream.stop()
        provider.stop()


@pytest.fixture(scope="module")
def run(plane: Plane) -> Run:
    """A run that does all of it, and the child run that helps it."""
    clerk, helper = plane.enrol("clerk"), plane.enrol("helper")
    asked = {"goal": "pay the customer back", "on_behalf_of": "user/ada"}
    header = {"traceparent": CALLER}
    opened = clerk.caller.http.post("/v1/runs", json=asked, headers=header).json()
    run = Run(opened["run"], opened["token"], opened["mcp_url"], opened["model_base_url"], clerk)
    run.openai().chat.completions.create(
        model="small-fast", messages=[{"role": "user", "content": "what is owed?"}]
    )
    asyncio.run(work(plane, run))
    remember(run)
    child = helper.open_run(parent=run.token)
    child.settle(child.decide("books.echo")["decision"])
    child.close()
    run.close()
    return run


async def work(plane: Plane, run: Run) -> None:
    async with run.mcp() as client:
        await client.call_tool("books.lookup_charge", {"charge_id": "ch_2"})
        await client.call_tool("books.create_refund", {"charge_id": "ch_1", "amount_usd": 10})
        await client.call_tool("books.create_refund", {"charge_id": "ch_3", "amount_usd": 2000})
        await client.call_tool("books.fail", {})
        refund = {"charge_id": "ch_2", "amount_usd": 300}
        await client.call_tool("books.create_refund", refund)
        (row,) = plane.operator.get("/v1/requests", state="pending")["rows"]
        vote = {"verdict": "approve", "digest": row["digest"], "reason": "checked"}
        plane.operator.post(f"/v1/requests/{row['request']}/votes", vote)
        await client.call_tool("books.create_refund", refund)


def remember(run: Run) -> None:
    """Report, as an agent's own telemetry does, what it keeps to itself."""
    began = time.time_ns()
    one = {
        "traceId": "c" * 32,
        "spanId": "d" * 16,
        "name": "update_memory customers",
        "startTimeUnixNano": str(began),
        "endTimeUnixNano": str(began + 1000),
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "update_memory"}},
            {"key": "watchkeeper.run", "value": {"stringValue": run.id}},
        ],
    }
    sent = {"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}
    taken = run.caller.http.post(
        "/v1/traces", content=json.dumps(sent), headers={"content-type": "application/json"}
    )
    assert taken.status_code == 200, taken.text


@pytest.fixture(scope="module")
def rows(plane: Plane, run: Run) -> list[dict[str, Any]]:
    trace = plane.operator.get(f"/v1/traces/{run.id}")["trace"]
    found = plane.operator.get("/v1/spans", trace=trace, limit=100)["rows"]
    return sorted(found, key=lambda row: (row["start"], row["sequence"]))


def of(rows: list[dict[str, Any]], name: str, **wanted: Any) -> dict[str, Any]:
    """Return the one step of that name."""
    (found,) = [
        row for row in rows
        if row["name"] == name and all(row[field] == value for field, value in wanted.items())
    ]  # fmt: skip
    return found


def test_everything_hangs_from_one_request(rows: list[dict[str, Any]], run: Run) -> None:
    assert {row["name"].split()[0] for row in rows} == {
        "invoke_agent", "chat", "retrieval", "execute_tool", "approval",
    }  # fmt: skip
    spans = {row["span"] for row in rows}
    (root,) = [row for row in rows if row["parent"] is None]
    assert (root["key"], root["outcome"], root["principal"]) == (run.id, "succeeded", "user/ada")
    assert root["attributes"]["watchkeeper.owner"] == "finance-ops"
    assert root["links"] == [
        {"trace": CALLER.split("-")[1], "span": CALLER.split("-")[2], "relation": "caller"}
    ]
    assert all(row["parent"] in spans for row in rows if row is not root)
    assert [row["agent"] for row in rows if row["parent"] == span_of(run.id)].count("helper") == 1


def test_each_step_says_who_under_what_and_at_what_cost(rows: list[dict[str, Any]]) -> None:
    model = of(rows, "chat small-fast")
    said = model["attributes"]
    assert (model["input_tokens"] > 0, model["cost_micros"] > 0) == (True, True)
    assert said["gen_ai.response.finish_reasons"] == ["stop"]
    assert said["gen_ai.response.id"] == "chatcmpl-rig"
    looked = of(rows, "retrieval books.lookup_charge")
    assert looked["attributes"]["gen_ai.data_source.id"] == "charges"
    assert of(rows, "execute_tool books.fail")["outcome"] == "failed"
    refused = of(rows, "execute_tool books.create_refund", verdict="deny")
    assert refused["rule"] == "policy/refund-never-over-1000"
    held = of(rows, "execute_tool books.create_refund", verdict="hold")
    approval = of(rows, "approval create refund of $300.00 on charge ch_2", parent=held["span"])
    assert approval["principal"].startswith("person/")
    approved = [row for row in rows if row["request"] and row["verdict"] == "permit"]
    given = [row["attributes"]["watchkeeper.approved_by"] for row in approved]
    assert given == [[approval["principal"]]]
    assert [link["span"] for link in approved[0]["links"]] == [approval["span"]]
    for row in rows:
        assert (row["agent"] in ("clerk", "helper"), row["version"]) == (True, 1)
        assert row["took_ms"] is not None
        if row["kind"] == "action":
            assert row["principal"] == "user/ada"
            assert row["rule"]
            assert row["attributes"]["watchkeeper.policies"].startswith("sha256:")


def test_what_it_rested_on_names_its_sources(plane: Plane, run: Run) -> None:
    found = plane.operator.get(f"/v1/ask/rested-on/{run.id}")["rows"]
    assert {row["basis"] for row in found} == {
        "retrieval", "tool", "model", "memory", "delegation", "approval",
    }  # fmt: skip
    (looked,) = [row for row in found if row["basis"] == "retrieval"]
    assert looked["data_source"] == "charges"


def test_calls_admitted_are_calls_recorded(plane: Plane, run: Run) -> None:
    found = plane.operator.get("/v1/spans/check")
    assert (found["ok"], found["running"], found["unattributed"]) == (True, 0, [])
    assert found["admitted"] == found["recorded"] == 6
