"""A lock on a provider: nothing is sent to it, what it is asked is cut, other targets answer."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.gateways.crooked_models import CrookedModels, crooked_models
from tests.gateways.failing import ASK, Ground, ground, model, provider
from tests.rig.deadline import eventually_async
from watchkeeper.kill.model import LockTarget, NewLock, Receipt
from watchkeeper.kill.receipts import receipts_of
from watchkeeper.wire.locks import Mode


class Two:
    """Gateways over two providers of one model, `first` before `second`."""

    def __init__(self, made: Ground, first: CrookedModels, second: CrookedModels) -> None:
        self.ground = made
        self.first = first
        self.second = second

    async def lock(self, name: str, mode: Mode = "stop") -> str:
        target = LockTarget("provider", name)
        lock, _ = await self.ground.edge.kill.lock(
            NewLock(target, mode=mode, reason="it leaks", by="person/owner")
        )
        return lock.lock

    async def lift(self, lock: str) -> None:
        await self.ground.edge.kill.lift(lock, reason="it is well", by="person/owner")

    async def receipt(self, lock: str) -> Receipt:
        """Wait until the calls' receipt is acknowledged."""

        async def found() -> Receipt | None:
            rows = await self.ground.edge.store.read(lambda tx: receipts_of(tx, lock))
            (one,) = [row for row in rows if row.party == "calls"]
            return one if one.state == "acknowledged" else None

        return await eventually_async(found, "the calls have ended")

    async def asked(self, at: CrookedModels, times: int = 1) -> None:
        async def heard() -> bool:
            return len(at.heard) >= times

        await eventually_async(heard, "the provider is asked")


@pytest.fixture
async def two(tmp_path: Path, stack: AsyncExitStack) -> Two:
    first = await stack.enter_async_context(crooked_models())
    second = await stack.enter_async_context(crooked_models())
    documents = (provider("a", first.url), provider("b", second.url), model("a", "b"))
    made = await stack.enter_async_context(ground(tmp_path, *documents))
    return Two(made, first, second)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def test_what_a_locked_provider_is_asked_goes_on_at_the_next_target(two: Two) -> None:
    two.first.script = ["silent"]
    call = asyncio.create_task(two.ground.ask())
    await two.asked(two.first)
    lock = await two.lock("a")
    status, headers, _ = await call
    assert (status, headers["x-watchkeeper-provider"]) == (200, "b")
    assert (len(two.first.heard), len(two.second.heard)) == (1, 1)
    assert "cut: 1" in (await two.receipt(lock)).detail
    recorded = await two.ground.edge.outcome()
    # what was sent may be billed: it counts at its bound beside what answered
    assert recorded["output_tokens"] == ASK["max_tokens"] + 3
    assert two.ground.state("a") != "down", "a lock says nothing of a provider's health"


@pytest.mark.parametrize("mode", ["stop", "pause", "drain", "deny-new"])
async def test_no_call_is_sent_to_a_locked_provider(two: Two, mode: Mode) -> None:
    lock = await two.lock("a", mode)
    for _ in range(3):
        status, headers, _ = await two.ground.ask()
        assert (status, headers["x-watchkeeper-provider"]) == (200, "b")
    assert two.first.heard == []
    other = await two.lock("b")
    status, headers, body = await two.ground.ask()
    assert (status, headers["x-should-retry"]) == (403, "false")
    assert json.loads(body)["error"]["rule"] in (f"lock/{lock}", f"lock/{other}")
    assert (two.first.heard, len(two.second.heard)) == ([], 3)
    await two.lift(lock)
    assert (await two.ground.ask())[1]["x-watchkeeper-provider"] == "a"


async def test_with_no_target_left_what_was_sent_ends_with_the_locks_name(two: Two) -> None:
    two.first.script = two.second.script = ["silent"]
    call = asyncio.create_task(two.ground.ask())
    await two.asked(two.first)
    await two.lock("a")
    await two.asked(two.second)
    lock = await two.lock("b")
    status, headers, body = await call
    assert (status, headers["x-should-retry"]) == (403, "false")
    assert json.loads(body)["error"]["rule"] == f"lock/{lock}"


async def test_a_stream_that_the_caller_has_begun_to_get_ends(two: Two) -> None:
    two.first.script = ["pause"]
    edge, said = two.ground.edge, b""
    async with edge.http.post(
        f"{edge.url}/openai/v1/chat/completions",
        json={**ASK, "stream": True},
        headers={"authorization": f"Bearer {two.ground.token}"},
    ) as answer:
        while b"two" not in said:
            said += await answer.content.readany()
        lock = await two.lock("a")
        said += await answer.read()
    assert f"lock {lock}".encode() in said
    assert two.second.heard == []
    assert "cut: 1" in (await two.receipt(lock)).detail


async def test_a_lock_between_two_tries_keeps_the_second_from_being_sent(two: Two) -> None:
    two.first.script = ["500", "well"]

    async def wait(seconds: float) -> None:
        await two.lock("a")

    two.ground.edge.gateways.providers.wait = wait
    status, headers, _ = await two.ground.ask()
    assert (status, headers["x-watchkeeper-provider"]) == (200, "b")
    assert len(two.first.heard) == 1


async def test_a_kill_of_the_agent_ends_the_call_though_it_has_another_target(two: Two) -> None:
    two.first.script = ["silent"]
    call = asyncio.create_task(two.ground.ask())
    await two.asked(two.first)
    # both at once: the wider lock counts
    await asyncio.gather(two.lock("a"), two.ground.edge.stop_agent())
    assert (await call)[0] == 403
    assert len(two.second.heard) <= 1
    assert (await two.ground.edge.outcome())["status"] == "unknown"


@pytest.mark.parametrize("seed", range(5))
async def test_whenever_the_lock_comes_nothing_is_sent_after_it(two: Two, seed: int) -> None:
    chance = random.Random(seed)
    two.first.script = ["silent", "500", "well", "cut-at-once", "silent"]
    calls = [asyncio.create_task(two.ground.ask()) for _ in range(6)]
    for _ in range(chance.randint(0, 40)):
        await asyncio.sleep(0)
    await two.lock("a")
    sent = two.ground.figures("a")
    calls += [asyncio.create_task(two.ground.ask()) for _ in range(3)]
    answers = await asyncio.gather(*calls)
    assert {status for status, _, _ in answers} == {200}
    after = two.ground.figures("a")
    assert (after.calls, after.retries) == (sent.calls, sent.retries)
    assert after.in_flight == 0
    assert all(headers["x-watchkeeper-provider"] == "b" for _, headers, _ in answers[6:])
