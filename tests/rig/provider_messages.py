"""Anthropic's side of the provider for tests: the same words and wishes, told its way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tests.rig.provider_functions import anthropic_refusal

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from tests.rig.provider_server import Control

Wait = Callable[["Control", int], Awaitable[None]]
ANSWER_WORDS = 8


def messages_routes(control: Control, wait: Wait) -> list[BaseRoute]:
    """Return what is served beside OpenAI's paths."""
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    async def log(request: Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        control.log(
            {
                "path": request.url.path,
                "authorization": request.headers.get("authorization"),
                "key": request.headers.get("x-api-key"),
                "version": request.headers.get("anthropic-version"),
                "betas": request.headers.get("anthropic-beta"),
                "body": body,
            }
        )
        return body

    def failure(status: int) -> Response:
        said = control.wishes().get("message", "overloaded")
        error = {"type": "invalid_request_error" if status < 500 else "api_error", "message": said}
        return JSONResponse({"type": "error", "error": error}, status_code=status)

    async def create(request: Request) -> Response:
        body = await log(request)
        wishes = control.wishes()
        if status := wishes.get("status"):
            return failure(int(status))
        if refusal := anthropic_refusal(body):
            return JSONResponse(refusal, status_code=400)
        headers = {"request-id": "req_rig"}
        if body.get("stream"):
            events = stream(control, body, wait)
            return StreamingResponse(events, media_type="text/event-stream", headers=headers)
        await wait(control, 0)
        whole = {**start_of(body), "content": blocks(body, wishes), "usage": usage(body, wishes)}
        whole["stop_reason"] = stop_reason(wishes)
        return JSONResponse(whole, headers=headers)

    async def count(request: Request) -> Response:
        body = await log(request)
        if status := control.wishes().get("status"):
            return failure(int(status))
        return JSONResponse({"input_tokens": words_in(body)})

    return [
        Route("/v1/messages", create, methods=["POST"]),
        Route("/v1/messages/count_tokens", count, methods=["POST"]),
    ]


def text_in(content: Any) -> str:
    """Return the words of a message."""
    if isinstance(content, str):
        return content
    return " ".join(str(block.get("text", "")) for block in content)


def words_in(body: dict[str, Any]) -> int:
    """Count a token for each word in."""
    return sum(len(text_in(message["content"]).split()) for message in body["messages"])


def words_for(body: dict[str, Any]) -> list[str]:
    """Return the answer to a request: the same for the same request."""
    source = text_in(body["messages"][-1]["content"]).split() or ["nothing"]
    wanted = min(int(body["max_tokens"]), ANSWER_WORDS)
    return [source[n % len(source)] for n in range(wanted)]


def blocks(body: dict[str, Any], wishes: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the content of the answer."""
    content: list[dict[str, Any]] = []
    if wishes.get("think"):
        content.append({"type": "thinking", "thinking": "hm", "signature": "c2ln"})
    if call := wishes.get("call"):
        one = {"id": "toolu_1", "name": call["name"], "input": call["arguments"]}
        return [*content, {"type": "tool_use", **one}]
    return [*content, {"type": "text", "text": " ".join(words_for(body))}]


def stop_reason(wishes: dict[str, Any]) -> str:
    """Say why the answer ends."""
    return "tool_use" if wishes.get("call") else "end_turn"


def usage(body: dict[str, Any], wishes: dict[str, Any]) -> dict[str, int]:
    """Count tokens; `cached` of those that went in come from the prompt cache."""
    cached = int(wishes.get("cached", 0))
    return {
        "input_tokens": words_in(body) - cached,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": len(words_for(body)),
    }


def start_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a message that are known when it begins."""
    return {
        "id": "msg_rig",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def event(type_: str, **members: Any) -> bytes:
    """Return one event of a stream."""
    data = json.dumps({"type": type_, **members})
    return f"event: {type_}\ndata: {data}\n\n".encode()


async def stream(control: Control, body: dict[str, Any], wait: Wait) -> AsyncIterator[bytes]:
    """Yield the answer word by word, with pings, as Anthropic does."""
    wishes = control.wishes()
    counted = usage(body, wishes)
    begun = {**start_of(body), "usage": {**counted, "output_tokens": 1}}
    yield event("message_start", message=begun)
    yield event("ping")
    for index, block in enumerate(blocks(body, wishes)):
        async for one in stream_block(control, index, block, wait):
            yield one
            if one.startswith(b"event: error"):
                return
    delta = {"stop_reason": stop_reason(wishes), "stop_sequence": None}
    yield event("message_delta", delta=delta, usage={"output_tokens": counted["output_tokens"]})
    yield event("message_stop")


async def stream_block(
    control: Control, index: int, block: dict[str, Any], wait: Wait
) -> AsyncIterator[bytes]:
    """Yield one block of content in pieces."""
    kind = block["type"]
    empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}
    begun = {**block, **empty.get(kind, {"input": {}})}
    yield event("content_block_start", index=index, content_block=begun)
    if kind == "thinking":
        delta = {"type": "thinking_delta", "thinking": block["thinking"]}
        yield event("content_block_delta", index=index, delta=delta)
        signed = {"type": "signature_delta", "signature": block["signature"]}
        yield event("content_block_delta", index=index, delta=signed)
    elif kind == "tool_use":
        given = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield event("content_block_delta", index=index, delta=given)
    else:
        for sent, word in enumerate(block["text"].split()):
            await wait(control, sent)
            if control.wishes().get("break_after_words") == sent:
                raise ConnectionResetError("the test wanted the stream broken")
            if control.wishes().get("fail_after_words") == sent:
                error = {"type": "overloaded_error", "message": control.wishes()["message"]}
                yield event("error", error=error)
                return
            text = {"type": "text_delta", "text": word + " "}
            yield event("content_block_delta", index=index, delta=text)
    yield event("content_block_stop", index=index)
