"""The outbox: put in, claimed, settled; sent again or given up by a person."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import and_, func, not_, or_, select

from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.outbox import statements as sql
from watchkeeper.outbox.model import Attempt, Delivery, NewDelivery, Next
from watchkeeper.outbox.rules import CLAIM_SECONDS, after_attempt, after_crash, follows
from watchkeeper.outbox.tables import deliveries
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.deliveries import DeliveryKind, DeliveryState

Target = tuple[DeliveryKind, str]
AT_ONCE = 500
_DUE_AT_ONCE = 200
_LONGEST_WORDS = 300


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
            one = _as_delivery(row)
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
            _record_attempt(tx, claimed, then, attempt)
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
        one = _as_delivery(row)
        then = after_crash(one, now=tx.now)
        lost = Attempt("retry", None, "the plane ended while this was sent; it may have arrived")
        if not _move(tx, one, then, lost):
            continue
        after = {
            "pending": "; it is sent again under the same id",
            "unknown": "; it is not sent again by itself",
        }.get(then.state, "; it was the last attempt")
        _record(
            tx,
            one,
            "delivery.dead" if then.state == "dead" else "delivery.unknown",
            f"nobody knows whether {_words(one)} arrived: the plane ended while it was sent{after}",
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
        _redrive(tx, _as_delivery(row), actor)
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
    text = f"{actor} discarded {_words(one)}{why}"
    _record(tx, one, "delivery.discarded", text, actor=actor)
    return find(tx, one.id)


def find(tx: Transaction, delivery: str) -> Delivery:
    """Return a delivery; raise `NotFound` if there is none."""
    row = sql.FIND.first(tx, id_is=delivery)
    if row is None:
        raise NotFound(
            f"there is no delivery {delivery!r:.80}", remedy="see `watchkeeper deliveries list`"
        )
    return _as_delivery(row)


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
    return [_as_delivery(one) for one in tx.connection.execute(query)]


def lost(tx: Transaction) -> list[Row]:
    """Return what was given up or is unknown, by kind, target and state: many, since, error."""
    return sql.LOST.all(tx)


def purge(tx: Transaction, before: int) -> int:
    """Forget what arrived or was discarded before a time, up to a bound; return how many."""
    tx.silent("how it went is in the ledger")
    old = (
        select(deliveries.c.id)
        .where(
            deliveries.c.state.in_(["sent", "discarded"]),
            func.coalesce(deliveries.c.sent_at, deliveries.c.created_at) < before,
        )
        .limit(AT_ONCE)
    )
    query = deliveries.delete().where(deliveries.c.id.in_(old.scalar_subquery()))
    return tx.connection.execute(query).rowcount


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


def begin_cursor(tx: Transaction, head: int) -> int:
    """Return the sequence up to which the ledger was routed; at first all of it counts so."""
    tx.silent("where routing stands says nothing new")
    sql.BEGIN_CURSOR.run(tx, sequence=head)
    return int(sql.CURSOR.scalar(tx))


def move_cursor(tx: Transaction, was: int, to: int) -> None:
    """Say that the ledger is routed up to `to`; raise `Conflict` if another router did that."""
    tx.silent("where routing stands says nothing new")
    if not sql.MOVE_CURSOR.run(tx, from_sequence=was, to_sequence=to):
        raise Conflict("the ledger was routed by another", code="routed_elsewhere")


def _redrive(tx: Transaction, one: Delivery, actor: str) -> None:
    moved = _move(
        tx,
        replace(one, attempts=0),
        Next("pending", tx.now),
        Attempt("retry", one.last_status, one.last_error),
    )
    assert moved, "read and moved in one unit"
    _record(tx, one, "delivery.redriven", f"{actor} sends {_words(one)} again", actor=actor)


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
            to_error=(attempt.error or "")[:_LONGEST_WORDS] or None,
            to_sent_at=tx.now if then.state == "sent" else None,
        )
        == 1
    )


def _record_attempt(tx: Transaction, one: Delivery, then: Next, attempt: Attempt) -> None:
    status = f" ({attempt.status})" if attempt.status else ""
    tries = f"{one.attempts} attempt{'' if one.attempts == 1 else 's'}"
    why = (attempt.error or "no answer")[:_LONGEST_WORDS] + status
    counted: dict[str, Any] = {"attempts": one.attempts, "status": attempt.status}
    notice = one.kind == "notice"
    who = f"{one.recipient or 'all'} by {one.target}"
    if then.state == "sent":
        text = f"{_words(one)} delivered{status} after {tries}"
        _record(tx, one, "delivery.sent", f"told {who}" if notice else text, **counted)
    elif then.state == "dead":
        text = f"could not tell {who}" if notice else f"{_words(one)} was given up"
        _record(tx, one, "delivery.dead", f"{text} after {tries}: {why}", **counted)
    elif then.state == "unknown":
        text = f"nobody knows whether {_words(one)} arrived: {why}"
        _record(tx, one, "delivery.unknown", text, **counted)
    elif one.attempts == 1 and then.counts and then.next_at is not None:
        text = f"could not tell {who}" if notice else f"{_words(one)} failed"
        text += f": {why}; tried again at {utc_text(then.next_at)}"
        _record(tx, one, "delivery.failed", text, **counted)
    else:
        tx.silent("that it is retried is on record; that nobody needs to be told changes nothing")


def _words(one: Delivery) -> str:
    if one.kind == "webhook":
        return f"callback to {one.target}"
    return f"notice to {one.recipient or 'all'} by {one.target}"


def _record(
    tx: Transaction, one: Delivery, type_: str, text: str, *, actor: str = "plane", **body: Any
) -> None:
    tx.record(
        type_,
        actor=actor,
        subject=f"delivery/{one.id}",
        agent=one.agent,
        run=one.run,
        request=one.request,
        body={"kind": one.kind, "target": one.target, **body, "text": text},
    )


def _of(kinds: Collection[DeliveryKind], busy: Collection[Target]) -> list[Any]:
    row = deliveries.c
    conditions: list[Any] = [row.kind.in_(sorted(kinds))]
    if busy:
        some = (and_(row.kind == kind, row.target == name) for kind, name in sorted(busy))
        conditions.append(not_(or_(*some)))
    return conditions


def _as_delivery(row: Row) -> Delivery:
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
