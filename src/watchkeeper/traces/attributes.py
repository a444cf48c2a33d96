"""A span's attributes as OpenTelemetry's GenAI conventions name them; ours are `watchkeeper.*`.

https://github.com/open-telemetry/semantic-conventions-genai (in development; the names of 1.41).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from watchkeeper.core.money import MICROS
from watchkeeper.traces.model import TOOL_CALLS, Span

_MODEL_CALLS = frozenset({"chat", "embeddings", "count_tokens", "text_completion"})


def attributes_of(span: Span) -> dict[str, Any]:
    """Return everything of a span that is an attribute; of an agent's span, what it said."""
    if span.source == "agent":
        return dict(span.attributes)
    return {name: value for name, value in _of(span) if value is not None} | span.attributes


def _of(span: Span) -> Iterator[tuple[str, Any]]:
    yield "gen_ai.operation.name", span.operation
    yield "gen_ai.agent.name", span.agent
    yield "gen_ai.agent.version", None if span.version is None else str(span.version)
    yield "gen_ai.conversation.id", span.run
    if span.operation in TOOL_CALLS:
        yield "gen_ai.tool.name", span.subject
        yield "gen_ai.tool.call.id", span.key
    elif span.operation in _MODEL_CALLS:
        yield "gen_ai.request.model", span.subject
        yield "gen_ai.usage.input_tokens", span.input_tokens
        yield "gen_ai.usage.output_tokens", span.output_tokens
    yield "error.type", _error_type(span)
    yield "watchkeeper.kind", span.kind
    yield "watchkeeper.run", span.run
    yield "watchkeeper.decision", span.key if span.kind == "action" else None
    yield "watchkeeper.request", span.request
    yield "watchkeeper.sequence", span.sequence
    yield "watchkeeper.rule", span.rule
    yield "watchkeeper.verdict", span.verdict
    yield "watchkeeper.outcome", span.outcome
    yield "watchkeeper.principal", span.principal
    yield "watchkeeper.data.classes", list(span.classes) or None
    if span.kind in ("run", "action"):
        yield "watchkeeper.cost_usd", span.cost_micros / MICROS
    if span.kind == "run":
        yield "watchkeeper.calls", span.calls
        yield "watchkeeper.refusals", span.refusals


def _error_type(span: Span) -> str | None:
    if span.status != "error":
        return None
    if span.verdict == "deny":
        return "denied"
    return span.outcome or span.verdict or "_OTHER"
