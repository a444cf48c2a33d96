"""Locks open incidents, join them, and hold back what would be purged; on both stores."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from tests.incidents.ground import BOB, close, find, note, purge_all, reopen, stop
from tests.kill.guarded import Guarded
from watchkeeper.core.errors import Conflict
from watchkeeper.decide.held.deferred import defer, deferred
from watchkeeper.decide.incidents.opening import join_by_word
from watchkeeper.decide.repeats import calls
from watchkeeper.decide.tables import activity
from watchkeeper.identity.tables import credentials, run_tokens
from watchkeeper.incidents import service
from watchkeeper.kill import service as locks
from watchkeeper.outbox.model import NewDelivery
from watchkeeper.outbox.service import enqueue
from watchkeeper.outbox.tables import deliveries
from watchkeeper.store.retention import held_by
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Ask, Outcome
from watchkeeper.wire.locks import Mode, TargetKind

DAY = 86_400
Named = tuple[TargetKind, str]


@pytest.fixture
async def ground(store: Store) -> Guarded:
    return await Guarded.open(store)


async def held(ground: Guarded, incident: str | None) -> set[str]:
    rows = await ground.store.read(lambda tx: held_by(tx, incident or ""))
    return {f"{row.kind}/{row.name}" for row in rows if row.let_go_at is None}


OPENS: tuple[tuple[Mode, str, bool], ...] = (
    ("stop", BOB, True), ("drain", BOB, True), ("stop", "plane/STOP", True),
    ("pause", BOB, False), ("deny-new", BOB, False), ("pause", "plane", False),
    ("stop", "plane", False),
)  # fmt: skip


async def test_what_a_person_stops_opens_one(ground: Guarded) -> None:
    for mode, by, opens in OPENS:
        _, incident = await stop(ground, "agent", "clerk", mode, by=by)
        assert (incident is not None) is opens, (mode, by)
        if opens:
            row = await find(ground, incident)
            assert (row.state, row.team, row.opened_by) == ("open", "finance-ops", by)
            assert await held(ground, incident) == {"agent/clerk"}
            await close(ground, incident)


async def test_a_wider_lock_joins_and_a_narrower_one_opens_its_own(ground: Guarded) -> None:
    run = (await ground.open_run()).run
    _, first = await stop(ground, "run", run)
    assert await held(ground, first) == {f"run/{run}"}
    _, other = await stop(ground, "agent", "scribe")
    assert other != first
    wider: tuple[Named, ...] = (("agent", "clerk"), ("team", "finance-ops"))
    for kind, name in (*wider, wider[-1]):
        assert (await stop(ground, kind, name))[1] == first
    row = await find(ground, first)
    assert (row.severity, row.team) == ("high", "finance-ops")
    # narrower: it is covered already, and is something of its own
    assert (await stop(ground, "run", "run_other"))[1] not in (first, other)
    # of several that it widens the newest
    newest = (await stop(ground, "tool", "books.pay"))[1]
    assert (await stop(ground, "everything", "*"))[1] == newest
    row = await find(ground, newest)
    assert (row.severity, row.team) == ("critical", "")
    assert "everything/*" in await held(ground, newest)


WIDENS: tuple[tuple[Named, Named, bool], ...] = (
    (("version", "clerk@1"), ("agent", "clerk"), True),
    (("agent", "clerk"), ("version", "clerk@1"), False),
    (("agent", "clerk"), ("runtime", "graphs"), True),
    (("agent", "scribe"), ("runtime", "graphs"), False),
    (("agent", "clerk"), ("team", "records"), False),
    (("tool", "books.pay"), ("upstream", "books"), True),
    (("tool", "elsewhere.pay"), ("upstream", "books"), False),
    (("model", "small-fast"), ("provider", "near"), False),
    (("agent", "clerk"), ("tool", "books.pay"), False),
    (("person", "ada"), ("everything", "*"), True),
)


async def test_only_what_covers_all_of_it_widens_it(ground: Guarded) -> None:
    for narrow, wide, joins in WIDENS:
        _, first = await stop(ground, *narrow)
        _, second = await stop(ground, *wide)
        assert second is not None
        assert (second == first) is joins, (narrow, wide)
        for incident in {first, second}:
            await close(ground, incident)


async def test_a_person_names_the_incident_as_a_lock_comes_into_force(ground: Guarded) -> None:
    _, first = await stop(ground, "agent", "clerk")
    assert (await stop(ground, "agent", "scribe", "pause", incident=first))[1] == first
    assert await held(ground, first) == {"agent/clerk", "agent/scribe"}
    await close(ground, first)
    # a name that leads nowhere keeps nothing from being stopped
    for wrong in (first, "inc_nothing", "\x1b[31m"):
        lock, incident = await stop(ground, "run", f"run_{wrong}", incident=wrong)
        assert incident not in (None, first)
        rows = await ground.rows(f"select detail from lock_receipts where lock = '{lock}' "
                                 "and effect = 'preserve traces'")  # fmt: skip
        assert "is not open" in rows[0][0]


async def test_a_lock_is_moved_by_a_persons_word_and_an_empty_incident_closes(
    ground: Guarded,
) -> None:
    _, first = await stop(ground, "agent", "clerk")
    lock, second = await stop(ground, "agent", "scribe")
    assert first != second

    def join(tx: Transaction) -> None:
        row, found = service.find(tx, first or ""), locks.as_lock(locks.find(tx, lock))
        catalogue = ground.decider.catalogue.now
        join_by_word(tx, catalogue, row, found, by=BOB, reason="the same thing")

    await ground.store.write(join)
    assert await ground.store.read(lambda tx: service.incident_of(tx, lock)) == first
    moved = await find(ground, second)
    assert (moved.state, moved.closed_by) == ("closed", BOB)
    assert await held(ground, second) == set()
    assert await held(ground, first) == {"agent/clerk", "agent/scribe"}
    assert (await find(ground, first)).team == ""
    with pytest.raises(Conflict):
        await ground.store.write(join)
    await close(ground, first)
    with pytest.raises(Conflict):
        await ground.store.write(join)


async def leave_traces(ground: Guarded, agent: str) -> str:
    """Have an agent leave a row of every kind that is purged."""
    issued = await ground.open_run(agent)
    ask = Ask(name="books.read", arguments={"of": agent}, idempotency_key="k")
    answer = await ground.decider.decide(issued.token, ask)
    await ground.decider.settle(answer.decision, Outcome(status="succeeded"), result="{}")

    def more(tx: Transaction) -> None:
        defer(tx, issued.run, f"req_{agent}", ask, tx.now)
        new = NewDelivery(kind="webhook", target="w", payload="{}", agent=agent, run=issued.run)
        delivery = enqueue(tx, new)
        tx.connection.execute(
            deliveries.update()
            .where(deliveries.c.id == delivery)
            .values(state="sent", sent_at=tx.now)
        )

    await ground.store.write(more)
    return issued.run


async def traces(ground: Guarded) -> dict[str, dict[str, int]]:
    """Count, by agent, what is left of each kind."""
    agents = dict(await ground.rows("select run, agent from runs"))

    def count(tx: Transaction) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {"clerk": {}, "scribe": {}}
        for table in (run_tokens, calls, deferred):
            rows = tx.connection.execute(select(table.c.run, func.count()).group_by(table.c.run))
            for run, number in rows:
                found[agents[run]][table.name] = number
        for table in (credentials, activity, deliveries):
            rows = tx.connection.execute(
                select(table.c.agent, func.count()).group_by(table.c.agent)
            )
            for agent, number in rows:
                found[agent][table.name] = number
        return found

    return await ground.store.read(count)


async def test_what_an_open_incident_covers_is_not_purged(ground: Guarded) -> None:
    await leave_traces(ground, "clerk")
    await leave_traces(ground, "scribe")
    before = await traces(ground)
    assert set(before["clerk"]) == {
        "run_tokens", "calls", "deferred", "credentials", "activity", "deliveries",
    }  # fmt: skip
    _, incident = await stop(ground, "agent", "clerk")
    ground.store.clock.advance(200 * DAY)  # type: ignore[attr-defined]
    await purge_all(ground)
    left = await traces(ground)
    assert left["clerk"] == before["clerk"]
    assert left["scribe"] == {}
    await close(ground, incident)
    await reopen(ground, incident)
    await purge_all(ground)
    assert (await traces(ground))["clerk"] == before["clerk"]
    await close(ground, incident)
    await purge_all(ground)
    assert (await traces(ground))["clerk"] == {}


async def test_a_held_agents_runs_end_as_others_do(ground: Guarded) -> None:
    lock, incident = await stop(ground, "agent", "clerk")
    await ground.kill.lift(lock, reason="fixed", by=BOB)
    run = (await ground.open_run()).run
    assert await held(ground, incident) == {"agent/clerk"}
    ground.store.clock.advance(3 * DAY)  # type: ignore[attr-defined]
    await purge_all(ground)
    assert await ground.rows(f"select state from runs where run = '{run}'") == [("expired",)]


async def test_notes_change_what_is_said_of_it(ground: Guarded) -> None:
    _, incident = await stop(ground, "agent", "clerk")
    await note(ground, incident, "paid twice", severity="critical", owner="ada")
    await note(ground, incident, "again", title="Paid twice")
    row = await find(ground, incident)
    assert (row.severity, row.owner, row.title, row.notes) == ("critical", "ada", "Paid twice", 2)
