"""Caps that people put in place of the documents': made, taken back, ended by time.

A changed cap holds for a budget by its id, whatever the documents say of it, until it is taken
back or its time is over; it outlasts an apply and a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, func, select

from watchkeeper.budgets.model import LARGEST_AMOUNT, Cap, written
from watchkeeper.budgets.response_tables import cap_changes
from watchkeeper.budgets.rules import read_budget_id, read_own_budget_id
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import Conflict, Invalid, TooLarge
from watchkeeper.store import timers
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction

EVENTS = frozenset({"budget.cap_changed"})
"""What every plane's view of the caps follows."""
CAP_END = "budgets.cap"
"""The kind of the timer that ends a changed cap."""
MOST_CHANGED = 500
LONGEST_DAYS = 366

_ALL = Statement(select(cap_changes).order_by(cap_changes.c.budget))
_FIND = Statement(select(cap_changes).where(cap_changes.c.budget == bindparam("budget_is")))
_COUNT = Statement(select(func.count()).select_from(cap_changes))
_put = insert(cap_changes).values(
    budget=bindparam("budget"),
    cap=bindparam("cap"),
    until=bindparam("until"),
    reason=bindparam("reason"),
    changed_by=bindparam("changed_by"),
    changed_at=bindparam("changed_at"),
)
_PUT = Statement(
    _put.on_conflict_do_update(
        index_elements=["budget"],
        set_={
            name: _put.excluded[name]
            for name in ("cap", "until", "reason", "changed_by", "changed_at")
        },
    )
)
_REMOVE = Statement(delete(cap_changes).where(cap_changes.c.budget == bindparam("budget_is")))


@dataclass(frozen=True, slots=True)
class ChangedCap:
    """A cap in place of the documents'. Times in microseconds."""

    budget: str
    cap: int
    until: int | None
    """When the documents' cap holds again; None: once a person takes it back."""
    by: str
    reason: str

    def holds(self, now: int) -> bool:
        """Tell whether its time is not over."""
        return self.until is None or self.until > now


def changed_caps(tx: Transaction) -> dict[str, ChangedCap]:
    """Return every changed cap by its budget."""
    return {
        row.budget: ChangedCap(row.budget, row.cap, row.until, row.changed_by, row.reason)
        for row in _ALL.all(tx)
    }


def with_changes(caps: Iterable[Cap], changed: Mapping[str, ChangedCap], now: int) -> list[Cap]:
    """Return caps with those in place that people put there and whose time is not over."""
    found = list(caps)
    for index, cap in enumerate(found) if changed else ():
        other = changed.get(cap.budget_id)
        if other is not None and other.holds(now):
            found[index] = cap._replace(cap=other.cap)
    return found


def change_cap(
    tx: Transaction,
    budget: str,
    cap: int | None,
    *,
    until: int | None,
    reason: str,
    actor: str,
    before: int,
) -> None:
    """Put a cap in place of the documents' (None: take it back), with its event.

    `before` is the cap in force. Raises `NotFound` for an unknown budget, `Invalid` for one of a
    single run or a time that is over or too far, `TooLarge` where too many caps are changed,
    `Conflict` where there is nothing to take back.
    """
    _, period, measure = read_own_budget_id(budget)
    if period in ("run", "invocation"):
        raise Invalid(
            f"every {period} has the cap of its documents; {budget} is one of many",
            where="budget",
            rule="budget/cap",
            remedy="top it up, or change the document",
        )
    if cap is None:
        if not _REMOVE.run(tx, budget_is=budget):
            raise Conflict(
                f"the cap of {budget} is the documents' own",
                code="not_changed",
                remedy="nothing to do",
            )
        timers.cancel(tx, CAP_END, budget)
        _record(tx, budget, None, None, before=before, reason=reason, actor=actor)
        return
    if not 0 <= cap <= LARGEST_AMOUNT:
        raise Invalid(f"a cap of {cap} {measure} is out of bounds", where="cap")
    if until is not None and until <= tx.now:
        raise Invalid("that time is over", where="until", remedy="give a time that lies ahead")
    if until is not None and until - tx.now > LONGEST_DAYS * 86_400 * MICROSECONDS:
        raise Invalid(
            f"it would end in more than {LONGEST_DAYS} days",
            where="until",
            remedy="give no end, or change the document",
        )
    if _FIND.first(tx, budget_is=budget) is None and _COUNT.scalar(tx) >= MOST_CHANGED:
        raise TooLarge(
            f"{MOST_CHANGED} caps are changed already",
            rule="budget/cap",
            remedy="take some back, or change the documents",
        )
    _PUT.run(
        tx,
        budget=budget,
        cap=cap,
        until=until,
        reason=reason,
        changed_by=actor,
        changed_at=tx.now,
    )
    if until is None:
        timers.cancel(tx, CAP_END, budget)
    else:
        timers.schedule(tx, CAP_END, budget, until)
    _record(tx, budget, cap, until, before=before, reason=reason, actor=actor)


def _end(tx: Transaction, budget: str, due_at: int) -> None:
    row = _FIND.first(tx, budget_is=budget)
    if row is None or row.until is None or row.until > tx.now:
        tx.silent("it was taken back or changed again meanwhile")
        return
    _REMOVE.run(tx, budget_is=budget)
    _record(tx, budget, None, None, before=row.cap, reason="its time is over", actor="plane")


def _record(
    tx: Transaction,
    budget: str,
    cap: int | None,
    until: int | None,
    *,
    before: int,
    reason: str,
    actor: str,
) -> None:
    scope, _, measure = read_budget_id(budget)
    now = "the documents'" if cap is None else written(measure, cap)
    ends = f" until {utc_text(until)}" if until is not None else ""
    tx.record(
        "budget.cap_changed",
        actor=actor,
        subject=f"budget/{budget}",
        agent=scope.removeprefix("agent/") if scope.startswith("agent/") else None,
        body={
            "budget": budget,
            "measure": measure,
            "before": before,
            "after": cap,
            "until": until,
            "reason": reason,
            "text": f"the cap of {budget} is {now} now{ends}, not {written(measure, before)}: "
            f"{reason}",
        },
    )


HANDLERS: dict[str, Handler] = {CAP_END: _end}
"""What the sweeper runs for changed caps."""
