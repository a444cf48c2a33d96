"""Decided actions as spans: calls of models and tools, refused ones too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from watchkeeper.core.tracing import TraceContext, read_traceparent, span_of, trace_of
from watchkeeper.store.journal import Event
from watchkeeper.traces.bodies import OUTCOMES, answered, joined, kept, short
from watchkeeper.traces.model import Link, Span, Spans

DECIDED = {"decision.permitted": "permit", "decision.held": "hold", "decision.denied": "deny"}


def decision_of(event: Event) -> str | None:
    """Return the decision that an entry is about, by its subject alone."""
    kind, _, name = event.subject.partition("/")
    return name if kind in ("decision", "hold") else None


def decided(event: Event, body: Mapping[str, Any], spans: Spans) -> tuple[Span, ...]:
    """Return the span of what was asked for, with its run as it is then, and its request."""
    key, run = body["decision"], event.run or ""
    verdict = DECIDED[event.type]
    of_run, asked = spans.get(run), spans.get(event.request or "")
    context = read_traceparent(body.get("traceparent"))
    if context is None:
        context = TraceContext(of_run.trace if of_run else trace_of(run), span_of(run))
    attributes = kept(event.type, body, {})
    routed = body.get("routed") or {}
    if routed:
        attributes["watchkeeper.route.reason"] = routed.get("reason")
        attributes["watchkeeper.route.cause"] = routed.get("cause", "named")
        attributes["watchkeeper.route.model"] = routed.get("model")
    links: tuple[Link, ...] = ()
    if asked is not None:
        links = (Link(asked.trace, asked.span, "approval"),)
    elif event.request is not None:
        links = (Link(context.trace, span_of(event.request), "approval"),)
    found = Span(
        key=key,
        kind="action",
        run=run,
        trace=context.trace,
        span=span_of(key),
        parent=context.span,
        agent=event.agent or "",
        version=body.get("version"),
        operation=_operation(body),
        subject=body["name"],
        start=event.at,
        end=None if verdict == "permit" else event.at,
        status="error" if verdict == "deny" else "unset",
        verdict=verdict,
        outcome="running" if verdict == "permit" else None,
        rule=body.get("rule"),
        error=short(body.get("reason")) if verdict == "deny" else None,
        request=event.request,
        sequence=event.sequence,
        principal=body.get("on_behalf_of"),
        classes=joined((), body.get("classes_in")),
        links=links,
        attributes=attributes,
    )
    changed = [found]
    if of_run is not None:
        permitted = verdict == "permit"
        changed.append(
            replace(of_run, calls=of_run.calls + 1)
            if permitted
            else replace(of_run, refusals=of_run.refusals + (verdict == "deny"))
        )
    if asked is not None and asked.parent == found.span and asked.trace != found.trace:
        # the caller's trace context came with the decision, which is recorded after the request
        links = tuple(replace(link, trace=found.trace) for link in asked.links)
        changed[0] = replace(found, links=(Link(found.trace, asked.span, "approval"),))
        changed.append(replace(asked, trace=found.trace, links=links))
    return tuple(changed)


def _operation(body: Mapping[str, Any]) -> str:
    if body["kind"] == "tool":
        return "retrieval" if "source" in body else "execute_tool"
    endpoint = body.get("endpoint")
    return endpoint if endpoint in ("embeddings", "count_tokens") else "chat"


def settled(event: Event, body: Mapping[str, Any], spans: Spans) -> tuple[Span, ...]:
    """Return the span of an action that has ended, and its run with what was used."""
    changed = []
    cost, taken, given = (
        int(body.get(name) or 0) for name in ("cost_micros", "input_tokens", "output_tokens")
    )
    before = 0, 0, 0
    action = spans.get(decision_of(event) or "")
    if action is not None:
        before = action.cost_micros, action.input_tokens, action.output_tokens
        status = body.get("status")
        changed.append(
            replace(
                action,
                end=event.at,
                status=OUTCOMES.get(status, "error"),
                outcome=status,
                error=short(body.get("error")),
                cost_micros=cost,
                input_tokens=taken,
                output_tokens=given,
                classes=joined(action.classes, body.get("classes_out")),
                attributes=answered(body, dict(action.attributes)),
            )
        )
    of_run = spans.get(event.run or "")
    if of_run is not None:
        # a report that comes late replaces what was presumed
        changed.append(
            replace(
                of_run,
                cost_micros=of_run.cost_micros + cost - before[0],
                input_tokens=of_run.input_tokens + taken - before[1],
                output_tokens=of_run.output_tokens + given - before[2],
            )
        )
    return tuple(changed)
