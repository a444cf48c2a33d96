"""What happens to a request by itself: its next step when due, and new people on call."""

from __future__ import annotations

from watchkeeper.approvals import coverage as covering
from watchkeeper.approvals import emergencies
from watchkeeper.approvals.coverage import ANYBODY, Coverage
from watchkeeper.approvals.deciding import lapse
from watchkeeper.approvals.escalation import set_timer, take_step
from watchkeeper.approvals.rows import TIMER, find, find_or_none, next_step_of
from watchkeeper.approvals.shifts import look
from watchkeeper.store.statement import Row
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction


def handlers(coverage: Coverage) -> dict[str, Handler]:
    """Return what the sweeper runs for this room, by timer kind."""
    return {
        TIMER: lambda tx, ref, due_at: on_due(tx, ref, coverage),
        emergencies.TIMER: emergencies.on_review_due,
        covering.TIMER: lambda tx, ref, due_at: look(tx, coverage),
    }


def on_due(tx: Transaction, ref: str, coverage: Coverage) -> None:
    """Take the one step that is due for a request, and set the timer for the next.

    After downtime the next is overdue as well, and follows at once: each once, in order.
    """
    tx.silent("a timer that finds nothing due is only moved")
    row = find_or_none(tx, ref)
    if row is None:
        return
    if row.state == "approved" and not lapse(tx, row):
        set_timer(tx, row)
    elif row.state == "pending":
        step = next_step_of(row)
        if step.due_at <= tx.now:
            take_step(tx, row, step, coverage)
        else:
            set_timer(tx, row)


def catch_up(tx: Transaction, row: Row, coverage: Coverage) -> Row:
    """Take every step that is due for a request by now; return its row as it is then."""
    while row.state == "pending" and (step := next_step_of(row)).due_at <= tx.now:
        take_step(tx, row, step, coverage)
        row = find(tx, row.request)
    if row.state == "approved" and lapse(tx, row):
        row = find(tx, row.request)
    return row


HANDLERS: dict[str, Handler] = handlers(ANYBODY)
"""Where nothing is known of people: no level is ever empty."""
