"""Runs as spans: invocations of an agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from watchkeeper.core.tracing import read_traceparent, span_of, trace_of
from watchkeeper.store.journal import Event
from watchkeeper.traces.bodies import kept, short
from watchkeeper.traces.model import Link, Span, Spans
from watchkeeper.wire.traces import SpanStatus

ASKED = "run.asked"
ENDED = frozenset({"run.closed", "run.expired", "run.stopped"})


def opened(event: Event, body: Mapping[str, Any]) -> Span:
    """Return the span of a run that begins."""
    run, parent = event.run or "", body.get("parent")
    caller = read_traceparent(body.get("traceparent"))
    return Span(
        key=run,
        kind="run",
        run=run,
        trace=trace_of(body.get("root") or parent or run),
        span=span_of(run),
        parent=span_of(parent) if parent else None,
        agent=event.agent or "",
        version=body.get("version"),
        operation="invoke_agent",
        subject=event.agent or "",
        start=event.at,
        outcome="running",
        sequence=event.sequence,
        principal=body.get("on_behalf_of"),
        links=(Link(caller.trace, caller.span, "caller"),) if caller else (),
        attributes=kept(event.type, body, {"watchkeeper.parent_run": parent} if parent else {}),
    )


def prompt_of(event: Event) -> str:
    """Return what the prompt of such an entry is kept under."""
    return event.subject.partition("/")[2]


def asked(event: Event, body: Mapping[str, Any], spans: Spans) -> Span:
    """Return the span of a prompt: a moment, below which stands what comes of it."""
    key, run = prompt_of(event), event.run or ""
    of_run = spans.get(run)
    return Span(
        key=key,
        kind="prompt",
        run=run,
        trace=of_run.trace if of_run else trace_of(run),
        span=span_of(key),
        parent=span_of(run),
        agent=event.agent or "",
        version=of_run.version if of_run else None,
        operation="user_request",
        subject="",
        start=event.at,
        end=event.at,
        status="ok",
        sequence=event.sequence,
        principal=of_run.principal if of_run else None,
        attributes=kept(event.type, body, {}),
    )


def refused(event: Event, body: Mapping[str, Any]) -> Span:
    """Return the span of a run that was not opened."""
    key = f"refusal_{event.sequence}"
    return Span(
        key=key,
        kind="run",
        run=None,
        trace=trace_of(key),
        span=span_of(key),
        parent=None,
        agent=event.agent or "",
        operation="invoke_agent",
        subject=event.agent or "",
        start=event.at,
        end=event.at,
        status="error",
        verdict="deny",
        rule=body.get("rule"),
        error=short(body.get("reason")),
        sequence=event.sequence,
    )


def ended(span: Span, event: Event, body: Mapping[str, Any]) -> Span:
    """Return the span of a run that was closed, stopped or left."""
    outcome = body.get("outcome") or event.type.partition(".")[2]
    if event.type == "run.stopped":
        return replace(
            span,
            end=event.at,  # its agent may never close it
            outcome=outcome,
            status="error",
            rule=f"lock/{body['lock']}" if "lock" in body else span.rule,
            error=short(body.get("reason")),
        )
    status: SpanStatus = "ok" if outcome == "succeeded" else "error"
    return replace(span, end=event.at, outcome=outcome, status=status)
