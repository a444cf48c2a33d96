"""A small agent: asks a model, calls the tools it wants, and gives up by itself at times.

It knows the plane by its environment alone, as agents do; also a command.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import httpx

LOST = "the bank is closed"
"""What makes its own code go another way, whatever its model says."""
_MOST_TURNS = 4


async def work(environment: Mapping[str, str], task: str = "refund it", **asked: Any) -> list[str]:
    """Do a task and return what the agent was told on the way, in order."""
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    told: list[str] = []
    token = environment["WATCHKEEPER_RUN_TOKEN"]
    headers = {"authorization": f"Bearer {token}"}
    messages: list[dict[str, Any]] = [{"role": "user", "content": task}]
    async with (
        httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as model,
        httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as http,
    ):
        transport = streamable_http_client(environment["WATCHKEEPER_MCP_URL"], http_client=http)
        async with Client(transport, read_timeout_seconds=30) as tools:
            for _ in range(_MOST_TURNS):
                message = await _ask(model, environment["OPENAI_BASE_URL"], messages, told, asked)
                if message is None:
                    break
                messages.append(message)
                for call in message.get("tool_calls") or ():
                    function = call["function"]
                    arguments = json.loads(function["arguments"])
                    said = await _use(tools, function["name"], arguments, told)
                    messages.append({"role": "tool", "tool_call_id": call["id"], "content": said})
                    if LOST in said:
                        await _use(tools, "books_echo", {"text": "what now?"}, told)
                if not message.get("tool_calls"):
                    break
    return told


async def _ask(
    model: httpx.AsyncClient,
    base: str,
    messages: list[dict[str, Any]],
    told: list[str],
    asked: Mapping[str, Any],
) -> dict[str, Any] | None:
    body = {"model": "small-fast", "max_tokens": 9, "messages": messages, **asked}
    answer = await model.post(f"{base}/chat/completions", json=body)
    if answer.status_code != 200:
        told.append(f"model: {answer.json()['error']['message']}")
        return None
    message: dict[str, Any] = answer.json()["choices"][0]["message"]
    told.append(f"model: {message.get('content') or 'calls a tool'}")
    return message


async def _use(tools: Any, name: str, arguments: dict[str, Any], told: list[str]) -> str:
    result = await tools.call_tool(name, arguments)
    said = "".join(one.text for one in result.content)
    told.append(f"{name}: {said}")
    return said


if __name__ == "__main__":
    sys.stdout.write("\n".join(asyncio.run(work(os.environ, *sys.argv[1:]))) + "\n")
