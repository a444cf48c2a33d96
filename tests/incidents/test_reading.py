"""An incident's timeline and report are the ledger's own; on both stores."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import update

from tests.incidents.ground import BOB, close, find, note, reopen, report, stop, whole
from tests.kill.guarded import Guarded
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.incidents.timeline import unknown_outcomes
from watchkeeper.decide.runs import reconciling
from watchkeeper.decide.tables import decisions
from watchkeeper.ledger.reading import read_about, read_events
from watchkeeper.outbox import service as outbox
from watchkeeper.outbox.model import Attempt, NewDelivery
from watchkeeper.outbox.service import enqueue
from watchkeeper.store.statement import Statement
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Outcome

HOSTILE = "# Not a title\n- [x](http://evil) | `x` <script>\x1b[31m\u202e\n\n---\n1. _up_"


@pytest.fixture
async def ground(store: Store) -> Guarded:
    return await Guarded.open(store)


async def history(ground: Guarded) -> str:
    """Have clerk killed with things before, meanwhile and after; return its incident."""
    clerk, scribe = await ground.open_run(), await ground.open_run("scribe")
    left = await ground.ask(clerk.token, of=1)
    for number in range(3):
        await ground.ask(scribe.token, of=number)
    _, incident = await stop(ground, "agent", "clerk", reason="refunds | twice")
    await ground.ask(scribe.token, of=7)
    await note(ground, incident, HOSTILE, title="Paid *twice*")
    await ground.decider.settle(left.decision, Outcome(status="unknown", error="cut"))
    await close(ground, incident)
    fresh = await ground.open_run("scribe")
    await ground.ask(fresh.token, of=8)
    await note(ground, incident, "afterwards")
    assert incident is not None
    return incident


async def test_a_timeline_is_paged_whole_and_of_nothing_else(ground: Guarded) -> None:
    incident = await history(ground)
    row = await find(ground, incident)
    everything = await ground.store.read(lambda tx: read_events(tx, limit=1000))

    def is_about(sequence: int, agent: str | None, subject: str) -> bool:
        own = subject == f"incident/{incident}" or subject.startswith("lock/")
        return own or (agent == "clerk" and sequence <= row.last)

    about = [e for e in everything if is_about(e.sequence, e.agent, e.subject)]
    since = [e.sequence for e in about if e.sequence >= row.first]
    before = [e.sequence for e in about if e.sequence < row.first and e.at >= row.since]
    assert len(since) >= 8
    assert len(before) > 2
    for limit in (1, 2, 3, 5, 200):
        assert [e.sequence for e in await whole(ground, incident, limit)] == since
        back = await whole(ground, incident, limit, before=row.first)
        assert [e.sequence for e in back] == before[::-1]
    types = [e.type for e in await whole(ground, incident, 200)]
    assert types[:2] == ["lock.created", "incident.opened"]
    assert types[-2:] == ["incident.closed", "incident.noted"]


async def test_only_what_a_person_can_settle_is_unknown_in_an_incident(ground: Guarded) -> None:
    clerk = await ground.open_run()
    for number in range(2):
        asked = await ground.ask(clerk.token, of=number)
        await ground.decider.settle(asked.decision, Outcome(status="unknown", error="cut"))
    tool = await ground.store.read(unknown_outcomes)
    assert len(tool) == 2

    def make_a_model_call(tx: Transaction) -> None:
        tx.silent("what was asked of a model changes nothing")
        is_last = decisions.c.decision == tool[-1].decision
        Statement(update(decisions).where(is_last).values(kind="model")).run(tx)

    await ground.store.write(make_a_model_call)
    assert await ground.store.read(unknown_outcomes) == tool[:1]


async def test_reading_about_several_things_is_reading_everything_and_choosing(
    ground: Guarded,
) -> None:
    await history(ground)
    everything = await ground.store.read(lambda tx: read_events(tx, limit=1000))
    about = [("agent", "clerk"), ("subject", everything[3].subject), ("actor", BOB)]
    wanted = [
        e
        for e in everything
        if e.agent == "clerk" or e.subject == everything[3].subject or e.actor == BOB
    ]
    for limit in (1, 2, 7, 500):
        for newest_first in (False, True):
            found = await ground.store.read(
                lambda tx, n=limit, back=newest_first: read_about(  # type: ignore[misc]
                    tx, about, after=2, before=everything[-1].sequence, limit=n, newest_first=back
                )
            )
            inside = [e for e in wanted if 2 < e.sequence < everything[-1].sequence]
            assert found == (inside[::-1] if newest_first else inside)[:limit]


async def test_the_same_entry_gives_the_same_report(ground: Guarded) -> None:
    incident = await history(ground)
    row = await find(ground, incident)
    then = ground.store.head
    first = await report(ground, incident)
    assert (first.state, first.title, first.run_count) == ("closed", "Paid *twice*", 1)
    (outcome,) = first.outcomes
    assert outcome.settled is None
    assert [one.type for one in first.before if one.type.startswith("decision.")]
    assert {one.effect for one in first.locks[0].receipts} >= {"stop run", "preserve traces"}
    # as it began, and as it was before it was closed
    assert (await report(ground, incident, row.sequence)).title.startswith("agent clerk killed")
    assert (await report(ground, incident, row.last - 1)).state == "open"
    await ground.store.write(
        lambda tx: reconciling.reconcile(
            tx, outcome.decision, "failed", reason="asked the bank", by=BOB, level="off"
        )
    )
    await reopen(ground, incident)
    await stop(ground, "team", "finance-ops")
    await note(ground, incident, "later", severity="critical")
    assert await report(ground, incident, then) == first
    now = await report(ground, incident)
    assert (now.state, now.severity, len(now.locks)) == ("open", "critical", 2)
    assert (now.outcomes[0].settled, now.outcomes[0].settled_by) == ("failed", BOB)
    assert "asked the bank" in now.text
    # many at once, while it goes on
    several = await asyncio.gather(*(report(ground, incident, then) for _ in range(5)))
    assert {one.digest for one in several} == {first.digest}
    for wrong in (row.sequence - 1, ground.store.head + 1):
        with pytest.raises(Invalid):
            await report(ground, incident, wrong)


async def test_a_report_says_who_was_told_and_who_was_not(ground: Guarded) -> None:
    lock, incident = await stop(ground, "team", "finance-ops")
    (created,) = await ground.store.read(
        lambda tx: read_events(tx, subject=f"lock/{lock}", type="lock.created")
    )

    def put(tx: Transaction) -> None:
        for person, entry in (("ada", created.sequence), ("bob", created.sequence), ("eve", 1)):
            enqueue(tx, NewDelivery(
                kind="notice", target="pager", recipient=person, payload="{}", event=entry,
            ))  # fmt: skip

    await ground.store.write(put)
    claimed = await ground.store.write(
        lambda tx: outbox.claim(tx, room=9, room_per_target=9, kinds=["notice"])
    )
    for one in claimed:
        went = Attempt("sent" if one.recipient == "ada" else "refused", None, "gone")
        await ground.store.write(lambda tx, o=one, w=went: outbox.settle(tx, o, w, fraction=0))  # type: ignore[misc]
    found = await report(ground, incident)
    assert [one.type for one in found.told] == ["delivery.sent", "delivery.dead"]


async def test_what_people_wrote_is_no_markup_in_a_report(ground: Guarded) -> None:
    incident = await history(ground)
    found = await report(ground, incident)
    assert found.notes[0].text == HOSTILE
    lines = found.text.splitlines()
    titles = [line for line in lines if line.startswith("#")]
    assert titles[0] == "# Incident: Paid \\*twice\\*"
    assert [one[3:] for one in titles[1:]] == [
        "What was stopped", "What that came to", "Outcomes that nobody knew", "Who was told",
        "Notes", "Before it began", "Timeline",
    ]  # fmt: skip
    assert "> \\# Not a title" in lines
    assert "---" not in lines
    assert not set("\x1b\u202e") & set(found.text)
    assert "<script" not in found.text.replace("\\<script", "")
    table = [line for line in lines if line.startswith("| stop run")]
    assert table
    assert all(line.replace("\\|", "").count("|") == 6 for line in table)
