"""Deliveries as they stand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select

from watchkeeper.core.errors import NotFound
from watchkeeper.outbox import statements as sql
from watchkeeper.outbox.model import Delivery
from watchkeeper.outbox.tables import deliveries
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.deliveries import DeliveryKind, DeliveryState


def find(tx: Transaction, delivery: str) -> Delivery:
    """Return a delivery; raise `NotFound` if there is none."""
    row = sql.FIND.first(tx, id_is=delivery)
    if row is None:
        raise NotFound(
            f"there is no delivery {delivery!r:.80}", remedy="see `watchkeeper deliveries list`"
        )
    return as_delivery(row)


def list_deliveries(
    tx: Transaction,
    *,
    states: Sequence[DeliveryState] = (),
    kind: DeliveryKind | None = None,
    target: str | None = None,
    request: str | None = None,
    agents: Collection[str] | None = None,
    before: str | None = None,
    limit: int = 100,
) -> list[Delivery]:
    """Return deliveries, newest first; `before` is the id that the last page ended with.

    With `agents`, only those that tell of one of them.
    """
    row = deliveries.c
    conditions: list[Any] = []
    if states:
        conditions.append(row.state.in_(states))
    for column, value in ((row.kind, kind), (row.target, target), (row.request, request)):
        if value is not None:
            conditions.append(column == value)
    if agents is not None:
        conditions.append(row.agent.in_(agents))
    if before is not None:
        conditions.append(row.id < before)
    query = select(deliveries).where(*conditions).order_by(row.id.desc()).limit(limit)
    return [as_delivery(one) for one in tx.connection.execute(query)]


def lost(tx: Transaction) -> list[Row]:
    """Return what was given up or is unknown, by kind, target and state: many, since, error."""
    return sql.LOST.all(tx)


def as_delivery(row: Row) -> Delivery:
    """Return a stored delivery."""
    return Delivery(
        id=row.id,
        kind=row.kind,
        target=row.target,
        recipient=row.recipient,
        request=row.request,
        agent=row.agent,
        run=row.run,
        event=row.event,
        state=row.state,
        attempts=row.attempts,
        next_at=row.next_at,
        epoch=row.epoch,
        claimed_until=row.claimed_until,
        last_status=row.last_status,
        last_error=row.last_error,
        created_at=row.created_at,
        sent_at=row.sent_at,
        payload=row.payload,
    )
