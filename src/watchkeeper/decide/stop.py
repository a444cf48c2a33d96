"""The kill switch at work: one lock, eight effects, a receipt for each.

The lock and every effect that lives in the store are one transaction, so from its commit on
nothing covered is permitted. Cutting what is in flight and telling people happens right
after, and their receipts say what was acknowledged and what was not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from sqlalchemy import func, or_, select

from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.standing import service as standing
from watchkeeper.budgets import lending
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.flight import InFlight
from watchkeeper.decide.gates.kill import runs_above
from watchkeeper.decide.service import Decider
from watchkeeper.identity.model import read_lineage
from watchkeeper.identity.runs import revoke_tokens, stop_run
from watchkeeper.identity.tables import runs
from watchkeeper.kill import service as locks
from watchkeeper.kill.model import Covered, LockInForce, LockTarget, Receipt
from watchkeeper.kill.rules import covers
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import Mode

ENDING_SECONDS = 10.0
"""How long a cut call may take to end before its receipt says unconfirmed."""


class KillSwitch:
    """Puts locks in force and lifts them."""

    def __init__(self, decider: Decider, watchers: Callable[[], int]) -> None:
        self._decider = decider
        self._watchers = watchers
        """Returns how many consoles follow the feed now."""
        self._tasks: set[asyncio.Task[None]] = set()
        decider.noting.pause_in = self.pause_in

    async def load(self) -> None:
        """Read the locks in force; before the first request is served."""
        self._decider.locks = await self._decider.store.read(locks.locks_in_force)

    async def lock(
        self, target: LockTarget, *, mode: Mode, reason: str, by: str, authority: int = 0
    ) -> tuple[LockInForce, tuple[Receipt, ...]]:
        """Put a lock in force and return it with the receipts known so far.

        Once this returns nothing covered is permitted. Raises `Invalid` for a target that
        can't exist, `Unavailable` when the store can't be written.
        """
        check_target(target)
        catalogue = self._decider.catalogue.now

        # after the commit whatever becomes of the caller, who may hang up at any time
        return await self._decider.store.write(
            lambda tx: self._lock_in(
                tx, catalogue, target, mode=mode, reason=reason, by=by, authority=authority
            )
        )

    def pause_in(self, tx: Transaction, target: LockTarget, reason: str) -> str:
        """Put a pause by the plane in force within a unit of work; return the lock.

        Anybody who may lift a lock resumes.
        """
        lock, _ = self._lock_in(
            tx, self._decider.catalogue.now, target, mode="pause", reason=reason, by="plane"
        )
        return lock.lock

    def _lock_in(
        self,
        tx: Transaction,
        catalogue: Catalogue,
        target: LockTarget,
        *,
        mode: Mode,
        reason: str,
        by: str,
        authority: int = 0,
    ) -> tuple[LockInForce, tuple[Receipt, ...]]:
        lock = locks.put_in_force(tx, target, mode=mode, reason=reason, by=by, authority=authority)
        receipts = _effects_in_store(tx, catalogue, lock, self._decider.flights.count(target))
        locks.record_receipts(tx, lock.lock, receipts)
        tx.after_commit(lambda: self._come_into_force(lock, catalogue))
        return lock, receipts

    async def lift(self, lock: str, *, reason: str, by: str, authority: int = 0) -> LockInForce:
        """End a lock; runs it stopped stay stopped, new ones may be opened."""

        def unit(tx: Transaction) -> LockInForce:
            lifted = locks.lift(tx, lock, reason=reason, by=by, authority=authority)
            tx.after_commit(lambda: self._forget(lock))
            return lifted

        return await self._decider.store.write(unit)

    def _come_into_force(self, lock: LockInForce, catalogue: Catalogue) -> None:
        self._decider.locks = (*self._decider.locks, lock)
        flights = self._decider.flights
        cut = flights.cut(lock.target, lock.lock) if lock.mode == "kill" else []
        self._decider.waiting.wake_all()
        task = asyncio.get_running_loop().create_task(self._follow_up(lock, cut, catalogue))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _forget(self, lock: str) -> None:
        self._decider.locks = tuple(one for one in self._decider.locks if one.lock != lock)

    async def _follow_up(
        self, lock: LockInForce, cut: Sequence[InFlight], catalogue: Catalogue
    ) -> None:
        """Wait for cut calls to end, tell the owners, and record both receipts."""
        ended = await _wait_for_end(cut)
        watchers = self._watchers()
        told = ", ".join(people_told(catalogue, lock.target))

        def unit(tx: Transaction) -> None:
            stopped = next(r for r in locks.receipts_of(tx, lock.lock) if r.effect == "stop run")
            final = []
            if cut:
                state = "acknowledged" if ended == len(cut) else "unconfirmed"
                final.append(
                    Receipt(
                        "stop run",
                        state,  # type: ignore[arg-type]
                        f"{stopped.detail}; calls in flight cut: {ended} of {len(cut)}",
                        tx.now,
                    )
                )
            seen = f"open consoles that show it: {watchers}" if watchers else "no console is open"
            final.append(
                Receipt(
                    "notify owner",
                    "acknowledged" if watchers else "unconfirmed",
                    f"{told}: {seen}",
                    tx.now,
                )
            )
            locks.record_receipts(tx, lock.lock, final)

        await self._decider.store.write(unit)


def check_target(target: LockTarget) -> None:
    """Raise `Invalid` for a target that names nothing."""
    if target.kind == "everything":
        if target.name != "*":
            raise Invalid("the target everything has the name *")
    elif not target.name or target.name == "*":
        raise Invalid(
            f"name the {target.kind} literally", remedy="wildcards don't stop anything here"
        )


async def _wait_for_end(cut: Sequence[InFlight]) -> int:
    if cut:
        waits = [asyncio.create_task(flight.ended.wait()) for flight in cut]
        _, left = await asyncio.wait(waits, timeout=ENDING_SECONDS)
        for wait in left:
            wait.cancel()
    return sum(flight.ended.is_set() for flight in cut)


def open_runs_under(tx: Transaction, catalogue: Catalogue, target: LockTarget) -> list[Row]:
    """Return the open runs a lock on `target` covers. A tool or model lock stops no run."""
    if target.kind in {"tool", "model"}:
        return []
    query = select(runs.c.run, runs.c.agent, runs.c.lineage).where(runs.c.state == "open")
    if target.kind == "run":
        query = query.where(or_(runs.c.run == target.name, runs.c.lineage.is_not(None)))
    elif target.kind == "agent":
        query = query.where(or_(runs.c.agent == target.name, runs.c.lineage.is_not(None)))
    return [
        row
        for row in tx.connection.execute(query)
        if covers(
            target,
            Covered(
                row.run,
                row.agent,
                catalogue.team_of(row.agent),
                above=runs_above(catalogue, read_lineage(row.lineage)),
            ),
        )
    ]


def people_told(catalogue: Catalogue, target: LockTarget) -> tuple[str, ...]:
    """Return the owners a lock on `target` concerns."""
    if target.kind == "team":
        return (target.name,)
    owners = {
        governed.contract.owner
        for name, governed in catalogue.agents.items()
        if target.kind == "everything"
        or (target.kind == "agent" and target.name == name)
        or (target.kind == "tool" and target.name in governed.tools)
        or (target.kind == "model" and target.name in catalogue.reached_by(name))
    }
    return tuple(sorted(owners)) or ("owner",)


def _effects_in_store(
    tx: Transaction, catalogue: Catalogue, lock: LockInForce, in_flight: int
) -> tuple[Receipt, ...]:
    at = tx.now
    covered = open_runs_under(tx, catalogue, lock.target)
    if lock.mode == "pause":
        stopped, revoked, requests, grants = 0, 0, 0, 0
        said = f"paused: open runs refused until the lock is lifted: {len(covered)}"
        delegation = "child runs are refused what their parents are"
        access = "tokens are refused while the lock is in force, and valid again after"
        safe = "open requests wait on; none is revoked by a pause"
        retries = "refusals are marked as not to be retried"
    else:
        stopped = sum(stop_run(tx, row.run, lock.lock) for row in covered)
        revoked = sum(revoke_tokens(tx, row.run) for row in covered)
        requests, grants = _revoke_approvals(tx, lock, [row.run for row in covered])
        ended = _end_standing(tx, catalogue, lock)
        said = f"open runs stopped: {stopped}"
        children = [row for row in covered if row.lineage is not None]
        delegation = f"child runs stopped: {len(children)}"
        # the innermost first: what they used is part of what those above them used
        for row in sorted(children, key=lambda row: -len(read_lineage(row.lineage))):
            lending.give_back(tx, row.run)
        access = f"run tokens revoked: {revoked}; no new run while the lock is in force"
        safe = f"open requests revoked: {requests}; their callers are told"
        retries = f"refusals are marked as not to be retried; unused grants revoked: {grants}"
        if ended:
            retries += f"; standing approvals ended: {ended}"
        _record_stopped(tx, lock, covered)
    waiting = lock.mode == "kill" and in_flight > 0
    return (
        Receipt("stop run", "unconfirmed" if waiting else "acknowledged", said, at),
        Receipt("revoke access", "acknowledged", access, at),
        Receipt("freeze memory", "not supported", "this plane has no memory store", at),
        Receipt("prevent retries", "acknowledged", retries, at),
        Receipt("block delegation", "acknowledged", delegation, at),
        Receipt(
            "preserve traces",
            "acknowledged",
            f"every entry up to epoch {lock.epoch} is in the ledger; nothing purges it",
            at,
        ),
        Receipt("notify owner", "unconfirmed", "being told", at),
        Receipt("safe state", "acknowledged", safe, at),
    )


def _revoke_approvals(tx: Transaction, lock: LockInForce, stopped: list[str]) -> tuple[int, int]:
    tool = lock.target.name if lock.target.kind == "tool" else None
    return approvals.revoke(tx, runs=stopped, tool=tool, lock=lock.lock, now=tx.now)


def _end_standing(tx: Transaction, catalogue: Catalogue, lock: LockInForce) -> int:
    """End what people approved beforehand of what a lock covers for good."""
    target = lock.target
    agents = {target.name} if target.kind == "agent" else set()
    if target.kind == "team":
        agents = {name for name in catalogue.agents if catalogue.team_of(name) == target.name}
    return standing.end_covered(
        tx,
        agents=agents,
        tool=target.name if target.kind == "tool" else None,
        everything=target.kind == "everything",
        by=f"lock/{lock.lock}",
        why=f"{target.kind} {target.name} was killed",
    )


def _record_stopped(tx: Transaction, lock: LockInForce, covered: Sequence[Row]) -> None:
    for row in covered:
        tx.record(
            "run.stopped",
            actor=lock.by,
            subject=f"run/{row.run}",
            agent=row.agent,
            run=row.run,
            body={"lock": lock.lock, "reason": lock.reason},
        )


def count_open_runs(tx: Transaction) -> int:
    """Return how many runs are open."""
    query = select(func.count()).select_from(runs).where(runs.c.state == "open")
    return int(tx.connection.execute(query).scalar_one())
