"""Traces: what happened in a run, and windows over the spans of all."""

from __future__ import annotations

from typing import get_args

from watchkeeper.api.table import Call, Operation
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.accounting import check_calls
from watchkeeper.decide.records import find_decision
from watchkeeper.decide.replay.steps import contents_of, shown
from watchkeeper.identity.recorded import no_run
from watchkeeper.identity.runs import agent_of_run
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import resting
from watchkeeper.traces.model import Span
from watchkeeper.traces.reading import (
    Wanted,
    as_shown,
    in_causal_order,
    list_spans,
    spans_of_run,
)
from watchkeeper.wire.data import DATA_CLASSES
from watchkeeper.wire.pages import Page
from watchkeeper.wire.traces import (
    SPAN_VERDICTS,
    Contents,
    SpanKind,
    SpanRow,
    SpanSource,
    SpanStatus,
    Trace,
    TraceCheck,
)

_CHECKED_SECONDS = 86_400


async def trace(call: Call) -> Trace:
    """Show what happened in a run, in causal order."""
    run, after, limit = call.path("run"), call.text("after"), call.limit()
    sequence = await call.rooms.projector.catch_up()

    def query(tx: Transaction) -> tuple[str | None, list[Span], str | None]:
        agent = agent_of_run(tx, run)
        return agent, *spans_of_run(tx, run, after=after, limit=limit)

    agent, found, following = await call.rooms.store.read(query)
    if agent is None:
        raise no_run(run)
    call.check_agent("read", agent)
    ours = (span.trace for span in found if span.source == "plane")
    return Trace(
        run=run,
        agent=agent,
        trace=next(ours, None),
        rows=tuple(as_shown(span, depth) for depth, span in in_causal_order(found, run)),
        next=following,
        sequence=sequence,
    )


async def spans(call: Call) -> Page[SpanRow]:
    """List spans, newest first."""
    wanted, after, limit = wanted_in(call), call.text("after"), call.limit()
    seen = call.agents_seen()
    sequence = await call.rooms.projector.catch_up()

    def query(tx: Transaction) -> tuple[list[Span], str | None]:
        return list_spans(tx, wanted, agents=seen, after=after, limit=limit)

    found, following = await call.rooms.store.scan(query)
    return Page[SpanRow](
        rows=tuple(as_shown(span) for span in found), next=following, sequence=sequence
    )


async def check(call: Call) -> TraceCheck:
    """Compare the calls that were admitted with those that are recorded."""
    now = call.rooms.clock.now()
    since = now - (call.whole("within_seconds") or _CHECKED_SECONDS) * MICROSECONDS
    await call.rooms.projector.catch_up()
    terms = call.rooms.projector.terms
    found = await call.rooms.store.scan(lambda tx: check_calls(tx, since, now + 1, terms))
    return found.model_copy(update={"lost_contents": call.rooms.lost_contents()})


async def contents(call: Call) -> Contents:
    """Show what went into an action and came out of it, or what a prompt said."""
    wanted = call.path("decision")
    await call.rooms.projector.catch_up()

    def query(tx: Transaction) -> Contents:
        prompt = resting.target(tx, wanted)
        if prompt is not None and prompt.kind == "prompt":
            rows, of = shown(tx, wanted), (prompt.run or "", prompt.agent, prompt.name)
        else:
            row = find_decision(tx, wanted)
            rows, of = contents_of(tx, row), (row.run, row.agent, row.name)
        run, agent, name = of
        return Contents(key=wanted, run=run, agent=agent, name=name, rows=tuple(rows))

    found = await call.rooms.store.read(query)
    call.check_agent("read", found.agent)
    return found


def wanted_in(call: Call) -> Wanted:
    """Return which spans a query asks for."""
    within, since = call.whole("within_seconds"), call.whole("since")
    if within is not None:
        since = max(since or 0, call.rooms.clock.now() - within * MICROSECONDS)
    return Wanted(
        agent=call.text("agent"),
        version=call.whole("version"),
        run=call.text("run"),
        trace=call.text("trace"),
        kind=call.option("kind", get_args(SpanKind)),
        operation=call.text("operation"),
        subject=call.text("subject"),
        status=call.option("status", get_args(SpanStatus)),
        verdict=call.option("verdict", SPAN_VERDICTS),
        outcome=call.text("outcome"),
        rule=call.text("rule"),
        principal=call.text("principal"),
        source=call.option("source", get_args(SpanSource)),
        data=call.option("data", DATA_CLASSES),
        cost_at_least=call.whole("cost_at_least"),
        since=since,
        until=call.whole("until"),
        text=call.text("text"),
    )


FILTERS = (
    "agent", "version", "run", "trace", "kind", "operation", "subject", "status", "verdict",
    "outcome", "rule", "principal", "source", "data", "cost_at_least", "text",
)  # fmt: skip
PERIOD = ("since", "until", "within_seconds")
WANTED = (*FILTERS, *PERIOD)
"""The query parameters that `wanted_in` reads."""
OPERATIONS = (
    Operation(
        "GET",
        "/v1/traces/{run}",
        "read",
        trace,
        "Show the spans of a run in causal order, with costs and decisions.",
        answers=Trace,
        query=("after", "limit"),
        tags=("traces",),
    ),
    Operation(
        "GET",
        "/v1/spans/check",
        "audit",
        check,
        "Compare calls admitted with calls recorded, of the last day or `within_seconds`.",
        answers=TraceCheck,
        query=("within_seconds",),
        tags=("traces",),
    ),
    Operation(
        "GET",
        "/v1/contents/{decision}",
        "read",
        contents,
        "Show what went into an action and came out of it, as far as its contract keeps it.",
        answers=Contents,
        tags=("traces",),
    ),
    Operation(
        "GET",
        "/v1/spans",
        "read",
        spans,
        "List spans of every run, newest first.",
        answers=Page[SpanRow],
        query=(*WANTED, "after", "limit"),
        tags=("traces",),
    ),
)
