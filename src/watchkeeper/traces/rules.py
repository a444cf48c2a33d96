"""Events to spans: the same spans whatever the batches in which the events come.

A run is an `invoke_agent` span, each decision an action's span below it, each approval request a
span below the action that was held for it. What else happens to one of them is a mark on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from watchkeeper.core.tracing import TraceContext, read_traceparent, span_of, trace_of
from watchkeeper.store.journal import Event
from watchkeeper.traces.model import MOST_LINKS, MOST_MARKS, Link, Mark, Span
from watchkeeper.wire.traces import Relation, SpanStatus

Spans = Mapping[str, Span]
"""The spans that stand, by key."""

_DECIDED = {"decision.permitted": "permit", "decision.held": "hold", "decision.denied": "deny"}
_ENDED = frozenset({"run.closed", "run.expired", "run.stopped"})
_SETTLED = {
    "request.approved": "approved",
    "request.denied": "denied",
    "request.expired": "expired",
    "request.cancelled": "cancelled",
    "request.superseded": "superseded",
    "request.revoked": "revoked",
}
_AFTERWARDS = {"request.lapsed": "lapsed", "grant.redeemed": "redeemed"}
_UNTOLD = frozenset({"run.token_renewed", "run.token_exported", "request.previewed"})
"""Entries that say nothing of what happened."""
_OUTCOMES: dict[object, SpanStatus] = {"succeeded": "ok", "failed": "error", "unknown": "error"}
_RUN = "run_"
_LONGEST_TEXT = 300
_KEPT = {
    "decision.permitted": (
        ("digest", "watchkeeper.digest"),
        ("epoch", "watchkeeper.epoch"),
        ("reason", "watchkeeper.decision.reason"),
        ("hosted", "watchkeeper.hosted_tools"),
        ("obligations", "watchkeeper.obligations"),
        ("would", "watchkeeper.policy.would"),
        ("approved_by", "watchkeeper.approved_by"),
        ("standing", "watchkeeper.standing_approval"),
    ),
    "outcome.recorded": (
        ("provider", "gen_ai.provider.name"),
        ("provider_model", "gen_ai.response.model"),
        ("cache_read_tokens", "gen_ai.usage.cache_read.input_tokens"),
        ("cache_write_tokens", "gen_ai.usage.cache_creation.input_tokens"),
        ("first_token_ms", "watchkeeper.first_token_ms"),
        ("model", "watchkeeper.model"),
        ("retries", "watchkeeper.retries"),
        ("cached", "watchkeeper.cached"),
        ("classes_redacted", "watchkeeper.data.redacted"),
        ("result_digest", "watchkeeper.result_digest"),
    ),
    "run.opened": (
        ("environment", "deployment.environment.name"),
        ("object", "watchkeeper.object"),
        ("scope", "watchkeeper.scope"),
        ("on_behalf_of_proof", "watchkeeper.on_behalf_of.proof"),
    ),
    "request.created": (
        ("tool", "gen_ai.tool.name"),
        ("digest", "watchkeeper.digest"),
        ("risk", "watchkeeper.approval.risk"),
        ("quorum", "watchkeeper.approval.quorum"),
        ("role", "watchkeeper.approval.role"),
        ("decide_by", "watchkeeper.approval.decide_by"),
    ),
}
"""What of an entry's body is kept as an attribute, and its name there."""
_KEPT["decision.held"] = _KEPT["decision.denied"] = _KEPT["decision.permitted"]
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def keys_of(events: Iterable[Event]) -> set[str]:
    """Return the keys of every span that some events may change or need."""
    found: set[str] = set()
    for event in events:
        if event.run is not None:
            found.add(event.run)
        if event.request is not None:
            found.add(event.request)
        if (decision := _decision_of(event)) is not None:
            found.add(decision)
    return found


def _decision_of(event: Event) -> str | None:
    kind, _, name = event.subject.partition("/")
    return name if kind in ("decision", "hold") else None


def follow(event: Event, spans: Spans) -> tuple[Span, ...]:
    """Return the spans that an event makes or changes; `spans` holds those of `keys_of` it."""
    type_ = event.type
    if event.run is None and event.request is None:
        return (_refused_run(event),) if type_ == "run.refused" else ()
    if type_ in _UNTOLD:
        return ()
    body = _decode(event.body_text)
    if type_ in _DECIDED:
        return _decided(event, body, spans)
    if type_ == "outcome.recorded":
        return _ended(event, body, spans)
    if type_ == "run.opened":
        return (_opened(event, body),)
    if type_ == "request.created":
        return _asked(event, body, spans)
    if event.request is not None and event.request in spans and type_ != "outcome.reconciled":
        return (_of_request(event, body, spans[event.request]),)
    return _of_action_or_run(event, body, spans)


def _opened(event: Event, body: Mapping[str, Any]) -> Span:
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
        attributes=_kept(event.type, body, {"watchkeeper.parent_run": parent} if parent else {}),
    )


def _refused_run(event: Event) -> Span:
    body = _decode(event.body_text)
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
        error=_short(body.get("reason")),
        sequence=event.sequence,
    )


def _decided(event: Event, body: Mapping[str, Any], spans: Spans) -> tuple[Span, ...]:
    key, run = body["decision"], event.run or ""
    verdict = _DECIDED[event.type]
    of_run, asked = spans.get(run), spans.get(event.request or "")
    context = read_traceparent(body.get("traceparent"))
    if context is None:
        context = TraceContext(of_run.trace if of_run else trace_of(run), span_of(run))
    attributes = _kept(event.type, body, {})
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
        error=_short(body.get("reason")) if verdict == "deny" else None,
        request=event.request,
        sequence=event.sequence,
        principal=body.get("on_behalf_of"),
        classes=_classes((), body.get("classes_in")),
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
        return "execute_tool"
    endpoint = body.get("endpoint")
    return endpoint if endpoint in ("embeddings", "count_tokens") else "chat"


def _ended(event: Event, body: Mapping[str, Any], spans: Spans) -> tuple[Span, ...]:
    changed = []
    cost, taken, given = (
        int(body.get(name) or 0) for name in ("cost_micros", "input_tokens", "output_tokens")
    )
    before = 0, 0, 0
    action = spans.get(_decision_of(event) or "")
    if action is not None:
        before = action.cost_micros, action.input_tokens, action.output_tokens
        status = body.get("status")
        changed.append(
            replace(
                action,
                end=event.at,
                status=_OUTCOMES.get(status, "error"),
                outcome=status,
                error=_short(body.get("error")),
                cost_micros=cost,
                input_tokens=taken,
                output_tokens=given,
                classes=_classes(action.classes, body.get("classes_out")),
                attributes=_kept(event.type, body, dict(action.attributes)),
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


def _asked(event: Event, body: Mapping[str, Any], spans: Spans) -> tuple[Span, ...]:
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
            subject=_short(body.get("asks")) or "",
            start=event.at,
            verdict="pending",
            outcome="running",
            rule=body.get("rule"),
            request=request,
            sequence=event.sequence,
            links=(Link(trace, span_of(decision), "held"),) if decision else (),
            attributes=_kept(event.type, body, {}),
        ),
    )


def _of_request(event: Event, body: Mapping[str, Any], span: Span) -> Span:
    span = _marked(span, event, body)
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


def _of_action_or_run(event: Event, body: Mapping[str, Any], spans: Spans) -> tuple[Span, ...]:
    # nothing but what `keys_of` names is looked at: who else is there depends on the batch
    found = spans.get(_decision_of(event) or "")
    if found is None or found.kind != "action":
        found = spans.get(event.run or "")
        if found is None:
            return ()
        found = _marked(found, event, body)
        return (_end_run(found, event, body) if event.type in _ENDED else found,)
    found = _marked(found, event, body)
    if event.type == "outcome.reconciled":
        status = body.get("status")
        found = replace(found, status=_OUTCOMES.get(status, "error"), outcome=status)
    return (found,)


def _end_run(span: Span, event: Event, body: Mapping[str, Any]) -> Span:
    outcome = body.get("outcome") or event.type.partition(".")[2]
    if event.type == "run.stopped":
        return replace(
            span,
            end=event.at,  # its agent may never close it
            outcome=outcome,
            status="error",
            rule=f"lock/{body['lock']}" if "lock" in body else span.rule,
            error=_short(body.get("reason")),
        )
    status: SpanStatus = "ok" if outcome == "succeeded" else "error"
    return replace(span, end=event.at, outcome=outcome, status=status)


def _marked(span: Span, event: Event, body: Mapping[str, Any]) -> Span:
    said = body.get("text") or body.get("reason") or body.get("summary")
    mark = Mark(event.at, event.type, _short(said) or "", event.sequence)
    marks = (*span.marks, mark)
    if len(marks) > MOST_MARKS:
        marks = (*marks[: MOST_MARKS // 2], *marks[MOST_MARKS // 2 + 1 :])
    return replace(span, marks=marks)


def linked(span: Span, to: Span | TraceContext, relation: Relation) -> Span:
    """Return a span with a link more, unless it has it or has too many."""
    link = Link(to.trace, to.span, relation)
    if link in span.links or len(span.links) >= MOST_LINKS:
        return span
    return replace(span, links=(*span.links, link))


def _kept(type_: str, body: Mapping[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    for name, attribute in _KEPT[type_]:
        value = body.get(name)
        if value is not None:
            found[attribute] = value
    return found


def _classes(before: tuple[str, ...], listed: object) -> tuple[str, ...]:
    if not isinstance(listed, str) or not listed:
        return before
    return tuple(sorted({*before, *listed.split(",")}))


def _short(text: object) -> str | None:
    if not text:
        return None
    return str(text)[:_LONGEST_TEXT]
