"""Overrides in the store: made, ended, read."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, select, update

from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import Conflict, Invalid, NotFound, TooLarge
from watchkeeper.oncall.schedules import Changes, Override, Overrides
from watchkeeper.oncall.tables import overrides
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.oncall import OverrideKind, change_words

EVENTS = frozenset({"oncall.override_added", "oncall.override_removed"})
"""What every plane's view of the overrides follows."""
MOST_STANDING = 200
"""Overrides of one schedule that have not ended yet."""
MOST_OWN = 20
"""Of them by one person who may only hand their own shifts: room is left for who sees to all."""
LONGEST_DAYS = 366
_MOST_LISTED = 500

_ADD = Statement(overrides.insert())
_STANDING = Statement(
    select(
        overrides.c.override,
        overrides.c.schedule,
        overrides.c.kind,
        overrides.c.add_person,
        overrides.c.remove_person,
        overrides.c.start_at,
        overrides.c.until,
    )
    .where(overrides.c.until > bindparam("after"))
    .order_by(overrides.c.override)
)
_OF_SCHEDULE = Statement(
    select(overrides)
    .where(overrides.c.schedule == bindparam("schedule_is"), overrides.c.until > bindparam("after"))
    .order_by(overrides.c.override)
)
_FIND = Statement(select(overrides).where(overrides.c.override == bindparam("override_is")))
_END = Statement(
    update(overrides)
    .where(overrides.c.override == bindparam("override_is"), overrides.c.ended_at.is_(None))
    .values(until=bindparam("new_until"), ended_by=bindparam("who"), ended_at=bindparam("at"))
)


def standing(tx: Transaction, after: int) -> tuple[Override, ...]:
    """Return the overrides that still count at some time after one, in order of their making."""
    return tuple(
        Override(
            row.override,
            row.schedule,
            row.kind,
            row.add_person,
            row.remove_person,
            row.start_at,
            row.until,
        )
        for row in _STANDING.all(tx, after=after)
    )


def by_schedule(found: Iterable[Override]) -> Overrides:
    """Return overrides so that those of a time are found at once."""
    spans: dict[str, list[tuple[int, int, Override]]] = {}
    for one in found:
        spans.setdefault(one.schedule, []).append((one.start, one.end, one))
    return {schedule: Changes(known) for schedule, known in spans.items()}


def add(
    tx: Transaction,
    schedule: str,
    kind: OverrideKind,
    *,
    add: str | None,
    remove: str | None,
    start: int | None,
    end: int,
    reason: str,
    by: str,
    own_only: bool = False,
) -> Row:
    """Change who is on call for a time, at the earliest from now on; return its row.

    `own_only`: whoever makes it may hand their own shifts only, and has fewer at a time. Raises
    `Invalid` for a time that is over or too long, `TooLarge` where too many stand, and
    `Conflict` with code `overlapping_override` where another does the same within that time.
    """
    start = tx.now if start is None else max(start, tx.now)
    if end <= start:
        raise Invalid("that time is over", where="end", remedy="give an end that lies ahead")
    if end - start > LONGEST_DAYS * 86_400 * MICROSECONDS:
        raise Invalid(
            f"an override lasts {LONGEST_DAYS} days at most",
            where="end",
            remedy="for longer, change the schedule's document",
        )
    known = _OF_SCHEDULE.all(tx, schedule_is=schedule, after=tx.now)
    if len(known) >= MOST_STANDING:
        raise TooLarge(
            f"{schedule} has {MOST_STANDING} overrides that have not ended",
            remedy="end some, or change the schedule's document",
        )
    if own_only and sum(row.created_by == by for row in known) >= MOST_OWN:
        raise TooLarge(
            f"{MOST_OWN} overrides of {schedule} that you made have not ended",
            remedy="end some, or have somebody with the permission `oncall` make it",
        )
    for row in known:
        if row.start_at < end and start < row.until and _alike(row, kind, add, remove):
            raise Conflict(
                f"override {row.override} does that already from {utc_text(row.start_at)} to "
                f"{utc_text(row.until)}",
                code="overlapping_override",
                rule="oncall/overlap",
                remedy=f"end it first: `watchkeeper oncall end {row.override}`",
            )
    override = tx.new_id("ovr")
    _ADD.run(
        tx,
        override=override,
        schedule=schedule,
        kind=kind,
        add_person=add,
        remove_person=remove,
        start_at=start,
        end_at=end,
        until=end,
        reason=reason,
        created_by=by,
        created_at=tx.now,
        ended_by=None,
        ended_at=None,
    )
    tx.record(
        "oncall.override_added",
        actor=by,
        subject=f"schedule/{schedule}",
        body={
            "override": override,
            "kind": kind,
            "add": add,
            "remove": remove,
            "start": start,
            "end": end,
            "reason": reason,
            "text": f"{change_words(kind, add, remove)} in {schedule} from {utc_text(start)} to "
            f"{utc_text(end)}: {reason}",
        },
    )
    return find(tx, override)


def end(tx: Transaction, override: str, *, reason: str, by: str) -> Row:
    """End an override now, or before it begins; return its row.

    Raises `NotFound`, or `Conflict` with code `already_ended`.
    """
    row = find(tx, override)
    over = row.ended_at is not None or row.until <= tx.now
    if over or not _END.run(tx, override_is=override, new_until=tx.now, who=by, at=tx.now):
        raise Conflict(
            f"override {override} ended at {utc_text(row.ended_at or row.until)}",
            code="already_ended",
            remedy="nothing to do",
        )
    tx.record(
        "oncall.override_removed",
        actor=by,
        subject=f"schedule/{row.schedule}",
        body={
            "override": override,
            "reason": reason,
            "text": f"no longer: {change_words(row.kind, row.add_person, row.remove_person)} in "
            f"{row.schedule}: {reason}",
        },
    )
    return find(tx, override)


def find(tx: Transaction, override: str) -> Row:
    """Return an override's row; raise `NotFound` if there is none."""
    row = _FIND.first(tx, override_is=override)
    if row is None:
        raise NotFound(
            f"there is no override {override!r:.80}", remedy="see `watchkeeper oncall overrides`"
        )
    return row


def list_overrides(
    tx: Transaction, *, schedule: str | None = None, after: int | None = None
) -> list[Row]:
    """Return overrides, the latest start first, at most 500; `after`: that still count then.

    Of more that still count, those that begin last are left out.
    """
    row = overrides.c
    soonest = row.start_at, row.override
    latest = row.start_at.desc(), row.override.desc()
    query = select(overrides).order_by(*(latest if after is None else soonest))
    if schedule is not None:
        query = query.where(row.schedule == schedule)
    if after is not None:
        query = query.where(row.until > after)
    found = list(tx.connection.execute(query.limit(_MOST_LISTED)))
    return found if after is None else found[::-1]


def _alike(row: Row, kind: str, add: str | None, remove: str | None) -> bool:
    """Tell whether two overrides of one time would do the same, or take the same person off."""
    if remove is not None and row.remove_person == remove:
        return True
    return bool(row.kind == kind == "add" and row.add_person == add)
