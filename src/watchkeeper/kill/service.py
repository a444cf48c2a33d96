"""Putting locks in force and lifting them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, func, select, update

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Conflict, Forbidden, NotFound
from watchkeeper.kill.model import LockInForce, LockTarget, NewLock
from watchkeeper.kill.rules import DID, mode_of
from watchkeeper.kill.tables import locks
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

_newest = select(func.max(locks.c.epoch).label("newest")).subquery()
_IN_FORCE = Statement(
    select(_newest.c.newest, locks)
    .select_from(_newest.outerjoin(locks, locks.c.lifted_at.is_(None)))
    .order_by(locks.c.epoch)
)
_MOST_LISTED = 200
EXPIRY = "lock.expiry"
"""The kind of the timer that lifts a lock whose time is over."""
_ADD = Statement(locks.insert())
_FIND = Statement(select(locks).where(locks.c.lock == bindparam("lock_is")))
_LIFT = Statement(
    update(locks)
    .where(locks.c.lock == bindparam("lock_is"), locks.c.lifted_at.is_(None))
    .values(lifted_at=bindparam("at"), lifted_by=bindparam("who"))
)


def locks_in_force(tx: Transaction) -> tuple[LockInForce, ...]:
    """Return every lock that has not been lifted, oldest first."""
    return epoch_and_locks(tx)[1]


def current_epoch(tx: Transaction) -> int:
    """Return the epoch: the number of the newest lock ever put in force, 0 before the first."""
    return epoch_and_locks(tx)[0]


def epoch_and_locks(tx: Transaction) -> tuple[int, tuple[LockInForce, ...]]:
    """Return the epoch and every lock in force, as they stand together."""
    rows = _IN_FORCE.all(tx)
    return rows[0].newest or 0, tuple(as_lock(row) for row in rows if row.lock is not None)


def put_in_force(tx: Transaction, new: NewLock, told: Sequence[str] = ()) -> LockInForce:
    """Put a lock in force and raise the epoch. From this commit on it refuses.

    `told`: the roles that it concerns.
    """
    target = new.target
    epoch = current_epoch(tx) + 1
    expires_at = None if new.seconds is None else tx.now + new.seconds * MICROSECONDS
    lock = LockInForce(
        tx.new_id("lock"), target, new.mode, new.reason, new.by, epoch, tx.now, expires_at
    )
    if expires_at is not None:
        timers.schedule(tx, EXPIRY, lock.lock, expires_at)
    _ADD.run(
        tx,
        lock=lock.lock,
        target_kind=target.kind,
        target_name=target.name,
        mode=new.mode,
        reason=new.reason,
        by=new.by,
        epoch=epoch,
        created_at=tx.now,
        lifted_at=None,
        lifted_by=None,
        authority=new.authority,
        expires_at=expires_at,
    )
    tx.record(
        "lock.created",
        actor=new.by,
        subject=f"lock/{lock.lock}",
        agent=target.name if target.kind == "agent" else None,
        run=target.name if target.kind == "run" else None,
        body={
            "target": f"{target.kind}/{target.name}",
            "mode": new.mode,
            "reason": new.reason,
            "epoch": epoch,
            **({"expires_at": expires_at} if expires_at is not None else {}),
            **({"told": list(told)} if told else {}),
        },
    )
    return lock


def lift(tx: Transaction, lock: str, *, reason: str, by: str, authority: int = 0) -> LockInForce:
    """End a lock; what it revoked stays revoked.

    Raises `Conflict` if it was lifted already, `Forbidden` if who locked had more authority.
    """
    row = find(tx, lock)
    timers.cancel(tx, EXPIRY, lock)
    if authority < (row.authority or 0):
        raise Forbidden(
            f"{row.by.removeprefix('person/')} locked it with more authority than yours",
            rule="kill/authority",
            remedy="ask them, or somebody who may do as much, to lift it",
        )
    if _LIFT.run(tx, lock_is=lock, at=tx.now, who=by) != 1:
        raise Conflict(
            f"{row.lifted_by} lifted it already", code="already_lifted", remedy="nothing to do"
        )
    target = f"{row.target_kind}/{row.target_name}"
    tx.record(
        "lock.lifted",
        actor=by,
        subject=f"lock/{lock}",
        agent=row.target_name if row.target_kind == "agent" else None,
        run=row.target_name if row.target_kind == "run" else None,
        body={"target": target, "reason": reason, "epoch": row.epoch},
    )
    return as_lock(row)


def expire(tx: Transaction, lock: str) -> LockInForce | None:
    """Lift a lock whose time is over; None if somebody has lifted it meanwhile.

    Never early: should the clock have been put back since, it waits for its time again.
    """
    row = find(tx, lock)
    if row.lifted_at is not None:
        return None
    if row.expires_at is not None and tx.now < row.expires_at:
        timers.schedule(tx, EXPIRY, lock, row.expires_at)
        return None
    return lift(tx, lock, reason="its time is over", by="plane", authority=row.authority or 0)


def find(tx: Transaction, lock: str) -> Row:
    """Return a lock's row; raise `NotFound` if there is none."""
    row = _FIND.first(tx, lock_is=lock)
    if row is None:
        raise NotFound(f"there is no lock {lock}", remedy="see `watchkeeper locks list`")
    return row


def words_of(tx: Transaction, names: Collection[str]) -> dict[str, str]:
    """Return what locks did and why, in words, by lock: `killed by ada: it loops`."""
    if not names:
        return {}
    query = select(locks.c.lock, locks.c.mode, locks.c.by, locks.c.reason)
    return {
        row.lock: f"{DID[mode_of(row.mode)]} by {row.by.removeprefix('person/')}: {row.reason}"
        for row in tx.connection.execute(query.where(locks.c.lock.in_(sorted(names))))
    }


def list_locks(tx: Transaction, *, in_force: bool) -> list[Row]:
    """Return every lock in force, or the newest of all; newest first."""
    query = select(locks).order_by(locks.c.epoch.desc())
    query = query.where(locks.c.lifted_at.is_(None)) if in_force else query.limit(_MOST_LISTED)
    return list(tx.connection.execute(query))


def as_lock(row: Row) -> LockInForce:
    """Read a lock's row."""
    return LockInForce(
        row.lock,
        LockTarget(row.target_kind, row.target_name),
        mode_of(row.mode),
        row.reason,
        row.by,
        row.epoch,
        row.created_at,
        row.expires_at,
    )
