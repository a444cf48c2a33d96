"""Breakers over real model calls, with the official client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest

from tests.gateways.ground import Edge, open_edge
from tests.rig.deadline import eventually_async
from tests.rig.provider import Provider
from tests.rig.world import world
from watchkeeper.breakers import service
from watchkeeper.breakers.model import Standing
from watchkeeper.decide.budgets.watching import Watching

BREAKER = "runaway/clerk"
DOCUMENT = json.dumps(
    {
        "breaker": {
            "name": "runaway",
            "scope": "team/finance-ops",
            "cost": {"baseline_calls": 30},
            "errors": {"calls": 10},
        }
    }
)


@pytest.fixture
async def edge(tmp_path: Path, model_provider: Provider) -> AsyncIterator[Edge]:
    """Gateways with a breaker over the agent, and the watch that opens it."""
    model_provider.wish()
    async with open_edge(tmp_path, *world(DOCUMENT, provider_url=model_provider.url)) as opened:
        watching = Watching(opened.store, opened.decider.catalogue, opened.decider.breakers)
        await watching.start()
        yield opened
        await watching.stop()
    model_provider.wish()


async def ask(client: openai.AsyncOpenAI, n: int, *, times: int = 1) -> None:
    words = " ".join(f"w{n}" for _ in range(20 * times))
    await client.chat.completions.create(
        model="small-fast",
        messages=[{"role": "user", "content": words}],
        max_tokens=5 * times,
    )


async def refusal(client: openai.AsyncOpenAI, n: int) -> openai.PermissionDeniedError | None:
    """Make a call ten times as dear; return what it is refused with."""
    try:
        await ask(client, n, times=10)
    except openai.PermissionDeniedError as error:
        return error
    return None


async def opened(edge: Edge) -> Standing:
    async def found() -> Standing | None:
        standing = await edge.store.read(lambda tx: service.find(tx, BREAKER))
        return standing if standing and standing.state == "open" else None

    return await eventually_async(found, "it is open")


async def test_calls_that_cost_ten_times_as_much_are_stopped_within_fifteen(edge: Edge) -> None:
    async with edge.openai(await edge.open_run()) as client:
        for n in range(35):
            await ask(client, n)
        refused = [one for n in range(30) if (one := await refusal(client, n)) is not None]
    assert 3 <= 30 - len(refused) <= 15
    standing = await opened(edge)
    assert standing.detector == "cost"
    assert "10 times the usual" in standing.reason
    assert f"breaker/{BREAKER}" in refused[0].message
    assert "until one call may pass as a probe" in refused[0].message
    assert refused[0].response.headers["x-should-retry"] == "false"


async def test_a_provider_that_fails_opens_it(edge: Edge, model_provider: Provider) -> None:
    model_provider.wish(status=500)
    async with edge.openai(await edge.open_run()) as client:
        for n in range(5):
            with pytest.raises(openai.APIStatusError):
                await ask(client, n)
        standing = await opened(edge)
        model_provider.wish()
        with pytest.raises(openai.PermissionDeniedError):
            await ask(client, 9)
    assert standing.reason == "5 of the newest 10 calls failed"
