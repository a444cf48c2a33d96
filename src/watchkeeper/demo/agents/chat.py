"""Asking a model through the gateway, in one piece or streamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid
from watchkeeper.demo.agents.refusal import NotPerformed, Refusal, from_model
from watchkeeper.demo.agents.voices import VOICES, Voice

MOST_TOKENS = 300
PATIENCE = aiohttp.ClientTimeout(total=120, connect=10)


class Chat:
    """Asks a model through the gateway; raises `NotPerformed` when it gets no answer."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, voice: Voice = VOICES["chat"]
    ) -> None:
        self._session = session
        self._voice = voice
        self._url = base_url.rstrip("/").replace("/openai/", f"/{voice.house}/") + voice.path

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
        body = self._voice.body((model, messages, tools, MOST_TOKENS), stream=stream)
        headers = {"authorization": f"Bearer {token}"}
        try:
            async with self._session.post(
                self._url, json=body, headers=headers, timeout=PATIENCE
            ) as response:
                if response.status != 200:
                    raise NotPerformed(from_model(response.status, _json(await response.read())))
                if response.content_type == "text/event-stream":
                    return await self._read_stream(response)
                return self._voice.whole(parse(await response.read()))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotPerformed(_lost(f"the model gateway is out of reach: {error}")) from error
        except (Invalid, KeyError, IndexError, TypeError) as error:
            raise NotPerformed(_lost(f"the answer made no sense: {error}")) from error

    async def _read_stream(self, response: aiohttp.ClientResponse) -> dict[str, Any]:
        answer = self._voice.listen()
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
