"""Requests for approval as spans, from being asked to being decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from watchkeeper.core.tracing import span_of, trace_of
from watchkeeper.store.journal import Event
from watchkeeper.traces.bodies import kept, marked, short
from watchkeeper.traces.model import Link, Span, Spans

_SETTLED = {
    "request.approved": "approved",
    "request.denied": "denied",
    "request.expired": "expired",
    "request.cancelled": "cancelled",
    "request.superseded": "superseded",
    "request.revoked": "revoked",
}
_AFTERWARDS = {"request.lapsed": "lapsed", "grant.redeemed": "redeemed"}
_RUN = "run_"


def asked_for(event: Event, body: Mapping[str, Any], spans: Spans) -> tuple[Span, ...]:
    """Return the span of a request, below the action that is held for it."""
    request, decision = event.request or "", body.get("decision")
    run = event.run if event.run and event.run.startswith(_RUN) else None
    of_run = spans.get(run or "")
    trace = of_run.trace if of_run else trace_of(run or request)
    above = decision or run
    return (
        Span(
            key=request,
            kind="approval",
            run=run,
            trace=trace,
            span=span_of(request),
            parent=span_of(above) if above else None,
            agent=event.agent or "",
            version=of_run.version if of_run else None,
            operation="approval",
            subject=short(body.get("asks")) or "",
            start=event.at,
            verdict="pending",
            outcome="running",
            rule=body.get("rule"),
            request=request,
            sequence=event.sequence,
            links=(Link(trace, span_of(decision), "held"),) if decision else (),
            attributes=kept(event.type, body, {}),
        ),
    )


def followed(event: Event, body: Mapping[str, Any], span: Span) -> Span:
    """Return the span of a request after one more thing happened to it."""
    span = marked(span, event, body)
    state = _SETTLED.get(event.type)
    if state is None:
        later = _AFTERWARDS.get(event.type)
        return replace(span, verdict=later) if later else span
    if span.end is not None:  # an approval that was taken back before it was used
        return replace(span, verdict=state, status="error")
    return replace(
        span,
        end=event.at,
        verdict=state,
        outcome=None,
        status="ok" if state == "approved" else "error",
        principal=body.get("by") or event.actor,
    )
