"""Putting locks in force, lifting them, and keeping their receipts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from sqlalchemy import bindparam, func, select, update

from watchkeeper.core.errors import Conflict, Forbidden, NotFound
from watchkeeper.kill.model import LockInForce, LockTarget, Receipt
from watchkeeper.kill.tables import locks, receipts
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import Effect, Mode

_newest = select(func.max(locks.c.epoch).label("newest")).subquery()
_IN_FORCE = Statement(
    select(_newest.c.newest, locks)
    .select_from(_newest.outerjoin(locks, locks.c.lifted_at.is_(None)))
    .order_by(locks.c.epoch)
)
_ADD = Statement(locks.insert())
_FIND = Statement(select(locks).where(locks.c.lock == bindparam("lock_is")))
_LIFT = Statement(
    update(locks)
    .where(locks.c.lock == bindparam("lock_is"), locks.c.lifted_at.is_(None))
    .values(lifted_at=bindparam("at"), lifted_by=bindparam("who"))
)
_RECEIPTS = Statement(select(receipts).where(receipts.c.lock == bindparam("lock_is")))
_upsert = insert(receipts)
_PUT_RECEIPT = Statement(
    _upsert.values(
        lock=bindparam("lock"),
        effect=bindparam("effect"),
        state=bindparam("state"),
        detail=bindparam("detail"),
        at=bindparam("at"),
    ).on_conflict_do_update(
        index_elements=["lock", "effect"],
        set_={
            "state": _upsert.excluded.state,
            "detail": _upsert.excluded.detail,
            "at": _upsert.excluded.at,
        },
    )
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
    return rows[0].newest or 0, tuple(_as_lock(row) for row in rows if row.lock is not None)


def put_in_force(
    tx: Transaction, target: LockTarget, *, mode: Mode, reason: str, by: str, authority: int = 0
) -> LockInForce:
    """Put a lock in force and raise the epoch. From this commit on it refuses.

    `authority` is the rank of who locks; nobody of a lower one may lift it.
    """
    lock = tx.new_id("lock")
    epoch = current_epoch(tx) + 1
    _ADD.run(
        tx,
        lock=lock,
        target_kind=target.kind,
        target_name=target.name,
        mode=mode,
        reason=reason,
        by=by,
        epoch=epoch,
        created_at=tx.now,
        lifted_at=None,
        lifted_by=None,
        authority=authority,
    )
    tx.record(
        "lock.created",
        actor=by,
        subject=f"lock/{lock}",
        agent=target.name if target.kind == "agent" else None,
        run=target.name if target.kind == "run" else None,
        body={
            "target": f"{target.kind}/{target.name}",
            "mode": mode,
            "reason": reason,
            "epoch": epoch,
        },
    )
    return LockInForce(lock, target, mode, reason, by, epoch, tx.now)


def lift(tx: Transaction, lock: str, *, reason: str, by: str, authority: int = 0) -> LockInForce:
    """End a lock; what it revoked stays revoked.

    Raises `Conflict` if it was lifted already, `Forbidden` if who locked had more authority.
    """
    row = find(tx, lock)
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
    return _as_lock(row)


def find(tx: Transaction, lock: str) -> Row:
    """Return a lock's row; raise `NotFound` if there is none."""
    row = _FIND.first(tx, lock_is=lock)
    if row is None:
        raise NotFound(f"there is no lock {lock}", remedy="see `watchkeeper locks list`")
    return row


def record_receipts(tx: Transaction, lock: str, effects: Sequence[Receipt]) -> None:
    """Keep what effects of a lock achieved; a later receipt of an effect replaces the earlier."""
    for receipt in effects:
        _PUT_RECEIPT.run(
            tx,
            lock=lock,
            effect=receipt.effect,
            state=receipt.state,
            detail=receipt.detail,
            at=receipt.at,
        )
    tx.record(
        "receipt.recorded",
        actor="plane",
        subject=f"lock/{lock}",
        body={"receipts": [[r.effect, r.state, r.detail] for r in effects]},
    )


def receipts_of(tx: Transaction, lock: str) -> tuple[Receipt, ...]:
    """Return the receipts of a lock in the order in which its effects are listed."""
    rows = {row.effect: row for row in _RECEIPTS.all(tx, lock_is=lock)}
    return tuple(
        Receipt(row.effect, row.state, row.detail, row.at)
        for effect in get_args(Effect)
        if (row := rows.get(effect))
    )


def list_locks(tx: Transaction, *, in_force: bool) -> list[Row]:
    """Return lock rows, newest first; only those in force if asked."""
    query = select(locks).order_by(locks.c.epoch.desc()).limit(200)
    if in_force:
        query = query.where(locks.c.lifted_at.is_(None))
    return list(tx.connection.execute(query))


def _as_lock(row: Row) -> LockInForce:
    return LockInForce(
        row.lock,
        LockTarget(row.target_kind, row.target_name),
        row.mode,
        row.reason,
        row.by,
        row.epoch,
        row.created_at,
    )
