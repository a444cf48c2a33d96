"""Giving, acknowledging and reading hand-overs."""

from __future__ import annotations

import json
from typing import Any, Literal

from sqlalchemy import bindparam, or_, select, update

from watchkeeper.core.clock import utc_text
from watchkeeper.core.errors import Conflict, Forbidden, NotFound
from watchkeeper.oncall.handovers.model import NewHandover, Taker
from watchkeeper.oncall.handovers.rules import why_not
from watchkeeper.oncall.handovers.tables import handovers
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction

TIMER = "oncall.handover"
"""The kind of the timer that tells when a watch changed hands unacknowledged."""
MOST_OPEN = 50
"""Unacknowledged ones that are shown at once, newest first."""

Which = Literal["all", "given", "acknowledged"]

_IS_OPEN = handovers.c.acknowledged_at.is_(None)
_LONG = {"text", "sections"}
_ROW = [column for column in handovers.c if column.name not in _LONG]

_ADD = Statement(handovers.insert())
_FIND = Statement(select(handovers).where(handovers.c.handover == bindparam("handover_is")))
_ACKNOWLEDGE = Statement(
    update(handovers)
    .where(handovers.c.handover == bindparam("handover_is"), _IS_OPEN)
    .values(
        acknowledged_by=bindparam("who"), acknowledged_at=bindparam("at"), note=bindparam("said")
    )
)
_OPEN = Statement(
    select(*_ROW).where(_IS_OPEN).order_by(handovers.c.handover.desc()).limit(MOST_OPEN)
)
_LAST = Statement(
    select(handovers.c.given_at)
    .where(
        or_(
            handovers.c.role == bindparam("role_is"),
            handovers.c.schedule == bindparam("schedule_is"),
        )
    )
    .order_by(handovers.c.handover.desc())
    .limit(1)
)


def give(tx: Transaction, new: NewHandover) -> str:
    """Keep a hand-over as it is, and return its id."""
    handover = tx.new_id("hov")
    digest = new.digest(handover, tx.now)
    _ADD.run(
        tx,
        handover=handover,
        role=new.role,
        schedule=new.schedule,
        by_person=new.by,
        to_person=new.to,
        next_people=json.dumps(new.next),
        since=new.since,
        given_at=tx.now,
        due_at=new.due_at,
        sequence=new.sequence,
        digest=digest,
        acknowledged_by=None,
        acknowledged_at=None,
        note=None,
        text=new.text,
        edited=int(new.edited),
        sections=new.sections,
    )
    timers.schedule(tx, TIMER, handover, max(new.due_at, tx.now))
    to = new.to or ", ".join(new.next) or "whoever holds it next"
    _record(
        tx,
        "handover.given",
        handover,
        actor=f"person/{new.by}",
        role=new.role,
        schedule=new.schedule,
        digest=digest,
        to=new.to,
        next=list(new.next),
        since=new.since,
        due_at=new.due_at,
        sequence=new.sequence,
        text=f"{new.by} hands {new.watch} over to {to}",
    )
    return handover


def acknowledge(
    tx: Transaction, handover: str, *, taker: Taker, digest: str, note: str | None = None
) -> None:
    """Take over, having read what was handed over; once.

    Raises `NotFound`; `Conflict` with code `already_acknowledged` or `stale_digest`; `Forbidden`
    with code `handover_not_yours`.
    """
    row = find(tx, handover)
    if row.acknowledged_at is not None:
        raise Conflict(
            f"{row.acknowledged_by} acknowledged it at {utc_text(row.acknowledged_at)}",
            code="already_acknowledged",
            remedy="nothing is left to do",
        )
    barrier = why_not(
        taker, by=row.by_person, to=row.to_person, next_people=json.loads(row.next_people)
    )
    if barrier is not None:
        raise Forbidden(
            barrier,
            code="handover_not_yours",
            rule="handover/taker",
            remedy="have whoever takes the watch over acknowledge it",
        )
    if digest != row.digest:
        raise Conflict(
            "what was on your screen is not what was handed over",
            code="stale_digest",
            rule="handover/digest",
            remedy=f"read it again: `watchkeeper handover show {handover}`",
        )
    if not _ACKNOWLEDGE.run(tx, handover_is=handover, who=taker.person, at=tx.now, said=note):
        raise Conflict("it was acknowledged just now", code="already_acknowledged")
    timers.cancel(tx, TIMER, handover)
    watch = row.role or f"schedule {row.schedule}"
    _record(
        tx,
        "handover.acknowledged",
        handover,
        actor=f"person/{taker.person}",
        role=row.role,
        schedule=row.schedule,
        digest=row.digest,
        by=row.by_person,
        note=note,
        text=f"{taker.person} takes {watch} over from {row.by_person}",
    )


def on_due(tx: Transaction, ref: str, due_at: int) -> None:
    """Tell that a watch changed hands and nobody acknowledged what was handed over."""
    row = _FIND.first(tx, handover_is=ref)
    if row is None or row.acknowledged_at is not None:
        tx.silent("it was acknowledged")
        return
    watch = row.role or f"schedule {row.schedule}"
    _record(
        tx,
        "handover.late",
        ref,
        actor="plane",
        role=row.role,
        schedule=row.schedule,
        by=row.by_person,
        to=row.to_person,
        next=json.loads(row.next_people),
        due_at=due_at,
        text=f"{watch} changed hands at {utc_text(due_at)}, and nobody has acknowledged what "
        f"{row.by_person} handed over",
    )


def find(tx: Transaction, handover: str) -> Row:
    """Return a hand-over's row; raise `NotFound` if there is none."""
    row = _FIND.first(tx, handover_is=handover)
    if row is None:
        raise no_such(handover)
    return row


def no_such(handover: str) -> NotFound:
    """Return the error for a hand-over that there is not, or that is not for the caller."""
    return NotFound(
        f"there is no hand-over {handover!r:.80}", remedy="see `watchkeeper handover list`"
    )


def list_handovers(
    tx: Transaction,
    *,
    which: Which = "all",
    role: str | None = None,
    schedule: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> list[Row]:
    """Return hand-overs without their texts, newest first; `after` is the id to go on after."""
    query = select(*_ROW).order_by(handovers.c.handover.desc()).limit(limit)
    if which != "all":
        query = query.where(_IS_OPEN if which == "given" else ~_IS_OPEN)
    if role is not None:
        query = query.where(handovers.c.role == role)
    if schedule is not None:
        query = query.where(handovers.c.schedule == schedule)
    if after is not None:
        query = query.where(handovers.c.handover < after)
    return list(tx.connection.execute(query))


def open_handovers(tx: Transaction) -> list[Row]:
    """Return what nobody has acknowledged yet, newest first; at most 50."""
    return _OPEN.all(tx)


def last_given(tx: Transaction, role: str | None, schedule: str | None) -> int | None:
    """Return when a watch was last handed over."""
    found = _LAST.scalar(tx, role_is=role, schedule_is=schedule)
    return None if found is None else int(found)


def _record(tx: Transaction, type_: str, handover: str, *, actor: str, **body: Any) -> None:
    tx.record(type_, actor=actor, subject=f"handover/{handover}", body=body)


HANDLERS: dict[str, Handler] = {TIMER: on_due}
"""What the sweeper runs for hand-overs, by timer kind."""
