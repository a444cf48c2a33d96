"""Tokens and costs that agents' metrics report, held against what the gateways metered."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
)
from sqlalchemy import update

from tests.cli.command import on
from tests.rig.agent import Agent
from tests.rig.plane import Plane
from tests.telemetry.said import attributes, post
from tests.telemetry.test_bypass import found, now
from tests.telemetry.test_logs import HOOKS, ask_hook, coder, replay
from watchkeeper.decide.catalogue import build_catalogue
from watchkeeper.decide.telemetry import usage as taking
from watchkeeper.decide.telemetry.senders import Sender
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.telemetry import reading, usage
from watchkeeper.traces.telemetry.measuring import Measured
from watchkeeper.traces.telemetry.usage_tables import reported_usage

__all__ = ["coder"]
TOKENS, COST = "gen_ai.client.token.usage", "claude_code.cost.usage"


def report(
    plane: Plane,
    token: str,
    value: float,
    at: int,
    *,
    metric: str = TOKENS,
    start: int | None = None,
    delta: bool = False,
    **said: Any,
) -> None:
    """Send one point: of a histogram, or of a sum where it is a cost."""
    sent = ExportMetricsServiceRequest()
    told = sent.resource_metrics.add().scope_metrics.add().metrics.add(name=metric)
    held = told.sum if metric == COST else told.histogram
    held.aggregation_temporality = (
        AGGREGATION_TEMPORALITY_DELTA if delta else AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    point: Any = held.data_points.add(
        time_unix_nano=at * 1000, start_time_unix_nano=(at if start is None else start) * 1000
    )
    if metric == COST:
        told.sum.is_monotonic = True
        point.as_double = value
    else:
        point.sum, point.count = value, 1
    of = {"gen_ai__token__type": "input", **said}
    point.attributes.extend(attributes({key.replace("__", "."): one for key, one in of.items()}))
    answered = post(plane, token, sent.SerializeToString(), path="/v1/metrics")
    assert answered.status_code == 200, answered.text


def used(plane: Plane, agent: Agent) -> list[dict[str, Any]]:
    page: dict[str, Any] = plane.operator.get("/v1/telemetry/usage", agent=agent.name)
    rows: list[dict[str, Any]] = page["rows"]
    return rows


def unmetered(plane: Plane, agent: Agent) -> list[dict[str, Any]]:
    found(plane, agent)
    page = plane.operator.get("/v1/telemetry/findings", agent=agent.name)
    return [row for row in page["rows"] if row["kind"] == "unmetered"]


def metered(plane: Plane, run: Any, tokens: int) -> None:
    run.decide("small-fast", kind="model", usage={"input_tokens": tokens})


def test_sums_are_told_by_what_each_point_adds(plane: Plane, coder: Agent) -> None:
    run, at = coder.open_run(), now(plane)
    report(plane, run.token, 100, at + 1, start=at)
    report(plane, run.token, 100, at + 1, start=at)  # sent again
    report(plane, run.token, 250, at + 2, start=at)
    report(plane, run.token, 40, at + 3, start=at + 3)  # another process of that name
    report(plane, run.token, 260, at + 4, start=at)
    report(plane, run.token, 7, at + 5, gen_ai__token__type="output", delta=True)
    report(plane, run.token, 8, at + 6, gen_ai__token__type="output", delta=True)
    report(plane, run.token, 0.5, at + 7, metric=COST)
    report(plane, run.token, 3, at + 8, gen_ai__token__type="cached")
    report(plane, run.token, 3, at + 9, metric="gen_ai.client.operation.duration")
    for odd in (float("nan"), float("inf"), -1.0, 1e308):
        report(plane, run.token, odd, at + 9, start=at, other="x")
        report(plane, run.token, odd, at + 9, start=at, other="x", metric=COST)
    report(plane, run.token, 5, at + 9 * 3600 * 1_000_000)
    cost, tokens = sorted(used(plane, coder), key=lambda row: str(row["metric"]))
    assert (tokens["input_tokens"], tokens["output_tokens"]) == (300, 15)
    assert (tokens["run"], tokens["since"], cost["cost_micros"]) == (run.id, at, 500_000)


def test_tokens_that_no_gateway_metered_are_found_once(plane: Plane, coder: Agent) -> None:
    run, at = coder.open_run(), now(plane)
    report(plane, run.token, 900, at + 1, start=at)
    assert unmetered(plane, coder) == [], "a little may differ"
    report(plane, run.token, 5_000, now(plane), start=at)
    (row,) = unmetered(plane, coder)
    assert (row["run"], row["subject"], row["count"], row["trace"]) == (run.id, TOKENS, 1, None)
    assert row["text"].endswith(f"reports more tokens ({TOKENS}) than any gateway metered")
    need = f"telemetry/unmetered/{coder.name}"
    needs = {need["need"] for need in plane.operator.get("/v1/watch", limit=500)["rows"]}
    assert need in needs
    (sums,) = used(plane, coder)
    assert (sums["input_tokens"], sums["metered_tokens"]) == (5_000, 0)
    told = on(plane, "telemetry", "usage", "--agent", coder.name).out
    assert "5,000" in told
    on(plane, "telemetry", "dismiss", row["finding"], "--reason", "a model in-process")
    report(plane, run.token, 5_100, now(plane), start=at)
    assert unmetered(plane, coder) == [], "the same again"
    report(plane, run.token, 9_000, now(plane), start=at)
    assert [row["count"] for row in unmetered(plane, coder)] == [2]


@pytest.mark.parametrize("known", ["run", "nothing"])
def test_what_was_metered_is_not_found(plane: Plane, known: str) -> None:
    clerk = plane.enrol("clerk")
    run, at = clerk.open_run(), now(plane)
    told = run.decide("small-fast", kind="model")
    run.settle(told["decision"], usage={"input_tokens": 4_000, "output_tokens": 500})
    token = run.token if known == "run" else clerk.credential
    report(plane, token, 4_000, at + 1_000_000, start=at)
    report(plane, token, 700, at + 1_000_000, start=at, gen_ai__token__type="output")
    assert unmetered(plane, clerk) == []
    (row,) = (
        row for row in used(plane, clerk) if row["run"] == (run.id if token == run.token else None)
    )
    assert (row["input_tokens"], row["output_tokens"]) == (4_000, 700)
    assert row["metered_tokens"] >= 4_500


@pytest.mark.parametrize("client", HOOKS)
def test_what_coding_agents_measure_is_of_their_sessions(
    plane: Plane, coder: Agent, client: str
) -> None:
    at = now(plane)
    ask_hook(plane, coder, client)
    replay(plane, coder, client, at, "resourceMetrics")
    replay(plane, coder, client, at, "resourceMetrics")
    rows = used(plane, coder)
    assert {(row["input_tokens"], row["output_tokens"]) for row in rows} - {(0, 0)} == {(20, 10)}
    (decision,) = plane.operator.get("/v1/decisions", agent=coder.name)["rows"]
    # Codex does not say of which session they are
    assert {row["run"] for row in rows} == {None if client == "codex" else decision["run"]}


async def test_what_is_used_is_summed_and_forgotten_on_both_engines(store: Store) -> None:
    at = store.clock.now()
    first = Measured(TOKENS, "input_tokens", "s1", None, None, None, at, at - 9, 5_000, False)
    more = msgspec.structs.replace(first, at=at + 1, amount=6_000)
    other = msgspec.structs.replace(first, series="s2", start=at - 20, amount=1, delta=True)

    def take(tx: Transaction) -> bool:
        tx.silent("a test")
        return taking.take(tx, Sender("clerk", None), [first, first, more, other])

    assert await store.write(take)
    (row,) = await store.read(lambda tx: usage.listed(tx, None, None))
    assert (row.input_tokens, row.since, row.last_at) == (6_001, at - 20, at + 1)
    catalogue = build_catalogue({})
    await store.write(lambda tx: taking.look(tx, catalogue, "clerk", at))
    (row,) = await store.read(lambda tx: usage.listed(tx, {"clerk"}, "clerk"))
    assert (row.metered_tokens, row.told, row.state) == (0, 6_001, "looked")
    found, _ = await store.read(reading.findings)
    assert [one.kind for one in found] == ["unmetered"]
    await store.write(lambda tx: usage.purge(tx, at + 1))
    assert await store.read(lambda tx: usage.listed(tx, None, None)) == []


async def test_sums_stop_growing_before_they_are_too_large_for_a_row(store: Store) -> None:
    at, most = store.clock.now(), 10**15
    point = Measured(TOKENS, "input_tokens", "s", None, None, None, at, at, most, True)
    many = [msgspec.structs.replace(point, at=at + n) for n in range(3)]

    def take(tx: Transaction) -> bool:
        tx.silent("a test")
        tx.connection.execute(update(reported_usage).values(input_tokens=10**18 - most))
        return taking.take(tx, Sender("clerk", None), many)

    await store.write(take)
    assert await store.write(take) is False, "sent again"
    many = [msgspec.structs.replace(point, at=at + 9 + n) for n in range(3)]
    await store.write(take)
    (row,) = await store.read(lambda tx: usage.listed(tx, None, None))
    assert row.input_tokens == 10**18
