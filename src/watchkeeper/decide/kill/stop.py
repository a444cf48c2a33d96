"""The kill switch at work: one lock, eight effects, a receipt for each party to them.

The lock and every effect that lives in the store are one transaction, so from its commit on
nothing covered is permitted. What happens outside (calls cut, runtimes told, people told) comes
right after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Unavailable
from watchkeeper.decide.bounds import in_time
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.contents import without_secrets
from watchkeeper.decide.incidents.opening import take_in
from watchkeeper.decide.kill.confirming import DRAIN, RETRY, Confirming
from watchkeeper.decide.kill.cutting import Calls
from watchkeeper.decide.kill.effector import Effector, Effectors
from watchkeeper.decide.kill.effects import end_in_store, pause_in_store, people_told, reach_of
from watchkeeper.decide.kill.in_force import InForce
from watchkeeper.decide.kill.locks import check_operator
from watchkeeper.decide.kill.targets import check_target
from watchkeeper.decide.service import Decider
from watchkeeper.kill import receipts as kept
from watchkeeper.kill import service as locks
from watchkeeper.kill.model import LockInForce, LockTarget, NewLock, Receipt
from watchkeeper.store import timers
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import ENDS, Effect

DRAIN_SECONDS = 600
"""How long calls in flight may take to end under a drain; then they are cut."""
_DRAIN_LOOK_SECONDS = 1
_MOST_TOLD = 200
"""Roles that one lock tells."""
_TELLING: Effect = "notify owner"
"""The effect of every lock, whatever its mode; the others end or hold what runs."""


class KillSwitch:
    """Puts locks in force and lifts them."""

    def __init__(self, decider: Decider, effectors: Sequence[Effector] = ()) -> None:
        self._decider = decider
        self.effectors = Effectors((Calls(decider), *effectors))
        """Who carries effects out outside the store."""
        self._confirming = Confirming(decider.store, self.effectors)
        self.view = InForce(decider, self._come_into_force, self._forget)
        self.on_change: Callable[[], None] = lambda: None
        """Called when other locks are in force than before."""
        decider.noting.pause_in = self.pause_in

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """What is done as timers of locks come due."""
        return {
            locks.EXPIRY: self._expire,
            RETRY: self._confirming.tell_again,
            DRAIN: self._look_at_drain,
        }

    async def lock(self, new: NewLock) -> tuple[LockInForce, tuple[Receipt, ...]]:
        """Put a lock in force and return it with the receipts known so far.

        Once this returns nothing covered is permitted. Raises `Invalid` for a target that can't
        exist, `Unavailable` when the store can't be written, or not in time.
        """
        catalogue = self._decider.catalogue.now
        new = replace(new, target=check_target(new.target, catalogue))
        try:
            # after the commit whatever becomes of the caller, who may hang up at any time
            return await in_time(
                self._decider.store.write(lambda tx: self.lock_in(tx, catalogue, new))
            )
        except Unavailable:  # it may have been committed all the same, or may be yet
            self.view.doubt()
            raise

    def pause_in(self, tx: Transaction, target: LockTarget, reason: str) -> str:
        """Put a pause by the plane in force within a unit of work; return the lock.

        Anybody who may lift a lock resumes.
        """
        new = NewLock(target, mode="pause", reason=reason, by="plane")
        return self.lock_in(tx, self._decider.catalogue.now, new)[0].lock

    def lock_in(
        self, tx: Transaction, catalogue: Catalogue, new: NewLock
    ) -> tuple[LockInForce, tuple[Receipt, ...]]:
        """Put a lock in force within a unit of work: with its commit it is."""
        reach = reach_of(tx, catalogue, new.target)
        told = people_told(catalogue, new.target, reach.agents)[:_MOST_TOLD]
        new = replace(new, reason=without_secrets(new.reason))
        lock = locks.put_in_force(tx, new, told)
        traces = take_in(tx, catalogue, lock, reach, new.incident)
        flying = self._decider.flights.count(lock.target)
        drains = lock.mode == "drain" and flying > 0
        if drains:
            timers.schedule(tx, DRAIN, lock.lock, tx.now + _DRAIN_LOOK_SECONDS * MICROSECONDS)
        ends = lock.mode in ENDS and not drains
        found = (
            end_in_store(tx, catalogue, lock, reach) if ends else pause_in_store(tx, lock, reach)
        )
        told_now = [
            one
            for one in self.effectors
            if one.effect == _TELLING or ends or (one.pauses and lock.mode == "pause")
        ]
        outside = self._confirming.plan(tx, lock, reach, told_now)
        kept.record_receipts(tx, lock.lock, (*found, traces, *outside))

        def come_into_force() -> None:
            self.view.add(lock)
            self._confirming.tell(lock, outside)

        tx.after_commit(come_into_force)
        return lock, kept.receipts_of(tx, lock.lock)

    async def lift(
        self, lock: str, *, reason: str, by: str, authority: int = 0, owner: bool = False
    ) -> LockInForce:
        """End a lock; runs it stopped stay stopped, new ones may be opened.

        Raises `Forbidden` where a lock is on who lifts, unless that is the plane's `owner`.
        """

        def unit(tx: Transaction) -> LockInForce:
            if not owner:
                who = by.removeprefix("person/")
                check_operator(self._decider.catalogue.now, locks.locks_in_force(tx), who)
            why = without_secrets(reason)
            lifted = locks.lift(tx, lock, reason=why, by=by, authority=authority)
            self._let_go(tx, lock)
            return lifted

        return await self._decider.store.write(unit)

    async def stop(self) -> None:
        """Let what is being told now be told once the plane is started again."""
        await self._confirming.stop()
        await self.view.stop()

    def _let_go(self, tx: Transaction, lock: str) -> None:
        timers.cancel(tx, DRAIN, lock)
        tx.after_commit(lambda: self.view.drop(lock))

    def _come_into_force(self, lock: LockInForce) -> None:
        if lock.mode == "stop":
            self._decider.flights.cut(lock.target, lock.lock)
        self._decider.waiting.wake_all()
        self.on_change()

    def _forget(self, lock: str) -> None:
        self._confirming.forget(lock)
        self.on_change()

    def _expire(self, tx: Transaction, lock: str, due: int) -> None:
        if locks.expire(tx, lock) is None:
            tx.silent("it was lifted before, or its time is not over")
            return
        self._let_go(tx, lock)

    def _look_at_drain(self, tx: Transaction, lock: str, due: int) -> None:
        """End what a drain covers once nothing of it is in flight, or its time is over."""
        row = locks.find(tx, lock)
        found = locks.as_lock(row)
        if row.lifted_at is not None:
            tx.silent("it was lifted before it had drained")
            return
        over = tx.now >= found.created_at + DRAIN_SECONDS * MICROSECONDS
        if self._decider.flights.count(found.target) and not over:
            tx.silent("calls are still in flight")
            timers.schedule(tx, DRAIN, lock, tx.now + _DRAIN_LOOK_SECONDS * MICROSECONDS)
            return
        catalogue = self._decider.catalogue.now
        reach = reach_of(tx, catalogue, found.target)
        ended = end_in_store(tx, catalogue, found, reach)
        ending = [one for one in self.effectors if one.effect != _TELLING]
        outside = self._confirming.plan(tx, found, reach, ending)
        kept.record_receipts(tx, lock, (*ended, *outside))
        if not outside:
            self._confirming.confirm(tx, found, drained=True)

        def tell() -> None:
            self._decider.flights.cut(found.target, lock)
            self._confirming.tell(found, outside)

        tx.after_commit(tell)
