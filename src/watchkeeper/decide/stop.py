"""The kill switch at work: one lock, eight effects, a receipt for each party to them.

The lock and every effect that lives in the store are one transaction, so from its commit on
nothing covered is permitted. What happens outside (calls cut, runtimes told, people told) comes
right after: each party is told within its time, what does not acknowledge stays unconfirmed, is
told again, and alarms.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.cutting import Calls
from watchkeeper.decide.effector import Done, Effector
from watchkeeper.decide.effects import (
    Reach,
    end_in_store,
    pause_in_store,
    people_told,
    reach_of,
)
from watchkeeper.decide.incidents.opening import take_in
from watchkeeper.decide.locks import check_operator
from watchkeeper.decide.service import Decider
from watchkeeper.decide.targets import check_target
from watchkeeper.kill import receipts as kept
from watchkeeper.kill import service as locks
from watchkeeper.kill.model import LockInForce, LockTarget, Receipt
from watchkeeper.kill.rules import ENDS
from watchkeeper.ledger.reading import read_events
from watchkeeper.store import timers
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import Effect, Mode, ReceiptState

_LOG = logging.getLogger(__name__)
ATTEMPT_SECONDS = 5.0
"""How long a party has to acknowledge before its receipt says unconfirmed."""
CONFIRM_SECONDS = 8
"""How long after the lock nothing may stay unconfirmed without an alarm."""
DRAIN_SECONDS = 600
"""How long calls in flight may take to end under a drain; then they are cut."""
_DRAIN_LOOK_SECONDS = 1
_MOST_TOLD = 200
"""Roles that one lock tells."""
_AGAIN_SECONDS = (1, 2, 4, 8, 15, 30)
"""After how long a party that did not acknowledge is told again; then the last, over and over."""
RETRY = "lock.receipts"
DRAIN = "lock.drain"
"""Kinds of timers: what is unconfirmed is told again; a drain is looked at."""


class KillSwitch:
    """Puts locks in force and lifts them."""

    def __init__(self, decider: Decider, effectors: Sequence[Effector] = ()) -> None:
        self._decider = decider
        self._effectors: dict[Effect, list[Effector]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_change: Callable[[], None] = lambda: None
        """Called when other locks are in force than before."""
        self._alarmed: set[str] = set()
        """Locks in force of which it was said that they are not confirmed."""
        self._telling: set[tuple[str, Effect, str]] = set()
        """What is being told right now: nobody is told twice at once."""
        decider.noting.pause_in = self.pause_in
        for effector in (Calls(decider), *effectors):
            self.add(effector)

    def add(self, effector: Effector) -> None:
        """Have an effect carried out by one more."""
        self._effectors.setdefault(effector.effect, []).append(effector)

    def carrying_out(self, effect: Effect) -> Sequence[Effector]:
        """Return who carries an effect out."""
        return self._effectors.get(effect, ())

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """What is done as timers of locks come due."""
        return {locks.EXPIRY: self._expire, RETRY: self._tell_again, DRAIN: self._look_at_drain}

    async def load(self) -> None:
        """Read the locks in force; before the first request is served."""
        self._decider.locks = await self._decider.store.read(locks.locks_in_force)

    async def lock(
        self,
        target: LockTarget,
        *,
        mode: Mode,
        reason: str,
        by: str,
        authority: int = 0,
        seconds: int | None = None,
        incident: str | None = None,
    ) -> tuple[LockInForce, tuple[Receipt, ...]]:
        """Put a lock in force and return it with the receipts known so far.

        Once this returns nothing covered is permitted. After `seconds` the plane lifts it. It
        belongs to the `incident`, if that is open. Raises `Invalid` for a target that can't
        exist, `Unavailable` when the store can't be written.
        """
        catalogue = self._decider.catalogue.now
        target = check_target(target, catalogue)

        # after the commit whatever becomes of the caller, who may hang up at any time
        return await self._decider.store.write(
            lambda tx: self.lock_in(
                tx,
                catalogue,
                target,
                mode=mode,
                reason=reason,
                by=by,
                authority=authority,
                seconds=seconds,
                incident=incident,
            )
        )

    def pause_in(self, tx: Transaction, target: LockTarget, reason: str) -> str:
        """Put a pause by the plane in force within a unit of work; return the lock.

        Anybody who may lift a lock resumes.
        """
        lock, _ = self.lock_in(
            tx, self._decider.catalogue.now, target, mode="pause", reason=reason, by="plane"
        )
        return lock.lock

    def lock_in(
        self,
        tx: Transaction,
        catalogue: Catalogue,
        target: LockTarget,
        *,
        mode: Mode,
        reason: str,
        by: str,
        authority: int = 0,
        seconds: int | None = None,
        incident: str | None = None,
    ) -> tuple[LockInForce, tuple[Receipt, ...]]:
        """Put a lock in force within a unit of work: with its commit it is."""
        reach = reach_of(tx, catalogue, target)
        lock = locks.put_in_force(
            tx,
            target,
            mode=mode,
            reason=reason,
            by=by,
            authority=authority,
            seconds=seconds,
            told=people_told(catalogue, target, reach.agents)[:_MOST_TOLD],
        )
        traces = take_in(tx, catalogue, lock, reach, incident)
        flying = self._decider.flights.count(target)
        if mode == "drain" and flying:
            found = pause_in_store(tx, lock, reach)
            timers.schedule(tx, DRAIN, lock.lock, tx.now + _DRAIN_LOOK_SECONDS * MICROSECONDS)
        elif mode in ENDS:
            found = end_in_store(tx, catalogue, lock, reach)
        else:
            found = pause_in_store(tx, lock, reach)
        outside = self._planned(tx, lock, reach, drained=not flying)
        kept.record_receipts(tx, lock.lock, (*found, traces, *outside))
        if outside:
            timers.schedule(tx, RETRY, lock.lock, tx.now + _AGAIN_SECONDS[0] * MICROSECONDS)
        tx.after_commit(lambda: self._come_into_force(lock, outside))
        return lock, kept.receipts_of(tx, lock.lock)

    def _planned(
        self, tx: Transaction, lock: LockInForce, reach: Reach, *, drained: bool
    ) -> list[Receipt]:
        """Return whom a lock's effects outside the store concern, as attempted from now on."""
        deadline = tx.now + CONFIRM_SECONDS * MICROSECONDS
        return [
            Receipt(effect, "attempted", "being told", tx.now, party, deadline=deadline, attempts=0)
            for effect, effectors in self._effectors.items()
            if effect == "notify owner" or lock.mode == "stop" or (lock.mode == "drain" and drained)
            for effector in effectors
            for party in effector.parties(tx, lock, reach)
        ]

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
            lifted = locks.lift(tx, lock, reason=reason, by=by, authority=authority)
            self._let_go(tx, lock)
            return lifted

        return await self._decider.store.write(unit)

    async def stop(self) -> None:
        """Let what is being told now be told once the plane is started again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _let_go(self, tx: Transaction, lock: str) -> None:
        timers.cancel(tx, DRAIN, lock)
        tx.after_commit(lambda: self._forget(lock))

    def _come_into_force(self, lock: LockInForce, outside: Sequence[Receipt]) -> None:
        self._decider.locks = (*self._decider.locks, lock)
        if lock.mode == "stop":
            self._decider.flights.cut(lock.target, lock.lock)
        self._decider.waiting.wake_all()
        self.on_change()
        for receipt in outside:
            self._tell(lock, receipt)

    def _forget(self, lock: str) -> None:
        self._decider.locks = tuple(one for one in self._decider.locks if one.lock != lock)
        self._alarmed.discard(lock)
        self.on_change()

    def _tell(self, lock: LockInForce, receipt: Receipt) -> None:
        key = (lock.lock, receipt.effect, receipt.party)
        if key in self._telling:
            return
        self._telling.add(key)
        task = asyncio.get_running_loop().create_task(self._carry_out(lock, receipt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._telling.discard(key))

    async def _carry_out(self, lock: LockInForce, receipt: Receipt) -> None:
        """Tell one party and keep what it says."""
        said = Done("nobody in this plane carries it out any more")
        for effector in self._effectors.get(receipt.effect, ()):
            try:
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    said = await effector.carry_out(lock, receipt.party)
                break
            except LookupError:  # another one's party
                continue
            except TimeoutError:
                said = Done(f"no answer in {ATTEMPT_SECONDS:g} s")
                break
            except WatchkeeperError as error:
                said = Done(error.message)
                break
            except Exception:
                _LOG.exception("%s of lock %s failed", receipt.effect, lock.lock)
                said = Done("it failed; the plane's log says why")
                break

        def unit(tx: Transaction) -> None:
            waited = kept.open_receipts(tx, lock.lock)
            kept.record_receipts(tx, lock.lock, [_answered(receipt, said, tx.now)])
            if waited:
                self._confirm(tx, lock)

        try:
            await self._decider.store.write(unit)
        except WatchkeeperError as error:
            _LOG.warning("a receipt of lock %s could not be kept: %s", lock.lock, error)

    def _confirm(self, tx: Transaction, lock: LockInForce, *, drained: bool = False) -> None:
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

    def _tell_again(self, tx: Transaction, lock: str, due: int) -> None:
        """Tell whoever has not acknowledged once more; alarm once where that has taken long."""
        row = locks.find(tx, lock)
        waiting = kept.open_receipts(tx, lock)
        if not waiting:
            tx.silent("nobody is left to be told")
            return
        if row.lifted_at is not None:
            kept.record_receipts(tx, lock, [_too_late(one) for one in waiting])
            return
        late = [one for one in waiting if one.deadline is not None and one.deadline <= tx.now]
        if late:
            kept.record_receipts(
                tx, lock, [replace(one, state="unconfirmed", deadline=None) for one in late]
            )
            self._alarmed.add(lock)
            tx.record(
                "lock.unconfirmed",
                actor="plane",
                subject=f"lock/{lock}",
                body={
                    "target": f"{row.target_kind}/{row.target_name}",
                    "receipts": [[one.effect, one.party, one.detail] for one in late],
                    "text": "not confirmed: "
                    + "; ".join(f"{one.effect} ({one.party}): {one.detail}" for one in late),
                },
            )
        else:
            tx.silent("what is told again is on record as it answers")
        tries = max(one.attempts for one in waiting)
        seconds = _AGAIN_SECONDS[min(tries, len(_AGAIN_SECONDS) - 1)]
        # never later than what is still attempted may stay so
        ends = [one.deadline for one in waiting if one not in late and one.deadline is not None]
        timers.schedule(tx, RETRY, lock, min([tx.now + seconds * MICROSECONDS, *ends]))
        again = [replace(one, deadline=None) if one in late else one for one in waiting]
        found = locks.as_lock(row)

        def tell() -> None:
            for one in again:
                self._tell(found, one)

        tx.after_commit(tell)

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
        outside = [
            one
            for one in self._planned(tx, found, reach, drained=True)
            if one.effect != "notify owner"
        ]
        kept.record_receipts(tx, lock, (*ended, *outside))
        if outside:
            timers.schedule(tx, RETRY, lock, tx.now + _AGAIN_SECONDS[0] * MICROSECONDS)
        else:
            self._confirm(tx, found, drained=True)

        def tell() -> None:
            self._decider.flights.cut(found.target, lock)
            for one in outside:
                self._tell(found, one)

        tx.after_commit(tell)


def _too_late(one: Receipt) -> Receipt:
    """Return the receipt of a party that had not acknowledged when the lock was lifted."""
    said = f"{one.detail}; the lock was lifted before it acknowledged"
    return replace(one, state="unconfirmed", detail=said, deadline=None)


def _answered(receipt: Receipt, said: Done, now: int) -> Receipt:
    """Return the receipt of a party that answered, or did not."""
    tries = receipt.attempts + 1
    if not said.supported:
        return replace(
            receipt, state="not supported", detail=said.detail, at=now, deadline=None,
            attempts=tries,
        )  # fmt: skip
    if said.acknowledged is not None:
        return replace(
            receipt, state="acknowledged", detail=said.detail, at=now, by=said.acknowledged,
            deadline=None, attempts=tries,
        )  # fmt: skip
    waits = receipt.deadline is not None and now < receipt.deadline
    state: ReceiptState = "attempted" if waits else "unconfirmed"
    return replace(receipt, state=state, detail=said.detail, at=now, attempts=tries)
