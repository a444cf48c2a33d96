"""The outbox under any order of claims, answers, crashes, late answers and people's commands."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import delete

from tests.rig.machines import run_machine
from tests.rig.moments import moment
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.core.errors import Conflict
from watchkeeper.outbox import reading, service
from watchkeeper.outbox.model import Attempt, Delivery, NewDelivery, Verdict
from watchkeeper.outbox.rules import CLAIM_SECONDS, RETRIES
from watchkeeper.outbox.tables import deliveries, targets_off
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.deliveries import DeliveryKind

T = TypeVar("T")
START = moment("2026-11-20T12:00:00Z")
KINDS: tuple[DeliveryKind, ...] = ("webhook", "notice")
VERDICTS: tuple[Verdict, ...] = ("sent", "retry", "refused", "later", "moot", "unknown")
LATEST = st.integers(0, 7)


class OutboxMachine(RuleBasedStateMachine):
    """Several senders on one store, of which any may die with what it holds."""

    url: str
    any_claimed = precondition(lambda self: self.held)
    any_there = precondition(lambda self: self.payloads)

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = RehearsalClock(frozen=True, start=START)
        self.store = self.run(Store.open(self.url, self.clock))
        self.payloads: dict[str, str] = {}
        self.held: list[Delivery] = []
        self.sent: set[str] = set()
        self.calls: dict[str, int] = {}
        self.run(self.store.write(clear))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def find(self, delivery: str) -> Delivery:
        return self.run(self.store.read(lambda tx: reading.find(tx, delivery)))

    def chosen(self, number: int) -> str:
        return sorted(self.payloads)[number % len(self.payloads)]

    @rule(kind=st.sampled_from(KINDS), to=st.sampled_from("ab"), wait=st.sampled_from([0, 60]))
    def enqueue(self, kind: DeliveryKind, to: str, wait: int) -> None:
        payload = f'{{"n": {len(self.payloads)}}}'
        new = NewDelivery(
            kind=kind,
            target=to,
            payload=payload,
            not_before=self.clock.now() + wait * MICROSECONDS,
        )
        self.payloads[self.run(self.store.write(lambda tx: service.enqueue(tx, new)))] = payload

    @rule(room=st.integers(1, 5), later=st.sampled_from([0, CLAIM_SECONDS + 1, 86_400]))
    def claim(self, room: int, later: int) -> None:
        """Look for work as a sender does, at once or when claims and pauses have run out."""
        self.clock.advance(later)
        self.run(self.store.write(service.recover))
        live = {one.id: self.find(one.id) for one in self.held}
        claimed = self.run(
            self.store.write(
                lambda tx: service.claim(tx, room=room, room_per_target=2, kinds=KINDS)
            )
        )
        assert len(claimed) <= room
        for one in claimed:
            assert one.payload == self.payloads[one.id]
            assert one.id not in self.sent, "what arrived is sent again"
            before = live.get(one.id)
            assert before is None or before.state != "sending", "two hold the same delivery"
            assert one.claimed_until == self.clock.now() + CLAIM_SECONDS * MICROSECONDS
            if one.kind == "notice":
                assert self.calls.get(one.id, 0) == 0, "a person may be told twice"
            self.calls[one.id] = 1
        self.held += claimed

    @any_claimed
    @rule(number=LATEST, verdict=st.sampled_from(VERDICTS), after=st.sampled_from([None, 90]))
    def answer(self, number: int, verdict: Verdict, after: int | None) -> None:
        one = self.held.pop(number % len(self.held))
        attempt = Attempt(verdict, 200 if verdict == "sent" else 500, "it said so", after)
        before = self.find(one.id)
        kept = self.run(self.store.write(lambda tx: service.settle(tx, one, attempt, fraction=0.5)))
        now = self.find(one.id)
        if not kept:
            assert now == before
            lost = before.epoch > one.epoch or before.state not in ("sending", "unknown")
            assert lost or before.state == verdict == "unknown"
            return
        assert before.epoch == one.epoch
        if verdict == "sent":
            assert now.state == "sent"
            self.sent.add(one.id)
        if verdict in ("retry", "later", "moot"):
            self.calls[one.id] = 0  # it is known that nobody was told
        if verdict == "later":
            assert now.attempts == before.attempts - 1

    @any_there
    @rule(number=LATEST)
    def redrive(self, number: int) -> None:
        name = self.chosen(number)
        before = self.find(name)
        try:
            self.run(self.store.write(lambda tx: service.redrive(tx, name, actor="person/ada")))
        except Conflict:
            assert before.state not in ("dead", "unknown")
        else:
            assert before.state in ("dead", "unknown")
            self.calls[name] = 0  # a person takes it upon themselves

    @any_there
    @rule(number=LATEST)
    def discard(self, number: int) -> None:
        name = self.chosen(number)
        before = self.find(name)
        try:
            self.run(self.store.write(lambda tx: service.discard(tx, name, actor="person/ada")))
        except Conflict:
            assert before.state in ("sent", "discarded", "sending")

    @invariant()
    def each_is_where_it_can_go_on_from(self) -> None:
        rows = self.run(self.store.read(lambda tx: reading.list_deliveries(tx, limit=500)))
        assert {row.id: row.payload for row in rows} == self.payloads, "one was lost or changed"
        due = self.run(self.store.read(lambda tx: service.next_due(tx, kinds=KINDS)))
        waiting = [row for row in rows if row.state in ("pending", "sending")]
        assert (due is not None) == bool(waiting)
        for row in rows:
            assert (row.next_at is not None) == (row.state == "pending")
            assert (row.claimed_until is not None) == (row.state == "sending")
            assert (row.sent_at is not None) == (row.state == "sent")
            assert 0 <= row.attempts <= len(RETRIES[row.kind]) + 1
            assert row.state == "sent" or row.id not in self.sent

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()


def clear(tx: Transaction) -> None:
    """Begin with nothing."""
    tx.silent("the example before left it")
    tx.connection.execute(delete(deliveries))
    tx.connection.execute(delete(targets_off))


def test_nothing_is_lost_and_nobody_is_told_twice(database_url: str) -> None:
    run_machine(OutboxMachine, database_url)
