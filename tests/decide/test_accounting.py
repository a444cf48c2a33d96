"""Calls admitted are calls recorded: what a real decider admits, and what a check says of it."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.decide.test_service import Ground, ground
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.accounting import check_calls
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.keeping import KEPT_ALL, Terms
from watchkeeper.traces.projector import Projector
from watchkeeper.wire.decisions import Ask, Outcome
from watchkeeper.wire.traces import TraceCheck

__all__ = ["ground"]
LOOKUP = Ask(name="stripe.lookup_charge", arguments={"charge_id": "ch_1"})


async def work(ground: Ground) -> list[str]:
    """Have calls end in every way; return the decisions that were permits."""
    decisions = []
    for status in ("succeeded", "failed", "unknown", None):
        answer = await ground.decider.decide(ground.token, LOOKUP)
        assert answer.verdict == "permit"
        if status is not None:
            await ground.decider.settle(answer.decision, Outcome(status=status))
        decisions.append(answer.decision)
    refused = await ground.decider.decide(ground.token, Ask(name="stripe.unknown"))
    assert refused.verdict == "deny"
    return decisions


async def check(ground: Ground, terms: Terms = KEPT_ALL) -> TraceCheck:
    projector = Projector(ground.store, terms)
    await projector.start()
    await projector.follow()
    return await counted(ground, terms)


async def counted(ground: Ground, terms: Terms = KEPT_ALL) -> TraceCheck:
    now = ground.store.clock.now()
    return await ground.store.scan(
        lambda tx: check_calls(tx, now - 3600 * MICROSECONDS, now + 1, terms)
    )


async def spoil(ground: Ground, statement: str) -> None:
    def unit(tx: Transaction) -> None:
        tx.silent("somebody with access to the database")
        tx.connection.execute(text(statement))

    await ground.store.write(unit)


async def test_every_call_is_counted_thrice_however_it_ended(ground: Ground) -> None:
    await work(ground)
    found = await check(ground)
    assert found.ok
    assert (found.admitted, found.decided, found.recorded, found.running) == (4, 4, 4, 1)


async def test_what_is_left_out_as_set_is_counted_too(ground: Ground) -> None:
    await work(ground)
    found = await check(ground, Terms(percent=0))
    assert found.ok
    assert (found.admitted, found.recorded, found.left_out) == (4, 3, 1)


@pytest.mark.parametrize("percent", [0, 100])
async def test_a_span_that_is_gone_is_named(ground: Ground, percent: int) -> None:
    _, failed, _, _ = await work(ground)
    terms = Terms(percent=percent)
    await check(ground, terms)
    await spoil(ground, f"DELETE FROM spans WHERE key = '{failed}'")
    found = await counted(ground, terms)
    assert (found.ok, found.missing) == (False, (failed,))


async def test_a_decision_that_is_gone_is_named_by_its_span(ground: Ground) -> None:
    first, *_ = await work(ground)
    await check(ground)
    await spoil(ground, f"DELETE FROM decisions WHERE decision = '{first}'")
    found = await counted(ground)
    assert (found.ok, found.unknown, found.decided) == (False, (first,), 3)


async def test_a_permit_taken_out_of_the_ledger_is_seen(ground: Ground) -> None:
    first, *_ = await work(ground)
    await check(ground)
    await spoil(ground, f"DELETE FROM events WHERE subject = 'decision/{first}'")
    found = await counted(ground)
    assert (found.ok, found.admitted, found.decided) == (False, 3, 4)


async def test_what_no_span_tells_of_yet_is_not_counted(ground: Ground) -> None:
    await work(ground)
    await check(ground)
    ground.store.clock.advance(1)  # type: ignore[attr-defined]
    await work(ground)
    found = await counted(ground)
    assert found.ok
    assert found.admitted == 4
