"""Events to spans: the same spans whatever the batches in which the events come.

A run is an `invoke_agent` span, each decision an action's span below it, each approval request a
span below the action that was held for it. What else happens to one of them is a mark on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from watchkeeper.core.tracing import TraceContext
from watchkeeper.store.journal import Event
from watchkeeper.traces import actions, requests, runs
from watchkeeper.traces.bodies import OUTCOMES, marked
from watchkeeper.traces.model import MOST_LINKS, Link, Span, Spans
from watchkeeper.wire.traces import Relation

_UNTOLD = frozenset({"run.token_renewed", "run.token_exported", "request.previewed"})
"""Entries that say nothing of what happened."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def keys_of(events: Iterable[Event]) -> set[str]:
    """Return the keys of every span that some events may change or need."""
    found: set[str] = set()
    for event in events:
        if event.run is not None:
            found.add(event.run)
        if event.request is not None:
            found.add(event.request)
        if (decision := actions.decision_of(event)) is not None:
            found.add(decision)
        if event.type == runs.ASKED:
            found.add(runs.prompt_of(event))
    return found


def needed_by(events: Iterable[Event]) -> set[str]:
    """Return the keys of the spans that must be at hand to follow some events: all of `keys_of`
    but those that the events themselves make, before they say anything else of them."""
    found, made = set[str](), set[str]()
    for event in events:
        if event.type in actions.DECIDED and (decision := actions.decision_of(event)):
            made.update({decision} - found)
        found |= keys_of((event,)) - made
    return found


def follow(event: Event, spans: Spans) -> tuple[Span, ...]:
    """Return the spans that an event makes or changes; `spans` holds those of `keys_of` it."""
    type_ = event.type
    if event.run is None and event.request is None:
        if type_ != "run.refused":
            return ()
        return (runs.refused(event, _decode(event.body_text)),)
    if type_ in _UNTOLD:
        return ()
    body = _decode(event.body_text)
    if type_ in actions.DECIDED:
        return actions.decided(event, body, spans)
    if type_ == "outcome.recorded":
        return actions.settled(event, body, spans)
    if type_ == "run.opened":
        return (runs.opened(event, body),)
    if type_ == runs.ASKED:
        return (runs.asked(event, body, spans),)
    if type_ == "request.created":
        return requests.asked_for(event, body, spans)
    if event.request is not None and event.request in spans and type_ != "outcome.reconciled":
        return (requests.followed(event, body, spans[event.request]),)
    return _of_action_or_run(event, body, spans)


def _of_action_or_run(event: Event, body: Mapping[str, Any], spans: Spans) -> tuple[Span, ...]:
    # nothing but what `keys_of` names is looked at: who else is there depends on the batch
    found = spans.get(actions.decision_of(event) or "")
    if found is None or found.kind != "action":
        found = spans.get(event.run or "")
        if found is None:
            return ()
        found = marked(found, event, body)
        return (runs.ended(found, event, body) if event.type in runs.ENDED else found,)
    found = marked(found, event, body)
    if event.type == "outcome.reconciled":
        status = body.get("status")
        found = replace(found, status=OUTCOMES.get(status, "error"), outcome=status)
    return (found,)


def linked(span: Span, to: Span | TraceContext, relation: Relation) -> Span:
    """Return a span with a link more, unless it has it or has too many."""
    link = Link(to.trace, to.span, relation)
    if link in span.links or len(span.links) >= MOST_LINKS:
        return span
    return replace(span, links=(*span.links, link))
