"""Locks that come down while something is under way: nothing covered is permitted after them.

What is before what is read from the ledger: by sequence, and by the epoch in each decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from tests.kill.guarded import MODES, Guarded
from tests.rig.stores import sqlite_url
from watchkeeper.approvals.service import cast_vote
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, Forbidden, Unauthenticated, WatchkeeperError
from watchkeeper.decide.held.holding import decide_and_hold
from watchkeeper.decide.held.waiting import DECIDED
from watchkeeper.decide.kill.flight import InFlight
from watchkeeper.decide.people.directory import PeopleInForce
from watchkeeper.kill.model import LockTarget
from watchkeeper.store.store import Store
from watchkeeper.wire.decisions import Answer, Ask, Outcome, Performer
from watchkeeper.wire.locks import Mode, TargetKind

TURNS = (0, 2, 9)
"""How many times others may go first before the lock is asked for."""
AT: tuple[tuple[Mode, int], ...] = (
    *(("stop", turn) for turn in TURNS), ("drain", 2), ("deny-new", 0), ("pause", 9),
)  # fmt: skip
"""A stop at every turn, the other modes at one each."""
PAY = {"amount": 3}


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    """On SQLite, which is quick to be had; some of each race run on both stores (below)."""
    async with await Store.open(sqlite_url(tmp_path), RehearsalClock(frozen=True)) as store:
        yield await Guarded.open(store)


async def after(turns: int, work: Awaitable[str]) -> str:
    for _ in range(turns):
        await asyncio.sleep(0)
    return await work


async def approve(guarded: Guarded, request: str, person: str = "ada") -> None:
    """Vote for a request as the API does."""
    ((digest,),) = await guarded.rows(f"select digest from requests where request = '{request}'")
    catalogue = guarded.decider.catalogue.now
    await guarded.store.write(
        lambda tx: cast_vote(
            tx,
            request,
            person=f"person/{person}",
            roles=frozenset({"finance-ops"}),
            verdict="approve",
            digest=digest,
            people=PeopleInForce(tx, catalogue),
        )
    )


async def held(guarded: Guarded, token: str) -> str:
    """Ask for what needs a person; return the request."""
    answer = await guarded.ask(token, "books.pay", **PAY)
    assert (answer.verdict, answer.request is not None) == ("hold", True), answer
    return str(answer.request)


async def answers(works: Sequence[Awaitable[Answer]]) -> list[Answer]:
    """Return the answers of those that got one; others must have been refused in good order."""
    found = await asyncio.gather(*works, return_exceptions=True)
    for one in found:
        assert isinstance(one, Answer | Forbidden | Unauthenticated | Conflict), repr(one)
    return [one for one in found if isinstance(one, Answer)]


COVERS: tuple[tuple[TargetKind, str], ...] = (
    ("agent", "clerk"), ("version", "clerk@1"), ("tool", "books.pay"), ("upstream", "books"),
    ("team", "finance-ops"), ("person", "carol"), ("runtime", "graphs"), ("everything", "*"),
    ("run", ""), ("approval", ""),
)  # fmt: skip


@pytest.mark.parametrize("mode", ["stop", "pause"])
@pytest.mark.parametrize(("kind", "name"), COVERS)
async def test_an_approval_is_redeemed_before_a_lock_or_not_at_all(
    guarded: Guarded, kind: TargetKind, name: str, mode: Mode
) -> None:
    run = await guarded.open_run(behalf="person/carol")
    request = await held(guarded, run.token)
    await approve(guarded, request)
    target = name or {"run": run.run, "approval": request}[kind]
    turns = TURNS[COVERS.index((kind, name)) % len(TURNS)]
    asked = [guarded.ask(run.token, "books.pay", **PAY) for _ in range(3)]
    found, lock = await asyncio.gather(
        answers(asked), after(turns, guarded.lock(kind, target, mode))
    )
    fresh = [one for one in found if one.verdict == "permit" and one.replay is None]
    assert len(fresh) <= 1
    again = await asyncio.gather(guarded.ask(run.token, "books.pay", **PAY), return_exceptions=True)
    refused = again[0]
    if isinstance(refused, Answer):
        assert refused.verdict != "permit", "also no replay, under a lock"
        # a request that a kill revoked says so itself
        assert refused.rule == f"lock/{lock}" or (mode, kind) == ("stop", "approval")
    else:
        assert isinstance(refused, Forbidden)
        assert refused.rule == f"lock/{lock}"
    assert await guarded.permitted_under_a_lock() == []
    ((used,),) = await guarded.rows("select count(*) from events where type = 'grant.redeemed'")
    assert used == len(fresh)


@pytest.mark.parametrize("turns", TURNS)
async def test_the_vote_of_somebody_who_is_locked_is_redeemed_before_or_asked_for_anew(
    guarded: Guarded, turns: int
) -> None:
    run = await guarded.open_run()
    request = await held(guarded, run.token)
    await approve(guarded, request)
    found, lock = await asyncio.gather(
        answers([guarded.ask(run.token, "books.pay", **PAY) for _ in range(3)]),
        after(turns, guarded.lock("person", "ada.l", "pause")),
    )
    events = await guarded.rows(
        "select type from events where type in ('grant.redeemed', 'lock.created', "
        "'request.revoked') order by sequence"
    )
    assert events in (
        [("grant.redeemed",), ("lock.created",)],
        [("lock.created",), ("request.revoked",)],
        [("lock.created",)],
    )
    if not any(one.verdict == "permit" for one in found):
        anew = await guarded.ask(run.token, "books.pay", **PAY)
        assert anew.verdict == "hold"
        assert anew.request not in (None, request)
        with pytest.raises(Forbidden) as refused:
            await approve(guarded, str(anew.request))
        assert refused.value.rule == f"lock/{lock}"
        await approve(guarded, str(anew.request), "bob")
        assert (await guarded.ask(run.token, "books.pay", **PAY)).verdict == "permit"


@pytest.mark.parametrize(("mode", "turns"), AT)
async def test_what_a_person_decides_as_a_lock_comes_down_runs_before_it_or_not_at_all(
    guarded: Guarded, mode: Mode, turns: int
) -> None:
    run = await guarded.open_run()
    request = await held(guarded, run.token)
    waking = asyncio.create_task(_wake(guarded))
    waits = [
        decide_and_hold(
            guarded.decider,
            run.token,
            Ask(name="books.pay", arguments=PAY),
            performer="agent",
            hold_seconds=30,
            gone=asyncio.Event(),
            on_hold=lambda answer, waited: None,
        )
        for _ in range(3)
    ]
    holding = asyncio.gather(*waits, return_exceptions=True)
    voted, lock = await asyncio.gather(
        approve(guarded, request),
        after(turns, guarded.lock("tool", "books.pay", mode)),
        return_exceptions=True,
    )
    assert voted is None or isinstance(voted, Conflict)
    found = await holding
    waking.cancel()
    await asyncio.gather(waking, return_exceptions=True)
    assert len([one for one in found if isinstance(one, Answer) and one.verdict == "permit"
                and one.replay is None]) <= 1  # fmt: skip
    assert await guarded.permitted_under_a_lock() == []
    last = await guarded.ask(run.token, "books.pay", **PAY)
    assert (last.verdict, last.rule) == ("deny", f"lock/{lock}")


async def _wake(guarded: Guarded) -> None:
    async for batch in guarded.store.subscribe():
        guarded.decider.waiting.wake(
            one.request for one in batch if one.type in DECIDED and one.request
        )


@pytest.mark.parametrize(("mode", "turns"), AT)
async def test_an_outcome_is_recorded_once_whatever_comes_down_meanwhile(
    guarded: Guarded, mode: Mode, turns: int
) -> None:
    run = await guarded.open_run()
    flights: list[InFlight] = []
    decisions = []
    performer: Performer = "plane"
    for _ in range(4):
        permit = await guarded.decider.decide(
            run.token, Ask(name="books.read"), performer=performer
        )
        assert permit.verdict == "permit"
        decisions.append(permit.decision)
        flights.append(guarded.decider.flights.fly(permit.decision, lambda: None, lambda _: None))

    async def settle(number: int) -> None:
        with flights[number]:
            await asyncio.sleep(0)
        status = "unknown" if flights[number].cancelled else "succeeded"
        outcome = Outcome(status=status)
        await guarded.decider.settle(decisions[number], outcome)
        await guarded.decider.settle(decisions[number], outcome)

    await asyncio.gather(
        *(settle(number) for number in range(4)),
        after(turns, guarded.lock("agent", "clerk", mode)),
    )
    ended = await guarded.rows("select outcome from decisions where verdict = 'permit'")
    assert len(ended) == 4
    assert {row[0] for row in ended} <= {"succeeded", "unknown"}
    if mode != "stop":
        assert {row[0] for row in ended} == {"succeeded"}, "only a kill cuts"
    ((many,),) = await guarded.rows("select count(*) from events where type = 'outcome.recorded'")
    assert many == 4
    assert await guarded.rows("select decision from budget_holds where resolved_at is null") == []
    assert guarded.decider.flights.count(LockTarget("everything", "*")) == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("kind", "name"),
    [("agent", "clerk"), ("version", "clerk@1"), ("team", "finance-ops"), ("person", "carol"),
     ("runtime", "graphs"), ("everything", "*"), ("run", "")],
)  # fmt: skip
async def test_no_token_is_issued_after_a_lock_that_covers_it(
    guarded: Guarded, kind: TargetKind, name: str, mode: Mode
) -> None:
    first = await guarded.open_run(behalf="carol")
    credential = await guarded.credential("clerk")
    await guarded.credential("scribe")
    turns = TURNS[MODES.index(mode) % len(TURNS)]

    async def opened() -> None:
        await guarded.open_run(behalf="carol")

    async def child() -> None:
        await guarded.open_run("scribe", under=first.token)

    async def renewed() -> None:
        await guarded.envelopes.renew(credential, first.run)

    works = [opened(), child(), renewed(), opened(), child(), renewed()]
    found, lock = await asyncio.gather(
        asyncio.gather(*works, return_exceptions=True),
        after(turns, guarded.lock(kind, name or first.run, mode)),
    )
    for error in found:
        assert error is None or isinstance(error, Forbidden | Unauthenticated), repr(error)
        if isinstance(error, Forbidden):
            assert error.rule in (f"lock/{lock}", "lock/run-stopped")
    rows = await guarded.rows(
        "select sequence, type, run from events where type in ('lock.created', 'run.opened', "
        "'run.token_renewed') order by sequence"
    )
    created = next(row[0] for row in rows if row[1] == "lock.created")
    late = [row for row in rows if row[0] > created]
    if kind == "run":
        # a lock on a run refuses its children and its own tokens, and no other run
        parents = dict(await guarded.rows("select run, parent from runs"))
        late = [row for row in late if row[2] == first.run or parents[row[2]] == first.run]
    if mode == "deny-new":
        late = [row for row in late if row[1] == "run.opened"]
    assert late == []
    await _each_refused(guarded, credential, first.token, first.run, kind, mode)


async def _each_refused(
    guarded: Guarded, credential: str, token: str, run: str, kind: TargetKind, mode: Mode
) -> None:
    """After the lock's answer, every way to a token is refused that its mode refuses."""
    if kind != "run":
        with pytest.raises(Forbidden):
            await guarded.open_run(behalf="carol")
    with pytest.raises(WatchkeeperError):
        await guarded.open_run("scribe", under=token)
    if mode == "deny-new":
        await guarded.envelopes.renew(credential, run)
    else:
        with pytest.raises(WatchkeeperError):
            await guarded.envelopes.renew(credential, run)


RACES: dict[str, tuple[Callable[..., Awaitable[None]], tuple[object, ...]]] = {
    "redeem": (
        test_an_approval_is_redeemed_before_a_lock_or_not_at_all,
        ("tool", "books.pay", "stop"),
    ),
    "vote": (test_the_vote_of_somebody_who_is_locked_is_redeemed_before_or_asked_for_anew, (2,)),
    "resume": (
        test_what_a_person_decides_as_a_lock_comes_down_runs_before_it_or_not_at_all,
        ("stop", 2),
    ),
    "settle": (test_an_outcome_is_recorded_once_whatever_comes_down_meanwhile, ("stop", 2)),
    "token": (test_no_token_is_issued_after_a_lock_that_covers_it, ("agent", "clerk", "stop")),
}


@pytest.mark.parametrize("race", RACES)
async def test_each_race_ends_so_on_both_stores(store: Store, race: str) -> None:
    run, given = RACES[race]
    await run(await Guarded.open(store), *given)
