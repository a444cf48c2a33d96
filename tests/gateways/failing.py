"""Gateways over providers that fail, without the waits between retries."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.gateways.ground import Edge, open_edge
from tests.rig.world import agent_document, world

ASK: dict[str, Any] = {
    "model": "small-fast",
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 100,
}


def provider(name: str, url: str, **more: Any) -> str:
    """A provider of the model `m`."""
    model = {"name": "m", "input_usd_per_million": 1, "output_usd_per_million": 2}
    document = {"name": name, "base_url": url, "models": [model], **more}
    document.setdefault("retries", {"attempts": 2, "budget_percent": 100, "backoff_seconds": 1})
    return json.dumps({"provider": document})


def model(*providers: str) -> str:
    targets = [{"provider": name, "model": "m"} for name in providers]
    return json.dumps({"model": {"name": "small-fast", "targets": targets}})


@dataclass
class Ground:
    """Gateways over crooked providers; what retries wait for is written down, not waited."""

    edge: Edge
    token: str
    waited: list[float] = field(default_factory=list)

    async def ask(self, **more: Any) -> tuple[int, dict[str, str], bytes]:
        """Call the model; return status, headers and body."""
        try:
            async with self.edge.http.post(
                f"{self.edge.url}/openai/v1/chat/completions",
                json={**ASK, **more},
                headers={"authorization": f"Bearer {self.token}"},
            ) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return answer.status, headers, await answer.read()
        except aiohttp.ClientPayloadError as error:
            raise AssertionError("the plane broke its own answer off") from error

    def figures(self, name: str) -> Any:
        now = self.edge.store.clock.now()
        return self.edge.decider.statistics.figures(name, None, now)

    def state(self, name: str) -> str:
        return self.edge.decider.statistics.health(name).state


@asynccontextmanager
async def ground(
    directory: Path, *documents: str, budgets: dict[str, float] | None = None
) -> AsyncIterator[Ground]:
    agent = agent_document(budgets=budgets)
    async with open_edge(directory, *world(agent=agent)[:-1], *documents) as edge:
        made = Ground(edge, await edge.open_run())

        async def wait(seconds: float) -> None:
            made.waited.append(seconds)

        edge.gateways.providers.wait = wait
        yield made
