"""Telling whom a lock concerns outside the store, over and over until each has acknowledged.

Each party is told within its time; what does not acknowledge stays unconfirmed, is told again, and
alarms once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.kill.effector import Done, Effector, Effectors
from watchkeeper.decide.kill.effects import Reach
from watchkeeper.kill import receipts as kept
from watchkeeper.kill import service as locks
from watchkeeper.kill.model import LockInForce, Receipt
from watchkeeper.ledger.reading import read_events
from watchkeeper.store import timers
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import Effect, ReceiptState

_LOG = logging.getLogger(__name__)
CONFIRM_SECONDS = 8
"""How long after the lock nothing may stay unconfirmed without an alarm."""
_AGAIN_SECONDS = (1, 2, 4, 8, 15, 30, 60, 120, 300, 900)
"""After how long a party that did not acknowledge is told again; then the last, over and over."""
RETRY = "lock.receipts"
DRAIN = "lock.drain"
"""Kinds of timers: what is unconfirmed is told again; a drain is looked at."""


class Confirming:
    """Tells the parties to locks and keeps what they say."""

    def __init__(self, store: Store, effectors: Effectors) -> None:
        self._store = store
        self._effectors = effectors
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarmed: set[str] = set()
        """Locks in force of which it was said that they are not confirmed."""
        self._telling: set[tuple[str, Effect, str]] = set()
        """What is being told right now: nobody is told twice at once."""

    def plan(
        self, tx: Transaction, lock: LockInForce, reach: Reach, effectors: Iterable[Effector]
    ) -> list[Receipt]:
        """Return whom a lock concerns of whom these tell, as attempted from now on, and have them
        told until they have acknowledged.
        """
        deadline = tx.now + CONFIRM_SECONDS * MICROSECONDS
        found = [
            Receipt(
                one.effect, "attempted", "being told", tx.now, party, deadline=deadline, attempts=0
            )
            for one in effectors
            for party in one.parties(tx, lock, reach)
        ]
        if found:
            timers.schedule(tx, RETRY, lock.lock, tx.now + _AGAIN_SECONDS[0] * MICROSECONDS)
        return found

    def tell(self, lock: LockInForce, receipts: Iterable[Receipt]) -> None:
        """Tell parties now, each in a task of its own, unless it is being told."""
        for receipt in receipts:
            key = (lock.lock, receipt.effect, receipt.party)
            if key in self._telling:
                continue
            self._telling.add(key)
            task = asyncio.get_running_loop().create_task(self._carry_out(lock, receipt))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _, key=key: self._telling.discard(key))  # type: ignore[misc]

    def forget(self, lock: str) -> None:
        """Drop a lock that was lifted."""
        self._alarmed.discard(lock)

    async def stop(self) -> None:
        """Let what is being told now be told once the plane is started again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry_out(self, lock: LockInForce, receipt: Receipt) -> None:
        """Tell one party and keep what it says."""
        said = await self._effectors.carry_out(lock, receipt.party)

        def unit(tx: Transaction) -> None:
            waited = kept.open_receipts(tx, lock.lock)
            # as it stands now: it may have been alarmed of while it was told
            standing = [one for one in waited if _name(one) == _name(receipt)]
            answered = _answered(standing[0] if standing else receipt, said, tx.now)
            kept.record_receipts(tx, lock.lock, [answered])
            if waited:
                self.confirm(tx, lock)

        try:
            await self._store.write(unit)
        except WatchkeeperError as error:
            _LOG.warning("a receipt of lock %s could not be kept: %s", lock.lock, error)

    def confirm(self, tx: Transaction, lock: LockInForce, *, drained: bool = False) -> None:
        """Say that nobody is left who has not acknowledged, or can't, unless it drains still."""
        name = lock.lock
        drains = not drained and timers.find(tx, DRAIN, name) is not None
        if drains or kept.open_receipts(tx, name):
            return
        told = read_events(tx, subject=f"lock/{name}", type="lock.unconfirmed", limit=1)
        after = (tx.now - lock.created_at) / MICROSECONDS
        tx.record(
            "lock.confirmed",
            actor="plane",
            subject=f"lock/{name}",
            body={
                "target": f"{lock.target.kind}/{lock.target.name}",
                "alarmed": bool(told) or name in self._alarmed,
                "text": f"everybody who was told has acknowledged, after {after:,.1f} s",
            },
        )

    def tell_again(self, tx: Transaction, lock: str, due: int) -> None:
        """Tell whoever has not acknowledged once more; alarm once where that has taken long."""
        row = locks.find(tx, lock)
        waiting = kept.open_receipts(tx, lock)
        if not waiting:
            tx.silent("nobody is left to be told")
            return
        if row.lifted_at is not None:
            kept.record_receipts(tx, lock, [_too_late(one) for one in waiting])
            return
        found = locks.as_lock(row)
        late = [one for one in waiting if one.deadline is not None and one.deadline <= tx.now]
        if late:
            self._alarm(tx, found, late)
        else:
            tx.silent("what is told again is on record as it answers")
        tries = max(one.attempts for one in waiting)
        seconds = _AGAIN_SECONDS[min(tries, len(_AGAIN_SECONDS) - 1)]
        # never later than what is still attempted may stay so
        ends = [one.deadline for one in waiting if one not in late and one.deadline is not None]
        timers.schedule(tx, RETRY, lock, min([tx.now + seconds * MICROSECONDS, *ends]))
        tx.after_commit(lambda: self.tell(found, waiting))

    def _alarm(self, tx: Transaction, lock: LockInForce, late: Sequence[Receipt]) -> None:
        kept.record_receipts(
            tx, lock.lock, [replace(one, state="unconfirmed", deadline=None) for one in late]
        )
        self._alarmed.add(lock.lock)
        tx.record(
            "lock.unconfirmed",
            actor="plane",
            subject=f"lock/{lock.lock}",
            body={
                "target": f"{lock.target.kind}/{lock.target.name}",
                "receipts": [[one.effect, one.party, one.detail] for one in late],
                "text": "not confirmed: "
                + "; ".join(f"{one.effect} ({one.party}): {one.detail}" for one in late),
            },
        )


def _name(receipt: Receipt) -> tuple[Effect, str]:
    return receipt.effect, receipt.party


def _too_late(one: Receipt) -> Receipt:
    """Return the receipt of a party that had not acknowledged when the lock was lifted."""
    said = f"{one.detail}; the lock was lifted before it acknowledged"
    return replace(one, state="unconfirmed", detail=said, deadline=None)


def _answered(receipt: Receipt, said: Done, now: int) -> Receipt:
    """Return the receipt of a party that answered, or did not."""
    made = replace(receipt, detail=said.detail, at=now, attempts=receipt.attempts + 1)
    if not said.supported:
        return replace(made, state="not supported", deadline=None)
    if said.acknowledged is not None:
        return replace(made, state="acknowledged", by=said.acknowledged, deadline=None)
    waits = receipt.deadline is not None and now < receipt.deadline
    state: ReceiptState = "attempted" if waits else "unconfirmed"
    return replace(made, state=state)
