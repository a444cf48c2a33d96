"""Points of metrics that tell how many tokens an agent used, and at what cost.

Sources: github.com/open-telemetry/semantic-conventions-genai, code.claude.com/docs/en/monitoring-usage,
github.com/openai/codex (codex-rs/otel), github.com/google-gemini/gemini-cli (docs/cli/telemetry.md).
"""  # noqa: E501

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from watchkeeper.core.money import MICROS
from watchkeeper.traces.telemetry.naming import client_of, run_of, session_of

Measure = Literal["input_tokens", "output_tokens", "cost_micros"]
_KINDS: Mapping[str, Measure] = {"input": "input_tokens", "output": "output_tokens"}
_METRICS: Mapping[str, str] = {
    "gen_ai.client.token.usage": "gen_ai.token.type",
    "claude_code.token.usage": "type",
    "codex.turn.token_usage": "token_type",
    "gemini_cli.token.usage": "type",
}
"""Metrics of tokens, by the attribute that says which tokens. What was read from a cache, or
thought, is in these or beside them, by provider: it is left out."""
_COSTS = frozenset({"claude_code.cost.usage"})
"""In dollars."""
_MOST = 10**15


class Point(NamedTuple):
    """One point of a metric as an agent's telemetry has it; times in microseconds."""

    metric: str
    at: int
    start: int
    value: float
    delta: bool
    """Whether it tells of the time since `start` alone, not of all since its series began."""
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]


class Measured(msgspec.Struct, frozen=True, array_like=True):
    """What a point tells."""

    metric: str
    measure: Measure
    series: str
    """What names the series of points that it is of."""
    run: str | None
    """The run that it says it belongs to."""
    session: str | None
    client: str | None
    at: int
    start: int
    amount: int
    delta: bool


def measured_of(point: Point) -> Measured | None:
    """Return what a point tells of tokens or costs; None where it tells of neither."""
    found, resource = point.attributes, point.resource
    measure: Measure | None = None
    if point.metric in _COSTS:
        measure = "cost_micros"
    elif (kind := _METRICS.get(point.metric)) is not None:
        measure = _KINDS.get(str(found.get(kind)))
    if measure is None:
        return None
    value = point.value * MICROS if measure == "cost_micros" else point.value
    if not 0 <= value <= _MOST:  # what is no number is neither
        return None
    amount = round(value)
    named = sorted((str(name), str(value)) for name, value in found.items())
    service = sorted((str(name), str(value)) for name, value in resource.items())
    # two processes that call themselves the same began at two times
    since = None if point.delta else point.start
    spelled = json.dumps([point.metric, since, named, service])
    return Measured(
        point.metric,
        measure,
        hashlib.sha256(spelled.encode()).hexdigest()[:32],
        run_of(found, resource),
        session_of(found, resource),
        client_of(resource),
        point.at,
        min(point.start or point.at, point.at),
        amount,
        point.delta,
    )
