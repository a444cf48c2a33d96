"""What is taken over from an entry of the ledger into a span."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from watchkeeper.store.journal import Event
from watchkeeper.traces.model import MOST_MARKS, Mark, Span
from watchkeeper.wire.traces import SpanStatus

OUTCOMES: dict[object, SpanStatus] = {"succeeded": "ok", "failed": "error", "unknown": "error"}
"""The status of a span, by the outcome of its action."""
_LONGEST_TEXT = 300
_KEPT = {
    "decision.permitted": (
        ("digest", "watchkeeper.digest"),
        ("epoch", "watchkeeper.epoch"),
        ("policies", "watchkeeper.policies"),
        ("reason", "watchkeeper.decision.reason"),
        ("hosted", "watchkeeper.hosted_tools"),
        ("source", "gen_ai.data_source.id"),
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
        ("reasoning_tokens", "gen_ai.usage.reasoning.output_tokens"),
        ("model", "watchkeeper.model"),
        ("retries", "watchkeeper.retries"),
        ("cached", "watchkeeper.cached"),
        ("classes_redacted", "watchkeeper.data.redacted"),
        ("result_digest", "watchkeeper.result_digest"),
    ),
    "response": (
        ("id", "gen_ai.response.id"),
        ("model", "gen_ai.response.model"),
        ("finish_reasons", "gen_ai.response.finish_reasons"),
    ),
    "run.opened": (
        ("environment", "deployment.environment.name"),
        ("owner", "watchkeeper.owner"),
        ("object", "watchkeeper.object"),
        ("scope", "watchkeeper.scope"),
        ("replay_of", "watchkeeper.replay_of"),
        ("on_behalf_of_proof", "watchkeeper.on_behalf_of.proof"),
    ),
    "run.asked": (
        ("digest", "watchkeeper.digest"),
        ("size", "watchkeeper.prompt.size"),
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
"""What of an entry's body, or of a part of one, is kept as an attribute, and its name there."""
_KEPT["decision.held"] = _KEPT["decision.denied"] = _KEPT["decision.permitted"]


def marked(span: Span, event: Event, body: Mapping[str, Any]) -> Span:
    """Return a span with an entry marked on it; where there are many, without one between."""
    said = body.get("text") or body.get("reason") or body.get("summary")
    mark = Mark(event.at, event.type, short(said) or "", event.sequence)
    marks = (*span.marks, mark)
    if len(marks) > MOST_MARKS:
        marks = (*marks[: MOST_MARKS // 2], *marks[MOST_MARKS // 2 + 1 :])
    return replace(span, marks=marks)


def answered(body: Mapping[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Add to `found` what the body of an outcome says of how it was answered."""
    kept("outcome.recorded", body, found)
    kept("response", body.get("response") or {}, found)
    if (first := body.get("first_token_ms")) is not None:
        found["gen_ai.response.time_to_first_chunk"] = first / 1000  # in seconds there
    return found


def kept(type_: str, body: Mapping[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Add to `found` what is an attribute in the body of an entry of some type."""
    for name, attribute in _KEPT[type_]:
        value = body.get(name)
        if value is not None:
            found[attribute] = value
    return found


def joined(before: tuple[str, ...], listed: object) -> tuple[str, ...]:
    """Return names of data classes with more, as entries list them."""
    if not isinstance(listed, str) or not listed:
        return before
    return tuple(sorted({*before, *listed.split(",")}))


def short(text: object) -> str | None:
    """Return the beginning of a text; None for an empty one."""
    if not text:
        return None
    return str(text)[:_LONGEST_TEXT]
