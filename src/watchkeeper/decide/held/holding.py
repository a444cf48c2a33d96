"""Keeping a caller waiting for a person, no longer than its client bears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.service import Decider
from watchkeeper.wire.decisions import Answer, Ask, Performer

SIGN_SECONDS = 12.0
"""How often a caller that waits hears of it: some clients give up after so much silence."""


async def decide_and_hold(
    decider: Decider,
    token: str,
    ask: Ask,
    *,
    performer: Performer,
    hold_seconds: float,
    gone: asyncio.Event,
    on_hold: Callable[[Answer, float], None],
) -> Answer | None:
    """Return the decision, after waiting up to `hold_seconds` for a person where it is held.

    `on_hold` is called at once and every 12 seconds with how long it has waited. None when the
    caller hung up before the decision: nothing may run on a later approval by itself. An
    approval that was used already is carried out all the same, for the same call to find.
    Raises as `Decider.decide`.
    """
    since = decider.waiting.turn
    answer = await decider.decide(token, ask, performer=performer)
    clock = decider.store.clock
    began = clock.now()
    # who is woken by what does not concern them, as a lock on others, waits on
    while answer.verdict == "hold" and answer.request and not decider.waiting.closed:
        asked = answer.request
        decided = False
        while not decided:
            waited = (clock.now() - began) / MICROSECONDS
            if waited >= hold_seconds:
                return answer
            on_hold(answer, waited)
            seconds = min(hold_seconds - waited, SIGN_SECONDS)
            decided = await _wait_for_person(decider, asked, seconds, since, gone)
            if gone.is_set():
                await decider.caller_left(asked)
                return None
        since = decider.waiting.turn
        answer = await decider.decide(token, ask, performer=performer)
    return answer


async def _wait_for_person(
    decider: Decider, request: str, seconds: float, since: int, gone: asyncio.Event
) -> bool:
    """Return whether the request was decided before time was up or the caller gone."""
    decided = asyncio.ensure_future(decider.waiting.wait(request, seconds, since))
    left = asyncio.ensure_future(gone.wait())
    try:
        await asyncio.wait({decided, left}, return_when=asyncio.FIRST_COMPLETED)
        return decided.done() and decided.result()
    finally:
        decided.cancel()
        left.cancel()
        await asyncio.gather(decided, left, return_exceptions=True)
