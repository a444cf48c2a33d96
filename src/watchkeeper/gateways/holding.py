"""Keeping a caller waiting for a person, no longer than its client bears."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from watchkeeper.decide.service import Decider
from watchkeeper.wire.decisions import Answer, Ask, Outcome


async def decide_and_hold(
    decider: Decider,
    token: str,
    ask: Ask,
    *,
    hold_seconds: float,
    gone: asyncio.Event,
    on_hold: Callable[[Answer], None],
) -> Answer | None:
    """Return the decision, after waiting up to `hold_seconds` for a person where it is held.

    None when the caller hung up meanwhile: its request counts as withdrawn, and nothing may
    run on a later approval by itself. Raises as `Decider.decide`.
    """
    answer = await decider.decide(token, ask)
    until = time.monotonic() + hold_seconds
    asked: str | None = None
    while answer.verdict == "hold" and answer.request and answer.request != asked:
        asked = answer.request
        left = until - time.monotonic()
        if left <= 0:
            break
        on_hold(answer)
        await _wait_for_person(decider, asked, left, gone)
        if gone.is_set():
            return None
        answer = await decider.decide(token, ask)
        if gone.is_set():
            await _give_back(decider, token, answer)
            return None
    return answer


async def _wait_for_person(
    decider: Decider, request: str, seconds: float, gone: asyncio.Event
) -> None:
    waits = [
        asyncio.ensure_future(decider.wait(request, seconds)),
        asyncio.ensure_future(gone.wait()),
    ]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    for wait in done:
        wait.result()


async def _give_back(decider: Decider, token: str, answer: Answer) -> None:
    if answer.verdict == "permit" and answer.replay is None:
        why = "the caller hung up before it began; nothing was done"
        await decider.settle(answer.decision, Outcome(status="failed", error=why), token=token)
