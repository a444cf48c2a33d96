"""Figures of a run, as its recorded decisions show them: what routing looks at."""

from __future__ import annotations

from sqlalchemy import bindparam, case, func, select

from watchkeeper.decide.model import RISKS
from watchkeeper.decide.tables import (
    decisions,
    has_risk,
    has_value,
)
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Risk

_LAST_MODEL = Statement(
    select(decisions.c.name, decisions.c.model)
    .where(
        decisions.c.run == bindparam("run_is"),
        decisions.c.kind == "model",
        decisions.c.outcome == "succeeded",
    )
    .order_by(decisions.c.decision.desc())
    .limit(1)
)
_MOST_LOOKED_AT = 500
"""Decisions of a run that its error rate is counted over, the newest."""
_newest = (
    select(decisions.c.kind, decisions.c.outcome)
    .where(decisions.c.run == bindparam("run_is"))
    .order_by(decisions.c.decision.desc())
    .limit(_MOST_LOOKED_AT)
    .subquery()
)
_TOOL_ERRORS = Statement(
    select(
        func.count(case((_newest.c.outcome != "succeeded", 1))).label("failed"),
        func.count().label("settled"),
    ).where(_newest.c.kind == "tool", _newest.c.outcome.is_not(None))
)
_LARGEST = Statement(
    select(func.max(decisions.c.value_micros)).where(
        decisions.c.run == bindparam("run_is"), has_value
    )
)
_RISKIEST = Statement(
    select(func.max(decisions.c.risk)).where(decisions.c.run == bindparam("run_is"), has_risk)
)


def last_model(tx: Transaction, run: str) -> str | None:
    """Return the model that a run last had an answer from."""
    row = _LAST_MODEL.first(tx, run_is=run)
    return (row.model or row.name) if row else None


def tool_errors(tx: Transaction, run: str) -> tuple[int, int]:
    """Return how many of a run's newest settled tool calls failed, and of how many."""
    row = _TOOL_ERRORS.first(tx, run_is=run)
    return (row.failed, row.settled) if row is not None else (0, 0)


def largest_amount(tx: Transaction, run: str) -> int:
    """Return the largest amount that a run has asked to move, in micro-dollars."""
    return int(_LARGEST.scalar(tx, run_is=run) or 0)


def highest_risk(tx: Transaction, run: str) -> Risk | None:
    """Return the highest risk that a run has asked to take; None: no tool was asked for."""
    found = _RISKIEST.scalar(tx, run_is=run)
    return None if found is None else RISKS[found]
