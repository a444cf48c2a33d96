"""An agent's hands: the official MCP client, connected to whatever its run names."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation

from watchkeeper.core.digest import canonical
from watchkeeper.demo.agents.refusal import Refusal, from_tool

if TYPE_CHECKING:
    from mcp.types import RequestParamsMeta

MODERN = "2026-07-28"
EXPLANATION = "watchkeeper/explanation"
"""Where a client may say in its own words why it wants a call."""
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Used:
    """What a tool call came to; `text` is what the model gets to read."""

    text: str
    refusal: Refusal | None = None


class Toolbox:
    """One MCP connection under one run token."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        agent: str,
        era: Literal["modern", "legacy"],
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url
        self._token = token
        self._agent = agent
        self._mode = MODERN if era == "modern" else "legacy"
        self._context = context
        self._stack = AsyncExitStack()
        self._status = 0
        self._client: Client | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(
                httpx2.AsyncClient(
                    headers={"authorization": f"Bearer {self._token}"},
                    timeout=httpx2.Timeout(10.0, read=PATIENCE_SECONDS),
                    trust_env=False,
                    verify=self._context or True,
                    event_hooks={"response": [self._note_status]},
                )
            )
            self._client = await stack.enter_async_context(
                Client(
                    streamable_http_client(self._url, http_client=http),
                    mode=self._mode,
                    client_info=Implementation(name=self._agent, version="1.0"),
                )
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def offered(self) -> list[dict[str, Any]]:
        """Return the tools on offer as the chat protocol describes tools."""
        assert self._client is not None
        listed = await self._client.list_tools()
        return [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description or "",
                    "parameters": tool.input_schema,
                },
            }
            for tool in listed.tools
        ]

    async def use(self, tool: str, arguments: Mapping[str, Any], why: str) -> Used:
        """Call a tool; a refusal or a broken connection is told in what is returned."""
        assert self._client is not None
        try:
            result = await self._client.call_tool(
                tool,
                dict(arguments),
                meta=cast("RequestParamsMeta", {EXPLANATION: why}) if why else None,
            )
        except MCPError as error:
            text = f"{error.error.message} (HTTP {self._status})"
            return Used(text, Refusal("cut off", "", text))
        words = "\n".join(str(getattr(block, "text", "")) for block in result.content)
        if result.is_error:
            refusal = from_tool(result.structured_content, words)
            return Used(canonical({"error": words}).decode(), refusal)
        if isinstance(result.structured_content, Mapping):
            return Used(canonical(result.structured_content).decode())
        return Used(words)

    async def _note_status(self, response: httpx2.Response) -> None:
        self._status = response.status_code
