"""Outcomes that nobody knows, as tasks for people: listed, and settled by a person's word.

The first word counts, be it a person's or a late report of the agent; who comes second is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Table,
    Text,
    bindparam,
    func,
    literal_column,
    select,
    union,
    update,
)

from watchkeeper.budgets.reconciling import reconcile as reconcile_hold
from watchkeeper.core.errors import Conflict
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.contents import kept_words
from watchkeeper.decide.model import RISKS
from watchkeeper.decide.records import find_decision
from watchkeeper.decide.tables import decisions
from watchkeeper.store.metadata import Key, Whole, metadata
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.data import RedactionLevel
from watchkeeper.wire.decisions import Reconciled, Risk
from watchkeeper.wire.health import UnsettledRow

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("decision", Key, primary_key=True),
    Column("status", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Whole, nullable=False),
    Column("reason", Text, nullable=False),
    # the error of the unknown outcome, which was on record before
    Column("was", Text),
)
"""People's words on outcomes that nobody knew; each stands."""

is_unknown = decisions.c.outcome == literal_column("'unknown'")
Index(
    "decisions_unknown",
    decisions.c.decision,
    sqlite_where=is_unknown,
    postgresql_where=is_unknown,
)
changes_something = decisions.c.kind != literal_column("'model'")
"""Model calls change nothing, and nobody settles them.

Put so that no engine looks for it through an index over all tool calls there ever were.
"""
_UNSURE: Risk = "medium"
"""The risk of a call that was made before risks were kept with decisions."""

_FIND = Statement(
    select(reconciliations).where(reconciliations.c.decision == bindparam("decision_is"))
)
_ADD = Statement(reconciliations.insert())
_SETTLE = Statement(
    update(decisions)
    .where(decisions.c.decision == bindparam("decision_is"), is_unknown)
    .values(outcome=bindparam("status"), error=bindparam("problem"))
)
_COUNT = Statement(
    select(func.count())
    .select_from(decisions)
    .where(is_unknown, decisions.c.kind == bindparam("kind_is"))
)
_other = decisions.alias()
_waits = _other.c.outcome == literal_column("'unknown'")


def reconcile(
    tx: Transaction,
    decision: str,
    status: Literal["succeeded", "failed"],
    *,
    reason: str,
    by: str,
    level: RedactionLevel,
) -> None:
    """Settle an unknown outcome by a person's word; the same word again changes nothing.

    Raises `NotFound`; `Conflict` where nothing ran, it may be running yet, or it is known how it
    ended: by the agent's report, or by another person's word.
    """
    row = find_decision(tx, decision)
    said = find_word(tx, decision)
    if said is not None and said.status == status:
        tx.silent("it was settled so before, and that is on record")
        return
    check_unknown(row, said)
    reason = kept_words(reason, level) or ""
    problem = None if status == "succeeded" else f"{_name(by)} says: {reason}"[:2000]
    if not _SETTLE.run(tx, decision_is=decision, status=status, problem=problem):
        raise _known(row.outcome)
    _ADD.run(tx, decision=decision, status=status, by=by, at=tx.now, reason=reason, was=row.error)
    reconcile_hold(tx, decision, status)
    tx.record(
        "outcome.reconciled",
        actor=by,
        subject=f"decision/{decision}",
        agent=row.agent,
        run=row.run,
        request=row.request,
        body={
            "decision": decision,
            "kind": row.kind,
            "name": row.name,
            "version": row.version,
            "status": status,
            "was": "unknown",
            "error": row.error,
            "reason": reason,
            "text": f"{_name(by)} settled {row.name} as {status}, of which nobody knew how it "
            f"ended: {reason}"[:1000],
        },
    )


def check_unknown(row: Row, said: Reconciled | None) -> None:
    """Raise `Conflict` unless a decision's outcome waits for a person's word."""
    if said is not None:
        raise Conflict(
            f"{_name(said.by)} has settled it as {said.status}: {said.reason}",
            code="reconciled",
            remedy="that stands; what is to be done about it is a new action",
        )
    if row.verdict != "permit":
        raise Conflict(
            f"decision {row.decision} was not a permit: nothing ran under it", code="nothing_ran"
        )
    if row.outcome is None:
        raise Conflict(
            "it may be running yet: its time is not over",
            code="still_running",
            remedy="wait, or stop its run with `watchkeeper kill`",
        )
    if row.outcome != "unknown":
        raise _known(row.outcome)


def tell_reconciled(tx: Transaction, decision: str) -> None:
    """Raise `Conflict` where a person has said how an action ended that is reported now."""
    said = find_word(tx, decision)
    if said is not None:
        raise Conflict(
            f"a person has settled it as {said.status} meanwhile",
            code="reconciled",
            remedy="that stands; report nothing more of it",
        )


def find_word(tx: Transaction, decision: str) -> Reconciled | None:
    """Return a person's word on a decision's outcome, or None."""
    row = _FIND.first(tx, decision_is=decision)
    return None if row is None else _as_word(row)


def find_words(tx: Transaction, names: Iterable[str]) -> Mapping[str, Reconciled]:
    """Return people's words on the outcomes of some decisions, by decision."""
    query = select(reconciliations).where(reconciliations.c.decision.in_(list(names)))
    return {row.decision: _as_word(row) for row in tx.connection.execute(query)}


def list_unsettled(
    tx: Transaction,
    catalogue: Catalogue,
    *,
    state: str = "unknown",
    agent: str | None = None,
    agents: Collection[str] | None = None,
    risky: bool = False,
    after: str | None = None,
    limit: int = 100,
) -> tuple[list[UnsettledRow], str | None, int, int]:
    """Return a page of tool calls, oldest first, the key to continue after, how many match, and
    of how many model calls nobody knows the end; `agents` are all that is seen, and of the
    `risky` none is of low risk.
    """
    conditions = [changes_something, *_of_state(state)]
    if agent is not None:
        conditions.append(decisions.c.agent == agent)
    if agents is not None:
        conditions.append(decisions.c.agent.in_(agents))
    if risky:
        conditions.append(decisions.c.risk.is_(None) | (decisions.c.risk > 0))
    total = tx.connection.execute(select(func.count()).select_from(decisions).where(*conditions))
    query = select(decisions).where(*conditions).order_by(decisions.c.decision).limit(limit + 1)
    if after:
        query = query.where(decisions.c.decision > after)
    rows = list(tx.connection.execute(query))
    page = rows[:limit]
    words = find_words(tx, [row.decision for row in page])
    models = 0 if agent or agents is not None else int(_COUNT.scalar(tx, kind_is="model"))
    return (
        [_as_row(catalogue, row, words.get(row.decision)) for row in page],
        page[-1].decision if len(rows) > limit else None,
        int(total.scalar_one()),
        models,
    )


def read_unsettled(tx: Transaction, catalogue: Catalogue, decision: str) -> UnsettledRow | None:
    """Return a decision whose outcome nobody knows or a person settled; None for another."""
    row, said = find_decision(tx, decision), find_word(tx, decision)
    if row.outcome != "unknown" and said is None:
        return None
    return _as_row(catalogue, row, said)


def _of_state(state: str) -> list[ColumnElement[bool]]:
    if state == "unknown":
        return [is_unknown]
    settled = select(reconciliations.c.decision)
    if state == "reconciled":
        return [decisions.c.decision.in_(settled)]
    return [decisions.c.decision.in_(union(settled, select(_other.c.decision).where(_waits)))]


def _as_row(catalogue: Catalogue, row: Row, said: Reconciled | None) -> UnsettledRow:
    return UnsettledRow(
        decision=row.decision,
        agent=row.agent,
        owner=catalogue.team_of(row.agent) or row.team or "",
        run=row.run,
        kind=row.kind,
        name=row.name,
        risk=_risk(row),
        object=row.object,
        value_micros=row.value_micros or 0,
        performer=row.performer or "agent",
        request=row.request,
        at=row.at,
        since=row.settled_at or row.at,
        why=(said.was if said else row.error) or "it was reported so",
        outcome=row.outcome,
        reconciled=said,
    )


def _risk(row: Row) -> Risk:
    if row.kind == "model":
        return "low"
    return _UNSURE if row.risk is None else RISKS[row.risk]


def _as_word(row: Row) -> Reconciled:
    return Reconciled(status=row.status, by=row.by, at=row.at, reason=row.reason, was=row.was or "")


def _known(outcome: str) -> Conflict:
    return Conflict(
        f"it is known how it ended: it {outcome}",
        code="outcome_known",
        remedy="look at it with `watchkeeper decisions`",
    )


def _name(person: str) -> str:
    return person.removeprefix("person/")
