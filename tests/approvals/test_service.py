from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import select

from tests.approvals.ground import (
    LEAD,
    OPS,
    open_one,
    pass_time,
    read,
    redeem,
    timer_refs,
    types,
    vote,
    wanted,
)
from watchkeeper.approvals import service
from watchkeeper.approvals.model import Grant, NewRequest
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, Forbidden, Invalid, NotFound, WatchkeeperError
from watchkeeper.oncall.model import Level
from watchkeeper.store.journal import events
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import Change


async def test_approved_action_runs_once_and_its_outcome_ends_the_request(store: Store) -> None:
    request = await open_one(store)
    assert not await redeem(store, wanted())
    assert await vote(store, request, view_seconds=4.5) == "approved"
    assert not await redeem(store, wanted(arguments={"charge_id": "ch_81", "amount_usd": 4001}))
    assert not await redeem(store, wanted(run="run_2"))
    assert await redeem(store, wanted())
    assert not await redeem(store, wanted())
    assert await store.write(lambda tx: service.record_outcome(tx, request, "succeeded"))
    row = await read(store, request)
    assert (row.state, row.decided_by, row.approvals) == ("succeeded", "ada", 1)
    assert await types(store, request) == [
        "request.created",
        "vote.cast",
        "request.approved",
        "grant.redeemed",
        "request.succeeded",
    ]
    assert await timer_refs(store) == []


async def test_second_outcome_changes_nothing(store: Store) -> None:
    request = await open_one(store)
    await vote(store, request)
    await redeem(store, wanted())
    await store.write(lambda tx: service.record_outcome(tx, request, "failed"))
    assert not await store.write(lambda tx: service.record_outcome(tx, request, "succeeded"))
    assert (await read(store, request)).state == "failed"


async def test_same_action_asked_again_is_the_same_request_until_it_ends(store: Store) -> None:
    request = await open_one(store)
    assert await open_one(store, decision="dec_9") == request
    await vote(store, request)
    assert await open_one(store) == request
    assert await open_one(store, run="run_2") != request
    await redeem(store, wanted())
    again = await open_one(store)
    assert again != request
    assert (await types(store, again)) == ["request.created"]


async def test_quorum_counts_people_not_votes_and_one_rejection_denies(store: Store) -> None:
    request = await open_one(store, quorum=2)
    assert await vote(store, request) == "pending"
    with pytest.raises(Conflict) as twice:
        await vote(store, request, "person/Ada")
    assert twice.value.code == "already_voted"
    assert await vote(store, request, "grace") == "approved"
    assert (await read(store, request)).decided_by == "ada, grace"

    other = await open_one(store, run="run_2", quorum=2)
    assert await vote(store, other) == "pending"
    assert await vote(store, other, "grace", "reject", reason="wrong customer") == "denied"
    row = await read(store, other)
    assert (row.state, row.decided_by) == ("denied", "grace")
    standing = await store.read(lambda tx: service.find_standing(tx, "run_2", row.digest))
    assert standing is not None
    assert standing.reason == "wrong customer"
    assert not await redeem(store, wanted(run="run_2"))


async def test_refused_votes_say_why_and_change_nothing(store: Store) -> None:
    request = await open_one(store)
    for kind, code, person, changes in (
        (Forbidden, "separation_of_duties", "carol", {}),
        (Forbidden, "role_missing", "ada", {"roles": frozenset({"sales"})}),
        (Forbidden, "not_asked_yet", "ada", {"roles": LEAD}),
        (Conflict, "stale_digest", "ada", {"digest": "sha256:00"}),
    ):
        with pytest.raises(WatchkeeperError) as refused:
            await vote(store, request, person, **changes)
        assert type(refused.value) is kind
        assert refused.value.code == code
        assert refused.value.rule
        assert refused.value.remedy
    assert await types(store, request) == ["request.created"]
    await vote(store, request)
    with pytest.raises(Conflict, match="ada approved it at 20") as late:
        await vote(store, request, "grace", "reject")
    assert late.value.code == "already_decided"
    with pytest.raises(NotFound):
        await store.write(
            lambda tx: service.cast_vote(
                tx, "req_0", person="ada", roles=OPS, verdict="approve", digest=""
            )
        )


async def test_by_itself_it_reminds_escalates_and_expires(
    store: Store, clock: RehearsalClock
) -> None:
    request = await open_one(store)
    for seconds, ran, happened in (
        (44, 0, []),
        (1, 1, ["request.reminded"]),
        (15, 1, ["request.escalated"]),
        (45, 1, ["request.reminded"]),
        (95, 3, ["request.reminded", "request.reminded", "request.expired"]),
        (9999, 0, []),
    ):
        before = await types(store, request)
        clock.advance(seconds)
        assert await pass_time(store) == ran
        assert (await types(store, request))[len(before) :] == happened
    row = await read(store, request)
    assert (row.state, row.level, row.role) == ("expired", 2, "lead")
    assert row.decided_by == "deadline"
    assert row.decided_at == clock.now() - 9999 * 1_000_000
    assert await timer_refs(store) == []
    assert not await redeem(store, wanted())


async def test_after_downtime_each_due_step_happens_once_in_order(
    store: Store, clock: RehearsalClock
) -> None:
    request = await open_one(store)
    clock.advance(86_400)
    await pass_time(store)
    assert await types(store, request) == [
        "request.created",
        "request.reminded",
        "request.escalated",
        "request.reminded",
        "request.reminded",
        "request.reminded",
        "request.expired",
    ]


async def test_deadline_holds_before_the_sweeper_came(store: Store, clock: RehearsalClock) -> None:
    request = await open_one(store)
    clock.advance(200)
    with pytest.raises(Conflict) as late:
        await vote(store, request)
    assert late.value.code == "expired"
    again = await open_one(store)  # asked again: the first is ended on the way
    assert again != request
    assert (await read(store, request)).state == "expired"
    assert await timer_refs(store) == [again]


async def test_low_risk_may_be_allowed_by_the_deadline_if_declared(
    store: Store, clock: RehearsalClock
) -> None:
    request = await open_one(store, risk="low", timeout_outcome="allow")
    clock.advance(200)
    await pass_time(store)
    assert (await read(store, request)).state == "approved"
    grant = await store.read(lambda tx: service.find_grant(tx, "run_1", wanted().digest, tx.now))
    assert grant is not None
    assert grant.by == ("deadline",)
    assert await redeem(store, wanted())


def test_requirements_that_make_no_sense_are_refused() -> None:
    for changes in (
        {"risk": "medium", "timeout_outcome": "allow"},
        {"quorum": 0},
        {"sla_seconds": 0},
        {"grant_seconds": 0},
        {"levels": ()},
        {"levels": (Level("ops", 5),)},
    ):
        with pytest.raises(Invalid):
            wanted(**changes)
    assert isinstance(wanted(risk="low", timeout_outcome="allow"), NewRequest)


async def test_unused_approval_lapses(store: Store, clock: RehearsalClock) -> None:
    request = await open_one(store, grant_seconds=60)
    await vote(store, request)
    clock.advance(59.9)
    assert await pass_time(store) == 0
    clock.advance(0.1)
    assert not await redeem(store, wanted())  # by time, before the sweeper
    assert await pass_time(store) == 1
    assert (await read(store, request)).state == "lapsed"
    assert (await types(store, request))[-1] == "request.lapsed"
    assert await open_one(store) != request


async def test_grant_found_earlier_is_checked_again_when_it_is_used(
    store: Store, clock: RehearsalClock
) -> None:
    async def grant_of(run: str) -> Grant:
        await vote(store, await open_one(store, run=run))
        digest = wanted(run=run).digest
        found = await store.read(lambda tx: service.find_grant(tx, run, digest, tx.now))
        assert found is not None
        return found

    async def use(grant: Grant) -> bool:
        def unit(tx: Transaction) -> bool:
            tx.silent("there may be nothing to redeem")
            return service.redeem(tx, grant, "dec_2", tx.now)

        return await store.write(unit)

    good, used, revoked, stale = [await grant_of(run) for run in "abcd"]
    assert await use(used)
    await store.write(lambda tx: service.revoke(tx, runs=["c"], lock="lock_1", now=tx.now))
    other = replace(good, digest=used.digest)
    assert [await use(one) for one in (used, revoked, other, good)] == [False, False, False, True]
    clock.advance(300)
    assert not await use(stale)


async def test_escalating_by_hand_asks_the_next_level_once(
    store: Store, clock: RehearsalClock
) -> None:
    request = await open_one(store)
    clock.advance(10)
    level = await store.write(lambda tx: service.escalate(tx, request, level=1, person="ada"))
    assert level == 2
    for seen, code in ((1, "already_escalated"), (2, "no_next_level")):
        with pytest.raises(Conflict) as stale:
            await store.write(partial(service.escalate, request=request, level=seen, person="ada"))
        assert stale.value.code == code
    row = await read(store, request)
    assert (row.level, row.role, row.mine) == (2, "lead", True)
    assert row.next_at == clock.now() + 45_000_000
    assert len(await timer_refs(store)) == 1
    clock.advance(50)  # when level 2 would have been asked anyway: nothing twice
    await pass_time(store)
    assert (await types(store, request)).count("request.escalated") == 1
    assert await vote(store, request, "grace", roles=LEAD) == "approved"


async def test_lock_revokes_requests_and_grants_for_good(store: Store) -> None:
    pending = await open_one(store)
    approved = await open_one(store, run="run_2")
    await vote(store, approved)
    kept = await open_one(store, run="run_3")
    used = await open_one(store, run="run_4")
    await vote(store, used)
    assert await redeem(store, wanted(run="run_4"))
    assert await store.read(lambda tx: service.count_open(tx, runs=["run_1", "run_2"])) == 2
    tool = "stripe.create_refund"
    assert await store.read(lambda tx: service.count_open(tx, runs=["run_1"], tools=[tool])) == 3
    counts = await store.write(
        lambda tx: service.revoke(
            tx, runs=["run_1", "run_2", "run_4", "run_5"], lock="lock_1", now=tx.now
        )
    )
    assert counts == (1, 1)
    assert [(await read(store, one)).state for one in (pending, approved, kept, used)] == [
        "revoked", "revoked", "pending", "redeemed",
    ]  # fmt: skip
    assert not await redeem(store, wanted(run="run_2"))
    assert await timer_refs(store) == [kept]
    with pytest.raises(Conflict, match=r"lock/lock_1 revoked it"):
        await vote(store, pending, "grace")
    counts = await store.write(
        lambda tx: service.revoke(tx, tools=[tool], lock="lock_2", now=tx.now)
    )
    assert counts == (1, 0)
    assert (await types(store, kept))[-1] == "request.revoked"


async def test_preview_is_attached_and_leaves_the_digest(store: Store) -> None:
    request = await open_one(store)
    before = await read(store, request)
    change = Change(field="mail", before="a@example.com", after="4000", source="measured")
    assert await store.write(lambda tx: service.attach_preview(tx, request, [change]))
    previewed = select(events.c.body).where(events.c.type == "request.previewed")
    told = await store.read(lambda tx: tx.connection.execute(previewed).scalar_one())
    assert '"mail"' in told
    assert "a@example.com" not in told
    after = await read(store, request)
    assert after.changes == (change,)
    assert after.blast_source == "declared"
    assert (after.digest, after.canonical) == (before.digest, before.canonical)
    await vote(store, request)
    assert not await store.write(lambda tx: service.attach_preview(tx, request, []))
    assert (await read(store, request)).changes == (change,)


async def test_who_looked_is_recorded_once_each(store: Store) -> None:
    request = await open_one(store)

    async def look(person: str) -> bool:
        return await store.write(lambda tx: service.view(tx, request, person))

    assert [await look("ada"), await look("ada"), await look("eve")] == [True, False, True]
    assert (await types(store, request)).count("request.viewed") == 2
