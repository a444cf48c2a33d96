"""What nobody knows is settled by a person's word or a late report, whichever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest

from tests.decide.budgets.holds_ground import AGENT, Ground, open_ground
from watchkeeper.budgets.checking import check_balances
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.decide.recorded import list_decisions
from watchkeeper.decide.runs.reconciling import list_unsettled, read_unsettled, reconcile
from watchkeeper.ledger.reading import read_events
from watchkeeper.wire.decisions import Answer, Outcome
from watchkeeper.wire.health import UnsettledRow

VALUE = "run/RUN/value"
CALLS = "run/RUN/tool_calls"
USD_20 = 20_000_000


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    async with open_ground(database_url) as opened:
        yield opened


async def lost(ground: Ground, charge: str = "ch_1") -> Answer:
    """A refund that was permitted and of which nothing was heard."""
    answer = await ground.refund(charge)
    assert answer.verdict == "permit"
    await ground.pass_time(901)
    assert (await ground.state(answer))[0] == "unknown"
    return answer


async def settle(
    ground: Ground, decision: str, status: Literal["succeeded", "failed"] = "failed", **more: Any
) -> None:
    said = {"reason": "looked it up", "by": "person/ada", "level": "standard", **more}
    await ground.store.write(lambda tx: reconcile(tx, decision, status, **said))
    check = await ground.store.scan(check_balances)
    assert not check.differences


async def waiting(ground: Ground, state: str = "unknown") -> list[UnsettledRow]:
    catalogue = ground.decider.catalogue.now
    return (await ground.store.read(lambda tx: list_unsettled(tx, catalogue, state=state)))[0]


async def report(ground: Ground, answer: Answer, status: Any) -> None:
    await ground.decider.settle(answer.decision, Outcome(status=status), token=ground.token)


async def told(ground: Ground, type_: str) -> list[dict[str, Any]]:
    found = await ground.store.read(lambda tx: read_events(tx, type=type_, limit=1000))
    return [event.body for event in found]


async def test_what_is_unknown_waits_with_its_owner_and_age(ground: Ground) -> None:
    answer = await lost(ground)
    (row,) = await waiting(ground)
    assert (row.decision, row.agent, row.owner, row.risk) == (
        answer.decision,
        AGENT,
        "finance-ops",
        "medium",
    )
    assert (row.object, row.value_micros, row.performer) == ("charge/ch_1", USD_20, "agent")
    assert row.since - row.at >= 900_000_000
    assert row.why == "nobody reported how it ended"


async def test_a_persons_word_settles_it_and_what_did_not_happen_counts_no_more(
    ground: Ground,
) -> None:
    answer = await lost(ground)
    assert await ground.figures(VALUE) == (USD_20, 0)
    await settle(ground, answer.decision, "failed")
    assert await ground.figures(VALUE) == (0, 0)
    assert await ground.figures(CALLS) == (1, 0)
    assert await ground.state(answer) == ("failed", "ada says: looked it up")
    assert await waiting(ground) == []
    (event,) = await told(ground, "outcome.reconciled")
    assert (event["status"], event["was"], event["reason"]) == ("failed", "unknown", "looked it up")
    # the row shows both words
    (row,), _ = await ground.store.read(list_decisions)
    assert row.outcome == "failed"
    assert row.reconciled is not None
    assert (row.reconciled.by, row.reconciled.was) == (
        "person/ada",
        "nobody reported how it ended",
    )
    (again,) = await waiting(ground, "reconciled")
    assert again.why == "nobody reported how it ended"


async def test_what_did_happen_counts_as_it_was_reserved(ground: Ground) -> None:
    answer = await lost(ground)
    await settle(ground, answer.decision, "succeeded")
    assert await ground.figures(VALUE) == (USD_20, 0)
    assert await ground.state(answer) == ("succeeded", None)


async def test_the_same_word_twice_changes_nothing_and_another_is_refused(ground: Ground) -> None:
    answer = await lost(ground)
    await settle(ground, answer.decision, "failed")
    await settle(ground, answer.decision, "failed", by="person/bob", reason="me too")
    with pytest.raises(Conflict, match="ada has settled it as failed") as refused:
        await settle(ground, answer.decision, "succeeded", by="person/bob")
    assert refused.value.code == "reconciled"
    assert len(await told(ground, "outcome.reconciled")) == 1
    assert await ground.figures(VALUE) == (0, 0)


async def test_a_late_report_that_comes_first_counts(ground: Ground) -> None:
    answer = await lost(ground)
    await report(ground, answer, "succeeded")
    with pytest.raises(Conflict, match="it is known how it ended: it succeeded") as refused:
        await settle(ground, answer.decision, "failed")
    assert refused.value.code == "outcome_known"
    assert await ground.state(answer) == ("succeeded", None)
    assert await told(ground, "outcome.reconciled") == []


async def test_a_late_report_that_comes_second_is_refused(ground: Ground) -> None:
    answer = await lost(ground)
    await settle(ground, answer.decision, "failed")
    with pytest.raises(Conflict, match="a person has settled it as failed") as refused:
        await report(ground, answer, "succeeded")
    assert refused.value.code == "reconciled"
    assert (await ground.state(answer))[0] == "failed"
    assert await ground.figures(VALUE) == (0, 0)


async def test_a_report_and_a_word_at_once_make_one_end(ground: Ground) -> None:
    answers = [await ground.refund(f"ch_{n % 2}", usd=10 + n) for n in range(4)]
    await ground.pass_time(901)
    happened = 0
    for n, answer in enumerate(answers):
        both = [report(ground, answer, "succeeded"), settle(ground, answer.decision, "failed")]
        ends = await asyncio.gather(*(both if n % 2 else both[::-1]), return_exceptions=True)
        (refused,) = [end for end in ends if end is not None]
        assert isinstance(refused, Conflict), ends
        outcome = {"reconciled": "failed", "outcome_known": "succeeded"}[refused.code]
        assert (await ground.state(answer))[0] == outcome
        happened += (10 + n) * 1_000_000 * (outcome == "succeeded")
    assert await ground.figures(VALUE) == (happened, 0)
    assert len(await told(ground, "outcome.reconciled")) == 2


async def test_only_what_nobody_knows_is_settled(ground: Ground) -> None:
    running = await ground.refund()
    with pytest.raises(Conflict) as refused:
        await settle(ground, running.decision)
    assert refused.value.code == "still_running"
    denied = await ground.refund(usd=10_000)
    with pytest.raises(Conflict) as refused:
        await settle(ground, denied.decision)
    assert refused.value.code == "nothing_ran"
    with pytest.raises(NotFound):
        await settle(ground, "dec_none")
    await ground.settle(running)
    with pytest.raises(Conflict) as refused:
        await settle(ground, running.decision)
    assert refused.value.code == "outcome_known"
    catalogue = ground.decider.catalogue.now
    shown = await ground.store.read(lambda tx: read_unsettled(tx, catalogue, running.decision))
    assert shown is None


async def test_what_the_plane_itself_gave_up_is_corrected_too(ground: Ground) -> None:
    answer = await ground.refund(performer="plane")
    await ground.settle(answer, "unknown", error="cut by lock lck_1")
    assert await ground.figures(VALUE) == (USD_20, 0)
    await settle(ground, answer.decision, "failed")
    assert await ground.figures(VALUE) == (0, 0)
    (event,) = await told(ground, "hold.corrected")
    assert event["before"]["value"] == USD_20


async def test_model_calls_are_only_counted(ground: Ground) -> None:
    await ground.call()
    await lost(ground)
    catalogue = ground.decider.catalogue.now
    rows, _, total, models = await ground.store.read(lambda tx: list_unsettled(tx, catalogue))
    assert (len(rows), total, models) == (1, 1, 1)
