"""An agent's voice: an OpenAI-compatible chat call, in one piece or streamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid
from watchkeeper.demo.agents.refusal import NotPerformed, Refusal, from_model

MOST_TOKENS = 300
PATIENCE = aiohttp.ClientTimeout(total=120, connect=10)


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""

    def as_message(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }


@dataclass(slots=True)
class _Answer:
    """A message put together from the pieces of a stream."""

    content: str = ""
    calls: dict[int, _Call] = field(default_factory=dict)
    ended: bool = False

    def take(self, chunk: Mapping[str, Any]) -> None:
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            self.content += delta.get("content") or ""
            for piece in delta.get("tool_calls") or ():
                call = self.calls.setdefault(int(piece.get("index", 0)), _Call())
                function = piece.get("function") or {}
                call.id = piece.get("id") or call.id
                call.name = function.get("name") or call.name
                call.arguments += function.get("arguments") or ""
            self.ended = self.ended or bool(choice.get("finish_reason"))

    def as_message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.calls:
            message["tool_calls"] = [self.calls[at].as_message() for at in sorted(self.calls)]
        return message


class Chat:
    """Asks a model through the gateway; raises `NotPerformed` when it gets no answer."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._url = base_url.rstrip("/") + "/chat/completions"

    async def ask(
        self,
        token: str,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        *,
        stream: bool,
    ) -> dict[str, Any]:
        """Return the model's message."""
        body: dict[str, Any] = {
            "model": model,
            "messages": list(messages),
            "tools": list(tools),
            "max_tokens": MOST_TOKENS,
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        headers = {"authorization": f"Bearer {token}"}
        try:
            async with self._session.post(
                self._url, json=body, headers=headers, timeout=PATIENCE
            ) as response:
                if response.status != 200:
                    raise NotPerformed(from_model(response.status, _json(await response.read())))
                if response.content_type == "text/event-stream":
                    return await self._read_stream(response)
                answer = parse(await response.read())
                message: dict[str, Any] = answer["choices"][0]["message"]
                return message
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotPerformed(_lost(f"the model gateway is out of reach: {error}")) from error
        except (Invalid, KeyError, IndexError, TypeError) as error:
            raise NotPerformed(_lost(f"the answer made no sense: {error}")) from error

    async def _read_stream(self, response: aiohttp.ClientResponse) -> dict[str, Any]:
        answer = _Answer()
        async for line in response.content:
            text = line.strip()
            if not text.startswith(b"data:"):
                continue
            data = text[5:].strip()
            if data == b"[DONE]":
                break
            chunk = parse(data)
            if isinstance(chunk, dict) and chunk.get("error"):
                raise NotPerformed(from_model(403, chunk))
            answer.take(chunk)
        if not answer.ended:
            raise NotPerformed(_lost("the answer was cut off"))
        return answer.as_message()


def _json(data: bytes) -> Any:
    try:
        return parse(data)
    except Invalid:
        return None


def _lost(text: str) -> Refusal:
    return Refusal("cut off", "", text)
