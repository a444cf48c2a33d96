"""The provider's other endpoints of OpenAI's protocol, and answers that a test words itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from tests.rig.provider_functions import openai_refusal

WORDS = 8
Wait = Callable[..., Awaitable[None]]


class Control(Protocol):
    """The test's wishes and the log of requests."""

    def wishes(self) -> dict[str, Any]:
        """What the test wants now."""
        ...

    def log(self, entry: dict[str, Any]) -> None:
        """Write one request down."""
        ...


def said_by_test(said: dict[str, Any]) -> Any:
    """Return the answer that a test words: `pieces` of a body, sent one by one with the `kind`
    and `status` wished for; `then` it ends, hangs or breaks off.
    """
    from starlette.responses import StreamingResponse

    async def pieces() -> AsyncIterator[bytes]:
        for piece in said["pieces"]:
            yield piece.encode("latin-1")
            await asyncio.sleep(0)
        if said.get("then") == "hang":
            await asyncio.Event().wait()
        if said.get("then") == "break":
            raise ConnectionResetError("the test wanted the answer broken")

    return StreamingResponse(
        pieces(),
        status_code=said.get("status", 200),
        media_type=said.get("kind", "text/event-stream"),
    )


def input_text(body: dict[str, Any]) -> str:
    """Return the words of the last message of an input."""
    said = body.get("input")
    if isinstance(said, list):
        last: dict[str, Any] = next((one for one in reversed(said) if "content" in one), {})
        said = last.get("content")
    if isinstance(said, list):
        said = " ".join(str(part.get("text", "")) for part in said)
    return str(said or "")


def answer_to(body: dict[str, Any], wishes: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a whole response, and its words; it calls the tool of a wish as often as wished."""
    ceiling = min(int(body.get("max_output_tokens") or WORDS), WORDS)
    source = input_text(body).split() or ["nothing"]
    words = [source[n % len(source)] for n in range(ceiling)]
    output: dict[str, Any] = {
        "type": "message",
        "id": "msg_rig",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": " ".join(words), "annotations": []}],
    }
    wish = wishes.get("call")
    results = [str(i.get("output")) for i in _items(body) if i.get("type", "").endswith("_output")]
    if wish is not None and not any(wish["until"] in result for result in results):
        words = []
        output = {
            "type": "function_call",
            "id": f"fc_{len(results)}",
            "call_id": f"call_{len(results)}",
            "name": wish["name"],
            "arguments": json.dumps(wish["arguments"]),
            "status": "completed",
        }
    taken = len(json.dumps(body.get("input")).split())
    usage = {
        "input_tokens": taken,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": len(words),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": taken + len(words),
    }
    response = {
        "id": "resp_rig",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "model": body.get("model"),
        "output": [output],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
        "error": None,
    }
    return response, words


def openai_routes(control: Control, wait_while_held: Wait) -> list[Any]:
    """Return the routes of responses and embeddings."""
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    async def respond(request: Request) -> Response:
        body = await request.json()
        control.log({"authorization": request.headers.get("authorization"), "body": body})
        wishes = control.wishes()
        if "said" in wishes:
            said: Response = said_by_test(wishes["said"])
            return said
        if status := wishes.get("status"):
            return JSONResponse({"error": {"message": "overloaded"}}, status_code=int(status))
        if refusal := openai_refusal(body):
            return JSONResponse(refusal, status_code=400)
        response, words = answer_to(body, wishes)
        if body.get("stream"):
            events = _events(control, response, words, wait_while_held)
            return StreamingResponse(events, media_type="text/event-stream")
        await wait_while_held(control)
        return JSONResponse(response)

    async def embed(request: Request) -> Response:
        body = await request.json()
        control.log({"authorization": request.headers.get("authorization"), "body": body})
        given = body["input"]
        texts = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
        taken = sum(len(one.split()) if isinstance(one, str) else len(one) for one in texts)
        data = [
            {"object": "embedding", "index": n, "embedding": [0.5, float(n)]}
            for n in range(len(texts))
        ]
        usage = {"prompt_tokens": taken, "total_tokens": taken}
        return JSONResponse(
            {"object": "list", "data": data, "model": body["model"], "usage": usage}
        )

    return [
        Route("/v1/responses", respond, methods=["POST"]),
        Route("/v1/embeddings", embed, methods=["POST"]),
    ]


async def _events(
    control: Control, response: dict[str, Any], words: list[str], wait_while_held: Wait
) -> AsyncIterator[bytes]:
    """Yield a response as OpenAI streams it."""
    sent = 0

    def event(kind: str, **fields: Any) -> bytes:
        nonlocal sent
        data = {"type": kind, "sequence_number": sent, **fields}
        sent += 1
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()

    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    item = response["output"][0]
    at = {"item_id": item["id"], "output_index": 0}
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    started = {**item, "status": "in_progress"}
    if item["type"] == "function_call":
        yield event("response.output_item.added", output_index=0, item={**started, "arguments": ""})
        delta = item["arguments"]
        yield event("response.function_call_arguments.delta", delta=delta, **at)
        yield event(
            "response.function_call_arguments.done", arguments=delta, name=item["name"], **at
        )
    else:
        part = {"type": "output_text", "text": "", "annotations": []}
        yield event("response.output_item.added", output_index=0, item={**started, "content": []})
        yield event("response.content_part.added", content_index=0, part=part, **at)
        for number, word in enumerate(words):
            await wait_while_held(control, number)
            if control.wishes().get("break_after_words") == number:
                raise ConnectionResetError("the test wanted the stream broken")
            delta = word if number == 0 else f" {word}"
            yield event(
                "response.output_text.delta", content_index=0, delta=delta, logprobs=[], **at
            )
        text = " ".join(words)
        yield event("response.output_text.done", content_index=0, text=text, logprobs=[], **at)
        yield event("response.content_part.done", content_index=0, part=item["content"][0], **at)
    yield event("response.output_item.done", output_index=0, item=item)
    yield event("response.completed", response=response)


def _items(body: dict[str, Any]) -> list[dict[str, Any]]:
    said = body.get("input")
    return said if isinstance(said, list) else []
