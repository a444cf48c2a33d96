"""A program on the Claude Agent SDK; it runs in an environment of its own."""

from __future__ import annotations

import asyncio
import sys

from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query


async def work(prompt: str, settings: str) -> None:
    """Ask once and print how it ended."""
    options = ClaudeAgentOptions(model="claude-sonnet-4-5", settings=settings)
    async for message in query(prompt=prompt, options=options):
        if isinstance(message, ResultMessage):
            sys.stdout.write(f"{message.subtype} {message.result}\n")


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2]))
