"""Recorded answers of models, as their callers are given them again: whole, or as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.digest import parse
from watchkeeper.gateways.http import STREAM_HEADERS
from watchkeeper.gateways.model.dialect import Dialect
from watchkeeper.store.statement import Row
from watchkeeper.traces.contents import Content

EVENTS = dict(STREAM_HEADERS)[b"content-type"]
_JSON = b"application/json"
Event = dict[str, Any]


def recorded_answer(
    dialect: Dialect, row: Row, output: Content, *, counts: bool
) -> tuple[bytes, bytes]:
    """Return an answer that was kept and its media type; `counts`: a stream ends with its tokens.

    Of a stream of words only the words were kept: it comes in one piece. Raises `Invalid` for
    what is no answer any more.
    """
    text = output.text or ""
    if output.kind == "text":
        return _stream(dialect, _of_words(dialect, row, text, counts)), EVENTS
    said = parse(text)
    if isinstance(said, list):
        return _stream(dialect, (one for one in said if isinstance(one, dict))), EVENTS
    return text.encode(), _JSON


def _stream(dialect: Dialect, events: Iterator[Event]) -> bytes:
    named = dialect.endpoint != "chat_completions"
    parts = []
    for event in events:
        kind = event.get("type")
        head = f"event: {kind}\n" if named and isinstance(kind, str) and kind.isprintable() else ""
        parts.append(f"{head}data: {json.dumps(event)}\n\n".encode())
    return b"".join(parts) + dialect.done


def _of_words(dialect: Dialect, row: Row, text: str, counts: bool) -> Iterator[Event]:
    model = row.model or row.name
    if dialect.endpoint == "messages":
        return _messages(row, model, text)
    if dialect.endpoint == "responses":
        return _responses(row, model, text)
    return _chat(row, model, text, counts)


def _chat(row: Row, model: str, text: str, counts: bool) -> Iterator[Event]:
    head = {
        "id": f"chatcmpl-{row.decision}",
        "object": "chat.completion.chunk",
        "created": row.at // MICROSECONDS,
        "model": model,
    }
    begun = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    yield {**head, "choices": [begun]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if not counts:
        return
    used = {
        "prompt_tokens": row.input_tokens,
        "completion_tokens": row.output_tokens,
        "total_tokens": row.input_tokens + row.output_tokens,
    }
    yield {**head, "choices": [], "usage": used}


def _messages(row: Row, model: str, text: str) -> Iterator[Event]:
    message: Event = {
        "id": f"msg_{row.decision}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": row.input_tokens, "output_tokens": 0},
    }
    yield {"type": "message_start", "message": message}
    block = {"type": "text", "text": ""}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    delta = {"type": "text_delta", "text": text}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": row.output_tokens}}
    yield {"type": "message_stop"}


def _responses(row: Row, model: str, text: str) -> Iterator[Event]:
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {
        "id": f"msg_{row.decision}", "type": "message", "role": "assistant", "status": "completed",
        "content": [part],
    }  # fmt: skip
    response = {
        "id": f"resp_{row.decision}", "object": "response", "created_at": row.at // MICROSECONDS,
        "model": model, "status": "in_progress", "output": [], "parallel_tool_calls": True,
        "tool_choice": "auto", "tools": [],
    }  # fmt: skip
    used = {
        "input_tokens": row.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": row.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": row.input_tokens + row.output_tokens,
    }
    of_part = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    begun = {**item, "status": "in_progress", "content": []}
    events: list[Event] = [
        {"type": "response.created", "response": response},
        {"type": "response.in_progress", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        {"type": "response.content_part.added", **of_part, "part": {**part, "text": ""}},
        {"type": "response.output_text.delta", **of_part, "delta": text, "logprobs": []},
        {"type": "response.output_text.done", **of_part, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **of_part, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {
            "type": "response.completed",
            "response": {**response, "status": "completed", "output": [item], "usage": used},
        },
    ]
    for number, event in enumerate(events):
        yield {**event, "sequence_number": number}
