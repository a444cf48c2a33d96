"""Log records that tell of an action, as the spans that they stand for.

Sources: code.claude.com/docs/en/monitoring-usage, github.com/openai/codex (codex-rs/otel),
github.com/google-gemini/gemini-cli (docs/cli/telemetry.md) and, of OpenTelemetry,
`gen_ai.client.inference.operation.details`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from watchkeeper.traces.telemetry.model import Record, Said
from watchkeeper.traces.telemetry.naming import EVENTS, client_of, session_of
from watchkeeper.wire.traces import SpanStatus

_DETAILS = "gen_ai.client.inference.operation.details"
_LONGEST_MS = 86_400_000
_ERRORS = ("error", "error.message", "error_message", "exception.message")
_STATUSES = ("http.response.status_code", "status_code", "http.status_code")
_PROMPTS = ("prompt.id", "prompt_id", "turn.id")
_REFUSED = frozenset({"reject", "rejected", "denied", "abort"})
_FAILED = 400
_MODEL_PATHS = ("/responses", "/responses/compact", "/chat/completions", "unknown")
"""What Codex calls where it asks a model; it reports its other requests too."""


def said_of(record: Record) -> Said | None:
    """Return the span that a log record stands for; None where it tells of no action."""
    name = _name(record)
    if name is None or not _is_done(name, record):
        return None
    found, end = record.attributes, record.at
    trace, status = record.trace or _trace(name, record), _status(name, found)
    if name == _DETAILS and record.body is not None:
        found = {**found, "event.body": record.body}
    return Said(
        trace=trace,
        span=_digest(trace, name, end, found)[:16],
        parent=record.span,
        name=name,
        start=end - _took(found),
        end=end,
        attributes=found,
        resource=record.resource,
        status=status,
        error=next((str(found[one]) for one in _ERRORS if found.get(one)), ""),
        logged=True,
    )


def _name(record: Record) -> str | None:
    # Claude Code has it whole in the body alone
    for said in (record.name, record.attributes.get("event.name"), record.body):
        if isinstance(said, str) and said in EVENTS:
            return said
    return None


def _is_done(name: str, record: Record) -> bool:
    """Tell whether what is told of was done: not what a person refused, or nobody was reached."""
    found = record.attributes
    if EVENTS[name] == "execute_tool":
        return str(found.get("decision", "")).lower() not in _REFUSED
    if name == _DETAILS:
        # it says the same once more, of the request and of the response
        return client_of(record.resource) != "gemini"
    if name == "codex.api_request":
        path = found.get("endpoint", "unknown")
        return _http_status(found) is not None and path in _MODEL_PATHS
    return not name.endswith(".api_error") or _http_status(found) is not None


def _status(name: str, found: Mapping[str, Any]) -> SpanStatus:
    failed = str(found.get("success", "")).lower() == "false" or name.endswith(".api_error")
    return "error" if failed or (_http_status(found) or 0) >= _FAILED else "unset"


def _http_status(found: Mapping[str, Any]) -> int | None:
    for name in _STATUSES:
        value = found.get(name)
        if str(value).isdecimal() and len(str(value)) == 3:
            return int(str(value))
    return None


def _took(found: Mapping[str, Any]) -> int:
    """Return for how long it went on, in microseconds; 0 where that is not told."""
    said = found.get("duration_ms")
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return 0
    try:
        took = float(said)
    except ValueError:
        return 0
    return int(took * 1000) if math.isfinite(took) and 0 <= took <= _LONGEST_MS else 0


def _trace(name: str, record: Record) -> str:
    """Return a trace for what is in none: of one prompt of a session, as far as those are told."""
    found = record.attributes
    session = session_of(found, record.resource)
    if session is None:
        return _digest(name, record.at, found)[:32]
    prompt = next((found[one] for one in _PROMPTS if isinstance(found.get(one), str)), "")
    return _digest(client_of(record.resource), session, prompt)[:32]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
