"""The list of recorded decisions, paged by key, newest or dearest first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, or_, select

from watchkeeper.budgets.paying import paid_by
from watchkeeper.core import ids
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.runs.reconciling import find_words
from watchkeeper.decide.spending.dimensions import is_named
from watchkeeper.decide.tables import decisions, is_open
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.data import DataClass
from watchkeeper.wire.decisions import (
    ActionKind,
    DecisionOrder,
    DecisionRow,
    EndedAs,
    Reconciled,
    Verdict,
)
from watchkeeper.wire.spending import SpendingBy

_d = decisions.c
_LARGEST_COST = 20
"""Digits of a cost in a page's key."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions are looked for; what is None or empty is not asked."""

    named: Mapping[SpendingBy, str] = field(default_factory=dict)
    """Of one agent, run, model …; `-` is what has none."""
    name: str | None = None
    """Of the tool or model that was called."""
    kind: ActionKind | None = None
    verdict: Verdict | None = None
    outcome: EndedAs | None = None
    data: DataClass | None = None
    budget: str | None = None
    """Those that a budget paid for in its newest period."""
    cost_at_least: int | None = None
    since: int | None = None
    until: int | None = None
    order: DecisionOrder = "newest"

    @property
    def rare(self) -> bool:
        """Whether the whole table may have to be looked through."""
        short = self.named.keys() <= {"agent", "run"}
        return not short or self != Wanted(named=self.named)


ANY = Wanted()


def list_decisions(
    tx: Transaction,
    wanted: Wanted = ANY,
    *,
    agents: Collection[str] | None = None,
    after: str | None = None,
    limit: int = 64,
) -> tuple[list[DecisionRow], str | None]:
    """Return a page of decisions and the key to continue after; `agents` are all that is seen.

    Raises `Invalid` or `NotFound` for what names nothing that there could be.
    """
    query = select(decisions).where(*_conditions(tx, wanted)).limit(limit + 1)
    if agents is not None:
        query = query.where(_d.agent.in_(agents))
    if wanted.order == "dearest":
        query = query.order_by(_d.cost_micros.desc(), _d.decision.desc())
        if after:
            query = query.where(_dearer_than(after))
    else:
        query = query.order_by(_d.decision.desc())
        if after:
            query = query.where(_d.decision < after)
    rows: list[Row] = list(tx.connection.execute(query))
    page = rows[:limit]
    key = None
    if len(rows) > limit:
        last = page[-1]
        dear = wanted.order == "dearest"
        key = f"{last.cost_micros}.{last.decision}" if dear else last.decision
    words = find_words(tx, [row.decision for row in page])
    return [as_row(row, words.get(row.decision)) for row in page], key


def _conditions(tx: Transaction, wanted: Wanted) -> list[ColumnElement[bool]]:
    found = [is_named(by, name) for by, name in wanted.named.items()]
    if wanted.name:
        found.append(_d.name == wanted.name)
    if wanted.kind:
        found.append(_d.kind == wanted.kind)
    if wanted.verdict:
        found.append(_d.verdict == wanted.verdict)
    if wanted.outcome:
        found.append(is_open if wanted.outcome == "running" else _d.outcome == wanted.outcome)
    if wanted.data:
        # no class is named within another's name
        found.append(or_(_d.classes_in.contains(wanted.data), _d.classes_out.contains(wanted.data)))
    if wanted.budget:
        found.append(_d.decision.in_(paid_by(tx, wanted.budget)))
    if wanted.cost_at_least is not None:
        found.append(_d.cost_micros >= wanted.cost_at_least)
    # ids sort by time
    if wanted.since is not None:
        found.append(_d.decision >= ids.first_at("dec", wanted.since))
    if wanted.until is not None:
        found.append(_d.decision < ids.first_at("dec", wanted.until))
    return found


def _dearer_than(after: str) -> ColumnElement[bool]:
    cost, _, decision = after.partition(".")
    if not (cost.isascii() and cost.isdigit() and len(cost) < _LARGEST_COST and decision):
        raise Invalid("not a key that a page ended with", where="after")
    return or_(
        _d.cost_micros < int(cost), and_(_d.cost_micros == int(cost), _d.decision < decision)
    )


def as_row(row: Row, said: Reconciled | None = None) -> DecisionRow:
    """Return a stored decision as it is shown; `said` is a person's word on its outcome."""
    return DecisionRow(
        decision=row.decision,
        at=row.at,
        agent=row.agent,
        run=row.run,
        kind=row.kind,
        name=row.name,
        verdict=row.verdict,
        rule=row.rule,
        reason=row.reason,
        request=row.request,
        outcome=row.outcome,
        cost_micros=row.cost_micros,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        classes_in=_names(row.classes_in),
        classes_out=_names(row.classes_out),
        classes_redacted=_names(row.classes_redacted),
        model=row.model,
        provider=row.provider,
        provider_model=row.provider_model,
        route_cause=row.route_cause,
        route_reason=row.route_reason,
        cache_read_tokens=row.cache_read_tokens or 0,
        cached=bool(row.cached),
        retries=row.retries or 0,
        value_micros=row.value_micros or 0,
        took_ms=(row.settled_at - row.at) // 1000 if row.settled_at is not None else None,
        reconciled=said,
    )


def _names(listed: str | None) -> tuple[str, ...]:
    return tuple(listed.split(",")) if listed else ()
