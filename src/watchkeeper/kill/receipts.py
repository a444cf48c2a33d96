"""Keeping what the effects of locks achieved, party by party."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from watchkeeper.kill.model import Receipt
from watchkeeper.kill.tables import is_open, receipts
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import EFFECTS

_OF = Statement(
    select(receipts).where(receipts.c.lock == bindparam("lock_is")).order_by(receipts.c.party)
)
_OPEN = Statement(
    select(receipts)
    .where(receipts.c.lock == bindparam("lock_is"), is_open)
    .order_by(receipts.c.effect, receipts.c.party)
)
_upsert = insert(receipts)
_PUT = Statement(
    _upsert.values(
        {name: bindparam(name) for name in receipts.c.keys()}  # noqa: SIM118
    ).on_conflict_do_update(
        index_elements=["lock", "effect", "party"],
        set_={
            name: _upsert.excluded[name]
            for name in ("state", "detail", "at", "by", "deadline", "attempts")
        },
    )
)


def record_receipts(tx: Transaction, lock: str, found: Sequence[Receipt]) -> None:
    """Keep what effects of a lock achieved; a later receipt of a party replaces the earlier.

    One that says what was said before is no event: who does not answer is told again for long.
    """
    before = {(row.effect, row.party): row for row in _OF.all(tx, lock_is=lock)}
    news = [one for one in found if _is_news(one, before.get((one.effect, one.party)))]
    for receipt in found:
        _PUT.run(
            tx,
            lock=lock,
            effect=receipt.effect,
            party=receipt.party,
            state=receipt.state,
            detail=receipt.detail,
            at=receipt.at,
            by=receipt.by,
            deadline=receipt.deadline,
            attempts=receipt.attempts,
        )
    if not news:
        tx.silent("nobody says anything new")
        return
    tx.record(
        "receipt.recorded",
        actor="plane",
        subject=f"lock/{lock}",
        body={
            "receipts": [
                {
                    "effect": one.effect,
                    "party": one.party,
                    "state": one.state,
                    "detail": one.detail,
                    **({"by": one.by} if one.by else {}),
                }
                for one in news
            ]
        },
    )


def _is_news(receipt: Receipt, row: Row | None) -> bool:
    """Return whether a receipt says anything that the one before did not."""
    if row is None:
        return True
    said = (receipt.state, receipt.detail, receipt.by)
    return said != (row.state, row.detail, row.by)


def receipts_of(tx: Transaction, lock: str) -> tuple[Receipt, ...]:
    """Return the receipts of a lock in the order in which its effects are listed."""
    order = {effect: place for place, effect in enumerate(EFFECTS)}
    rows = sorted(_OF.all(tx, lock_is=lock), key=lambda row: order.get(row.effect, len(order)))
    return tuple(_as_receipt(row) for row in rows)


def open_receipts(tx: Transaction, lock: str) -> tuple[Receipt, ...]:
    """Return what a lock still waits for: told, or without an answer in time."""
    return tuple(_as_receipt(row) for row in _OPEN.all(tx, lock_is=lock))


def _as_receipt(row: Row) -> Receipt:
    return Receipt(
        row.effect,
        row.state,
        row.detail,
        row.at,
        row.party,
        row.by,
        row.deadline,
        row.attempts,
    )
