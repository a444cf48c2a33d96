"""The outbox: put in, claimed, settled; sent again or given up by a person."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import and_, func, not_, or_, select

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Conflict
from watchkeeper.outbox import statements as sql
from watchkeeper.outbox.model import Attempt, Delivery, NewDelivery, Next, Target
from watchkeeper.outbox.reading import as_delivery, find
from watchkeeper.outbox.records import LONGEST_WORDS, record, record_attempt, words_of
from watchkeeper.outbox.rules import CLAIM_SECONDS, after_attempt, after_crash, follows
from watchkeeper.outbox.tables import deliveries
from watchkeeper.outbox.targets import turn_on
from watchkeeper.store.retention import is_held
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.deliveries import DeliveryKind

AT_ONCE = 500
_DUE_AT_ONCE = 200


def enqueue(tx: Transaction, new: NewDelivery) -> str:
    """Put something to be told in the outbox, due at once or at `not_before`; return its id."""
    tx.silent("what it tells of is on record; how it went is recorded then")
    delivery = tx.new_id("msg")
    sql.ADD.run(
        tx,
        id=delivery,
        kind=new.kind,
        target=new.target,
        recipient=new.recipient,
        request=new.request,
        agent=new.agent,
        run=new.run,
        event=new.event,
        state="pending",
        attempts=0,
        next_at=max(tx.now, new.not_before or 0),
        epoch=0,
        claimed_until=None,
        last_status=None,
        last_error=None,
        created_at=tx.now,
        sent_at=None,
        payload=new.payload,
    )
    return delivery


def claim(
    tx: Transaction,
    *,
    room: int,
    room_per_target: int,
    kinds: Collection[DeliveryKind],
    together: Collection[DeliveryKind] = (),
    busy: Collection[Target] = (),
) -> list[Delivery]:
    """Mark up to `room` due deliveries of some kinds as being sent, the longest due first.

    No target gets more than `room_per_target` of them, and the `busy` ones none, so that a
    slow receiver holds up only itself; kinds that are sent `together` have no such bound.
    """
    tx.silent("how the attempt ends is recorded when it does")
    query = (
        select(deliveries)
        .where(sql.IS_PENDING, deliveries.c.next_at <= tx.now, *_of(kinds, busy))
        .order_by(deliveries.c.next_at, deliveries.c.id)
        .limit(_DUE_AT_ONCE)
    )
    until = tx.now + CLAIM_SECONDS * MICROSECONDS
    taken: dict[Target, int] = {}
    claimed: list[Delivery] = []
    for row in tx.connection.execute(query).all():
        target = (row.kind, row.target)
        full = taken.get(target, 0) >= room_per_target and row.kind not in together
        if len(claimed) >= room or full:
            continue
        if sql.CLAIM.run(tx, id_is=row.id, epoch_was=row.epoch, until=until):
            taken[target] = taken.get(target, 0) + 1
            one = as_delivery(row)
            claimed.append(
                replace(
                    one,
                    state="sending",
                    attempts=one.attempts + 1,
                    epoch=one.epoch + 1,
                    next_at=None,
                    claimed_until=until,
                )
            )
    return claimed


def next_due(
    tx: Transaction,
    *,
    kinds: Collection[DeliveryKind],
    busy: Collection[Target] = (),
    held: Collection[str] = (),
) -> int | None:
    """Return when the next delivery is due, or a claim runs out; None if there is neither.

    `held`: the deliveries whose attempt still runs in this plane, however long it takes.
    """
    query = (
        select(deliveries.c.next_at)
        .where(sql.IS_PENDING, *_of(kinds, busy))
        .order_by(deliveries.c.next_at)
        .limit(1)
    )
    times = [tx.connection.execute(query).scalar()]
    times += [row.claimed_until for row in sql.SENDING.all(tx) if row.id not in held]
    return min((at for at in times if at is not None), default=None)


def settle(tx: Transaction, claimed: Delivery, attempt: Attempt, *, fraction: float) -> bool:
    """Record how a claimed attempt went; False if the claim was lost meanwhile.

    An answer that comes after the claim ran out is kept too, unless the delivery is due again.
    """
    then = after_attempt(claimed, attempt, now=tx.now, fraction=fraction)
    for state in ("sending", "unknown"):
        if _move(tx, replace(claimed, state=state), then, attempt):
            record_attempt(tx, claimed, then, attempt)
            return True
    tx.silent("the claim was lost; nothing is changed")
    return False


def recover(tx: Transaction, held: Collection[str] = ()) -> int:
    """Move on what a plane that ended left being sent; return how many there were.

    Those `held` are not: their attempt still runs in this plane.
    """
    tx.silent("each that is moved records its event")
    rows = [row for row in sql.ABANDONED.all(tx, now=tx.now, most=AT_ONCE) if row.id not in held]
    for row in rows:
        one = as_delivery(row)
        then = after_crash(one, now=tx.now)
        lost = Attempt("retry", None, "the plane ended while this was sent; it may have arrived")
        if not _move(tx, one, then, lost):
            continue
        after = {
            "pending": "; it is sent again under the same id",
            "unknown": "; it is not sent again by itself",
        }.get(then.state, "; it was the last attempt")
        record(
            tx,
            one,
            "delivery.dead" if then.state == "dead" else "delivery.unknown",
            f"nobody knows whether {words_of(one)} arrived: "
            f"the plane ended while it was sent{after}",
            attempts=one.attempts,
        )
    return len(rows)


def redrive(tx: Transaction, delivery: str, *, actor: str) -> Delivery:
    """Send one again that was given up, or of which nobody knows; it has all its attempts anew.

    Raises `NotFound`, or `Conflict` where it is on its way, arrived or was discarded.
    """
    one = find(tx, delivery)
    if one.state not in ("dead", "unknown"):
        raise Conflict(
            f"delivery {one.id} is {one.state}: only what is dead or unknown is sent again",
            code="delivery_state",
            remedy="see `watchkeeper deliveries list`",
        )
    _redrive(tx, one, actor)
    turn_on(tx, one.kind, one.target)
    return find(tx, one.id)


def redrive_all(tx: Transaction, kind: DeliveryKind, target: str, *, actor: str) -> tuple[int, int]:
    """Send again what was given up of a target, up to a bound; return how many, and how many
    are left."""
    tx.silent("each that is sent again records its event")
    turn_on(tx, kind, target)
    rows = sql.DEAD_OF.all(tx, kind_is=kind, name_is=target, most=AT_ONCE)
    for row in rows:
        _redrive(tx, as_delivery(row), actor)
    return len(rows), int(sql.COUNT_DEAD_OF.scalar(tx, kind_is=kind, name_is=target))


def discard(tx: Transaction, delivery: str, *, actor: str, reason: str | None = None) -> Delivery:
    """Give a delivery up for good; raise `NotFound`, or `Conflict` where it can't be."""
    one = find(tx, delivery)
    moved = follows(one.state, "discarded") and _move(
        tx, one, Next("discarded"), Attempt("refused", one.last_status, one.last_error)
    )
    if not moved:
        raise Conflict(
            f"delivery {one.id} is {one.state}, which is not discarded", code="delivery_state"
        )
    why = f": {reason}" if reason else ""
    text = f"{actor} discarded {words_of(one)}{why}"
    record(tx, one, "delivery.discarded", text, actor=actor)
    return find(tx, one.id)


def purge(tx: Transaction, before: int) -> int:
    """Forget what arrived or was discarded before a time, up to a bound, unless it is held;
    return how many.
    """
    tx.silent("how it went is in the ledger")
    old = (
        select(deliveries.c.id)
        .where(
            deliveries.c.state.in_(["sent", "discarded"]),
            func.coalesce(deliveries.c.sent_at, deliveries.c.created_at) < before,
            ~is_held(agent=deliveries.c.agent, run=deliveries.c.run, request=deliveries.c.request),
        )
        .limit(AT_ONCE)
    )
    query = deliveries.delete().where(deliveries.c.id.in_(old.scalar_subquery()))
    return tx.connection.execute(query).rowcount


def _redrive(tx: Transaction, one: Delivery, actor: str) -> None:
    moved = _move(
        tx,
        replace(one, attempts=0),
        Next("pending", tx.now),
        Attempt("retry", one.last_status, one.last_error),
    )
    assert moved, "read and moved in one unit"
    record(tx, one, "delivery.redriven", f"{actor} sends {words_of(one)} again", actor=actor)


def _move(tx: Transaction, one: Delivery, then: Next, attempt: Attempt) -> bool:
    return (
        follows(one.state, then.state)
        and sql.MOVE.run(
            tx,
            id_is=one.id,
            state_was=one.state,
            epoch_was=one.epoch,
            to_state=then.state,
            to_attempts=one.attempts - (0 if then.counts else 1),
            to_next_at=then.next_at,
            to_status=attempt.status,
            to_error=(attempt.error or "")[:LONGEST_WORDS] or None,
            to_sent_at=tx.now if then.state == "sent" else None,
        )
        == 1
    )


def _of(kinds: Collection[DeliveryKind], busy: Collection[Target]) -> list[Any]:
    row = deliveries.c
    conditions: list[Any] = [row.kind.in_(sorted(kinds))]
    if busy:
        some = (and_(row.kind == kind, row.target == name) for kind, name in sorted(busy))
        conditions.append(not_(or_(*some)))
    return conditions
