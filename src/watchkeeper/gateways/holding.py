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
        decided = await _wait_for_person(decider, asked, left, gone)
        if gone.is_set():
            return None
        if not decided:
            break
        answer = await decider.decide(token, ask)
        if gone.is_set():
            await _give_back(decider, answer)
            return None
    return answer


async def _wait_for_person(
    decider: Decider, request: str, seconds: float, gone: asyncio.Event
) -> bool:
    """Return whether the request was decided before time was up or the caller gone."""
    decided = asyncio.ensure_future(decider.waiting.wait(request, seconds))
    left = asyncio.ensure_future(gone.wait())
    try:
        await asyncio.wait({decided, left}, return_when=asyncio.FIRST_COMPLETED)
        return decided.done() and decided.result()
    finally:
        decided.cancel()
        left.cancel()


async def _give_back(decider: Decider, answer: Answer) -> None:
    if answer.verdict == "permit" and answer.replay is None:
        why = "the caller hung up before it began; nothing was done"
        await decider.settle(answer.decision, Outcome(status="failed", error=why))
