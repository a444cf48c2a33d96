"""Targets that are told nothing more, as they want it, until their document changes."""

from __future__ import annotations

from watchkeeper.outbox import statements as sql
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.deliveries import DeliveryKind


def turn_off(tx: Transaction, kind: DeliveryKind, target: str, *, digest: str, why: str) -> None:
    """Tell a target nothing more while the document of this digest is in force."""
    sql.TURN_OFF.run(tx, kind=kind, target=target, digest=digest, why=why, since=tx.now)
    tx.record(
        f"{kind}.off",
        actor="plane",
        subject=f"{kind}/{target}",
        body={"digest": digest, "text": f"{target} is told nothing more: {why}"},
    )


def turn_on(tx: Transaction, kind: DeliveryKind, target: str) -> None:
    """Tell a target again."""
    if sql.TURN_ON.run(tx, kind_is=kind, name_is=target):
        tx.record(
            f"{kind}.on",
            actor="plane",
            subject=f"{kind}/{target}",
            body={"text": f"{target} is told again"},
        )


def why_off(tx: Transaction, kind: DeliveryKind, target: str, digest: str) -> str | None:
    """Return why a target is told nothing while this document is in force, or None."""
    row = sql.OFF.first(tx, kind_is=kind, name_is=target)
    return str(row.why) if row is not None and row.digest == digest else None


def all_off(tx: Transaction) -> list[Row]:
    """Return every target that was turned off: kind, target, digest, why, since."""
    return sql.ALL_OFF.all(tx)
