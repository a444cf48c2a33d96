"""The auditor: everything that waits has its timer, and no timer is late; repairs what is not."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, or_, select

from watchkeeper.approvals.escalation import set_timer
from watchkeeper.approvals.rows import IS_OPEN, TIMER, find, next_step_of
from watchkeeper.approvals.tables import requests
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.store import timers
from watchkeeper.store.transaction import Transaction

LATE_SECONDS = 60
"""A step that is later than this is a fault."""
AT_ONCE = 200
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Audit:
    """Which open requests had no timer, or another than their next step; and which are late."""

    wrong: tuple[str, ...] = ()
    late: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything that waits will happen, and in time."""
        return not self.wrong and not self.late

    def words(self) -> str:
        """Say what was found."""
        found = []
        if self.wrong:
            found.append(f"{_count(self.wrong)} had no timer for the next step: set")
        if self.late:
            found.append(f"{_count(self.late)} waited more than {LATE_SECONDS} s for a step")
        return "; ".join(found) or "every open request has its timer"


def find_faults(tx: Transaction) -> Audit:
    """Look at every open request; up to 200 faults of each kind."""
    timer = timers.timers
    own = and_(timer.c.kind == TIMER, timer.c.ref == requests.c.request)
    joined = select(requests.c.request).select_from(requests.outerjoin(timer, own)).where(IS_OPEN)
    # a timer that failed is tried again later than the step was due, and counts its attempts
    wrong = joined.where(
        or_(
            timer.c.id.is_(None),
            requests.c.next_at.is_(None),
            and_(timer.c.attempts == 0, timer.c.due_at != requests.c.next_at),
        )
    )
    late = joined.where(
        timer.c.id.is_not(None), requests.c.next_at < tx.now - LATE_SECONDS * MICROSECONDS
    )
    return Audit(
        *(tuple(tx.connection.execute(query.limit(AT_ONCE)).scalars()) for query in (wrong, late))
    )


def repair(tx: Transaction, found: Audit) -> Audit:
    """Set the timers that lack, and record what was wrong; return what still was.

    Faults that are gone by now, for a step was taken meanwhile, are none.
    """
    tx.silent("what is right by now needs nothing")
    wrong = tuple(request for request in found.wrong if _set(tx, request))
    still = Audit(wrong, tuple(request for request in found.late if _is_late(tx, request)))
    if not still.passed:
        tx.record(
            "approvals.audited",
            actor="plane",
            subject="approvals",
            body={
                "wrong": len(still.wrong),
                "late": len(still.late),
                "requests": [*still.wrong, *still.late][:_MOST_NAMED],
                "text": still.words(),
            },
        )
    return still


def _set(tx: Transaction, request: str) -> bool:
    row = find(tx, request)
    if row.state not in ("pending", "approved"):
        return False
    due_at = row.grant_expires_at if row.state == "approved" else next_step_of(row).due_at
    timer = timers.find(tx, TIMER, request)
    set_right = timer is not None and (timer.attempts > 0 or timer.due_at == due_at)
    if set_right and row.next_at == due_at:
        return False
    set_timer(tx, row)
    return True


def _is_late(tx: Transaction, request: str) -> bool:
    row = find(tx, request)
    late = tx.now - LATE_SECONDS * MICROSECONDS
    return row.state in ("pending", "approved") and row.next_at is not None and row.next_at < late


def _count(requests: tuple[str, ...]) -> str:
    number = f"{len(requests)}" + (" or more" if len(requests) == AT_ONCE else "")
    return f"{number} request{'' if len(requests) == 1 else 's'}"
