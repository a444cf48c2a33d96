"""A real OpenAI-compatible provider for tests: deterministic words, honest token counts.

What it does next is in a control file that the test writes: fail with a status, wait between
words until told. Every request is a line in a log, so that the test can count and read them.
"""

from __future__ import annotations

import argparse
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.rig.deadline import eventually_async
from tests.rig.provider_functions import openai_refusal
from tests.rig.provider_messages import messages_routes
from tests.rig.provider_responses import openai_routes, said_by_test

ANSWER_WORDS = 8


class Control:
    """The test's wishes (a JSON file, read at each use) and the log of requests."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def wishes(self) -> dict[str, Any]:
        """What the test wants now."""
        try:
            found: dict[str, Any] = json.loads((self.directory / "wishes.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def log(self, entry: dict[str, Any]) -> None:
        """Write one request down."""
        with (self.directory / "requests.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def words_for(body: dict[str, Any]) -> list[str]:
    """Return the answer to a request: the same for the same request."""
    last = str((body.get("messages") or [{}])[-1].get("content") or "")
    wanted = min(int(body.get("max_tokens") or ANSWER_WORDS), 4096)
    source = last.split() or ["nothing"]
    return [source[n % len(source)] for n in range(wanted)]


def tool_call(body: dict[str, Any], wish: dict[str, Any] | None) -> dict[str, Any] | None:
    """Call the tool of a wish until what it answered has the text that the wish waits for."""
    if wish is None:
        return None
    answers = [str(m.get("content")) for m in body["messages"] if m.get("role") == "tool"]
    if any(wish["until"] in answer for answer in answers):
        return None
    function = {"name": wish["name"], "arguments": json.dumps(wish["arguments"])}
    return {"id": f"call_{len(answers)}", "type": "function", "function": function}


def usage_for(body: dict[str, Any], words: list[str]) -> dict[str, int]:
    """Count a token for each word in and out."""
    prompt = sum(len(str(m.get("content") or "").split()) for m in body.get("messages") or [])
    return {
        "prompt_tokens": prompt,
        "completion_tokens": len(words),
        "total_tokens": prompt + len(words),
    }


def build_app(control: Control) -> Any:
    """Return the ASGI app."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    async def models(request: Request) -> Response:
        listed = [{"id": "small-1", "object": "model"}, {"id": "large-1", "object": "model"}]
        return JSONResponse({"object": "list", "data": listed})

    async def complete(request: Request) -> Response:
        body = await request.json()
        control.log({"authorization": request.headers.get("authorization"), "body": body})
        wishes = control.wishes()
        wishes |= wishes.get("of", {}).get(body.get("model"), {})
        if "said" in wishes:
            said: Response = said_by_test(wishes["said"])
            return said
        if status := wishes.get("status"):
            error = {"message": wishes.get("message", "overloaded"), "type": "server_error"}
            return JSONResponse({"error": error}, status_code=int(status))
        if refusal := openai_refusal(body):
            return JSONResponse(refusal, status_code=400)
        words = str(wishes["say"]).split(" ") if "say" in wishes else words_for(body)
        base = {"id": "chatcmpl-rig", "created": 0, "model": body.get("model", "")}
        if body.get("stream"):
            lines = stream(control, body, base, words)
            return StreamingResponse(lines, media_type="text/event-stream")
        await wait_while_held(control)
        message: dict[str, Any] = {"role": "assistant", "content": " ".join(words)}
        if call := tool_call(body, wishes.get("call")):
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        reason = "tool_calls" if call else "stop"
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return JSONResponse(
            {
                **base,
                "object": "chat.completion",
                "choices": [choice],
                "usage": usage_for(body, words),
            }
        )

    routes = [
        Route("/v1/models", models),
        Route("/v1/chat/completions", complete, methods=["POST"]),
        *openai_routes(control, wait_while_held),
        *messages_routes(control, wait_while_held),
    ]
    return Starlette(routes=routes)


async def wait_while_held(control: Control, sent: int = 0) -> None:
    """Wait while the test holds the provider at this many words."""

    async def free() -> bool:
        hold_at = control.wishes().get("hold_after_words")
        return hold_at is None or sent < int(hold_at)

    await eventually_async(free, "the test lets the provider go on", seconds=120)


async def stream(
    control: Control, body: dict[str, Any], base: dict[str, Any], words: list[str]
) -> AsyncIterator[bytes]:
    """Yield the answer word by word, then the usage if asked for, as OpenAI does."""

    def line(**fields: Any) -> bytes:
        chunk = {**base, "object": "chat.completion.chunk", **fields}
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"

    for sent, word in enumerate(words):
        await wait_while_held(control, sent)
        if control.wishes().get("break_after_words") == sent:
            raise ConnectionResetError("the test wanted the stream broken")
        delta = {"role": "assistant", "content": word + " "}
        yield line(choices=[{"index": 0, "delta": delta, "finish_reason": None}])
    yield line(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    if (body.get("stream_options") or {}).get("include_usage"):
        yield line(choices=[], usage=usage_for(body, words))
    yield b"data: [DONE]\n\n"
    await wait_while_held(control, len(words))


def main() -> None:
    """Run as a process."""
    import uvicorn

    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--ready", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    chosen = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", chosen.port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(build_app(Control(chosen.directory)), log_level="warning")
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    chosen.ready.write_text(json.dumps({"url": address}), encoding="utf-8")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
