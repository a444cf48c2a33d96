"""What is kept of a reported span's attributes: bounded, and contents by the contract's word.

What is no metadata that conventions name is taken for content: a prompt, an answer, an argument,
or whatever else an agent put there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from watchkeeper.core.text import make_safe
from watchkeeper.traces.model import MOST_LINKS, MOST_MARKS, Link, Mark
from watchkeeper.traces.telemetry.kept import Kept
from watchkeeper.traces.telemetry.model import Moment, Named, Said, place_of

Contents = Literal["kept", "digests"]
Clean = Callable[[str], str]
"""Takes out of a text what may not be kept of it."""
MOST_ATTRIBUTES = 64
LONGEST_VALUE = 400
LONGEST_CONTENT = 4_000
MOST_CONTENT = 16_000
"""Characters of contents that one span may have."""
_LONGEST_NAME = 100
_LONGEST_ERROR = 300
_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")
_METADATA = frozenset(
    {
        "gen_ai.operation.name", "gen_ai.system", "gen_ai.provider.name",
        "gen_ai.conversation.id", "gen_ai.agent.name", "gen_ai.agent.id",
        "gen_ai.agent.version", "gen_ai.tool.name", "gen_ai.tool.type", "gen_ai.tool.call.id",
        "gen_ai.output.type", "gen_ai.data_source.id", "gen_ai.workflow.name",
        "gen_ai.response.id", "gen_ai.response.model", "gen_ai.response.finish_reasons",
        "gen_ai.request.model", "gen_ai.request.max_tokens", "gen_ai.request.temperature",
        "gen_ai.request.top_p", "gen_ai.request.stream", "error.type", "session.id",
        "llm.model_name", "llm.provider", "llm.system", "llm.request.type", "llm.is_streaming",
        "embedding.model_name", "tool.name", "tool.id", "tool_call.id", "tool_use_id",
        "agent.name", "openinference.span.kind", "traceloop.span.kind", "traceloop.entity.name",
        "traceloop.workflow.name", "mcp.method.name", "mcp.session.id", "mcp.protocol.version",
        "rpc.system", "rpc.response.status_code", "http.request.method",
        "http.response.status_code", "server.address", "server.port", "service.name",
        "service.version", "service.instance.id", "deployment.environment.name",
        "watchkeeper.run", "watchkeeper.run.id",
        # of coding agents' log records
        "event.name", "event.sequence", "event.timestamp", "prompt.id", "prompt_id",
        "conversation.id", "model", "tool_name", "tool_namespace", "tool_source", "tool_type",
        "function_name", "mcp_server", "mcp_server_name", "call_id", "decision", "source",
        "success", "duration_ms", "attempt", "endpoint", "status_code", "error_type", "cost_usd",
        "input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens",
        "input_token_count", "output_token_count", "cached_content_token_count",
        "thoughts_token_count", "tool_token_count", "total_token_count", "finish_reasons",
        "prompt_length", "permission_mode", "query_source", "speed", "app.version",
    }
)  # fmt: skip
_METADATA_OF = (
    "gen_ai.usage.", "gen_ai.aggregated_usage.", "llm.token_count.", "llm.usage.", "llm.cost.",
    "telemetry.sdk.",
)  # fmt: skip
"""All of these are numbers or names."""
_OF_RESOURCE = ("service.name", "service.version", "deployment.environment.name")
_encode = msgspec.json.Encoder().encode


def as_kept(said: Said, named: Named, contents: Contents, clean: Clean) -> Kept:
    """Return what is kept of a span that an agent said.

    Its tokens and costs stay among its attributes: what counts is what the plane saw.
    """
    links = [Link(trace, span, "said") for trace, span in said.links[:MOST_LINKS]]
    marks = [_mark(one, contents, clean) for one in said.moments[:MOST_MARKS]]
    return Kept(
        place=place_of(said),
        span=said.span,
        parent=said.parent,
        operation=named.operation if contents == "kept" else _coined(named.operation),
        subject=clean(named.subject),
        start=said.start,
        end=max(said.start, said.end),
        status=said.status,
        error=_error(said, contents, clean),
        links=_written(links),
        marks=_written(marks),
        attributes=_written(dict(_kept(said, contents, clean))),
    )


def _written(of: Any) -> str | None:
    return _encode(of).decode() if of else None


def _coined(operation: str) -> str:
    # a span's own name may be anything, a prompt too
    return operation if _NAME.fullmatch(operation) else "span"


def _error(said: Said, contents: Contents, clean: Clean) -> str | None:
    if said.status != "error":
        return None
    kind = said.attributes.get("error.type")
    short = make_safe(str(kind), limit=_LONGEST_NAME) if isinstance(kind, str) else None
    if contents != "kept":
        return _named(short, contents, clean) if short else None
    words = clean(said.error[: 4 * LONGEST_CONTENT])
    return str(make_safe(words, limit=_LONGEST_ERROR)) or short


def _mark(moment: Moment, contents: Contents, clean: Clean) -> Mark:
    name = moment.name if _NAME.fullmatch(moment.name) else "event"
    text = ""
    if contents == "kept":
        said = (f"{key}: {_text(value)}" for key, value in list(moment.attributes.items())[:8])
        words = clean("; ".join(said)[: 4 * LONGEST_CONTENT])
        text = str(make_safe(words, limit=LONGEST_VALUE))
    return Mark(moment.at, name, text)


def _kept(said: Said, contents: Contents, clean: Clean) -> Iterator[tuple[str, Any]]:
    left_out, room, count = 0, MOST_CONTENT, 0
    for name in _OF_RESOURCE:
        value = said.resource.get(name)
        if isinstance(value, str):
            yield name, _named(value, contents, clean)
    for name, value in said.attributes.items():
        metadata = _is_metadata(name, value)
        if count >= MOST_ATTRIBUTES or not _NAME.fullmatch(name):
            left_out += 1
        elif metadata:
            count += 1
            yield name, _plain(value, contents, clean)
        elif contents == "digests":
            count += 1
            yield name, _digest(value)
        elif isinstance(value, bool | int | float):
            count += 1
            yield name, value
        elif room > 0:
            count += 1
            # cleaned before it is cut: what is cut in two is recognised by nobody
            text = clean(_text(value)[: 4 * LONGEST_CONTENT])
            text = str(make_safe(text, limit=min(LONGEST_CONTENT, room), keep_newlines=True))
            room -= len(text)
            yield name, text
        else:
            left_out += 1
    if left_out:
        yield "watchkeeper.attributes.left_out", left_out


def _is_metadata(name: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        return False
    return name in _METADATA or name.startswith(_METADATA_OF)


def _plain(value: Any, contents: Contents, clean: Clean) -> Any:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list):
        held = (one for one in value[:16] if not isinstance(one, list | Mapping))
        return [_plain(one, contents, clean) for one in held]
    return _named(str(value), contents, clean)


def _named(value: str, contents: Contents, clean: Clean) -> str:
    # where contents are not kept, what stands for a name has to look like one
    if contents == "digests" and not _NAME.fullmatch(value):
        return _digest(value)
    return clean(make_safe(value, limit=LONGEST_VALUE))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _digest(value: Any) -> str:
    return f"sha256:{hashlib.sha256(_text(value).encode(errors='replace')).hexdigest()}"
