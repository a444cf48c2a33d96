"""A run's steps as they happened, each with what was known at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select

from watchkeeper.budgets.filling import account_of
from watchkeeper.budgets.history import by, sums_of
from watchkeeper.budgets.model import Cap, budget_id
from watchkeeper.core.digest import parse, parse_object
from watchkeeper.core.errors import Invalid, NotFound
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.tables import decisions
from watchkeeper.identity.recorded import known_run
from watchkeeper.identity.runs import replayed_by
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import contents
from watchkeeper.wire.budgets import Measure
from watchkeeper.wire.erasing import ERASED_JSON
from watchkeeper.wire.replays import BudgetThen, RunSteps, StepDetail, StepRow
from watchkeeper.wire.traces import ContentRow

_d = decisions.c
_ran = _d.verdict == "permit"


def _sum(column: ColumnElement[Any]) -> ColumnElement[int]:
    """Return a sum over what ran."""
    return func.coalesce(func.sum(case((_ran, func.coalesce(column, 0)), else_=0)), 0)


_SUMS: Mapping[Measure, ColumnElement[int]] = {
    "spend": _sum(_d.cost_micros),
    "input_tokens": _sum(_d.input_tokens),
    "output_tokens": _sum(_d.output_tokens),
    "tokens": _sum(_d.input_tokens + _d.output_tokens),
    "value": _sum(_d.value_micros),
    "tool_calls": func.coalesce(
        func.sum(case((_ran & (_d.kind == "tool"), 1), else_=0)), 0
    ),
}  # fmt: skip
"""What decisions say of a run by measure; the others are not counted again."""


def list_steps(tx: Transaction, run: str, *, after: int = 0, limit: int = 100) -> RunSteps:
    """Return steps of a run, oldest first; raise `NotFound` if there is no such run."""
    agent = known_run(tx, run).agent
    rows = tx.connection.execute(steps_of(run).offset(after).limit(limit + 1)).all()
    page = rows[:limit]
    sums = _sums_before(tx, run, page[0].decision) if page else {}
    spent, tokens = sums.get("spend", 0), sums.get("tokens", 0)
    shown = []
    for place, row in enumerate(page, after + 1):
        shown.append(StepRow(**_fields(row, place, spent, tokens)))
        if row.verdict == "permit":
            spent += row.cost_micros
            tokens += row.input_tokens + row.output_tokens
    return RunSteps(
        run=run,
        agent=agent,
        replay_of=replayed_by(tx, [run]).get(run),
        rows=tuple(shown),
        next=after + limit if len(rows) > limit else None,
    )


def read_step(tx: Transaction, run: str, at: str, catalogue: Catalogue) -> StepDetail:
    """Return a step, by its number or decision, with what was known at it.

    Raises `NotFound` if there is none.
    """
    agent = known_run(tx, run).agent
    row, place = find_step(tx, run, at)
    sums = _sums_before(tx, run, row.decision)
    count = tx.connection.execute(
        select(func.count()).select_from(decisions).where(_d.run == run)
    ).scalar_one()
    shown = tuple(contents_of(tx, row))
    return StepDetail(
        **_fields(row, place, sums["spend"], sums["tokens"]),
        run=run,
        agent=agent,
        steps=count,
        replay_of=replayed_by(tx, [run]).get(run),
        model=(row.model or row.name) if row.kind == "model" and row.outcome else None,
        policies=parse_object(row.question),
        would=tuple(_would(row.would)),
        route=row.route_reason,
        contents=shown,
        budgets=tuple(_budgets(tx, row, catalogue, sums)),
        notes=tuple(_notes(row, shown)),
    )


def steps_of(run: str) -> Select[Any]:
    """Return the query of a run's steps, oldest first."""
    return select(decisions).where(_d.run == run).order_by(_d.decision)


def find_step(tx: Transaction, run: str, at: str) -> tuple[Row, int]:
    """Return a step of a run, by its number or decision, and its number; raise `NotFound`."""
    ordered = steps_of(run)
    if at.isdecimal():
        place = int(at)
        row = tx.connection.execute(ordered.offset(place - 1).limit(1)).first() if place else None
    else:
        row = tx.connection.execute(ordered.where(_d.decision == at)).first()
        earlier = select(func.count()).select_from(decisions)
        place = (
            1 + tx.connection.execute(earlier.where(_d.run == run, _d.decision < at)).scalar_one()
        )
    if row is None:
        raise NotFound(
            f"run {run} has no step {at!r:.80}",
            remedy=f"see `watchkeeper replay step {run}`",
        )
    return row, place


def shown(tx: Transaction, key: str) -> list[ContentRow]:
    """Return what is kept of what was said under a key, as it is shown."""
    return [
        ContentRow(
            part=one.part,
            kind=one.kind,
            text=one.text,
            digest=one.digest,
            size=one.size,
            at=one.at,
            left_out=one.left_out,
        )
        for one in contents.read(tx, key)
    ]


def contents_of(tx: Transaction, row: Row) -> list[ContentRow]:
    """Return what is kept of what went into an action and came out of it."""
    rows = shown(tx, row.decision)
    if all(one.part != "input" for one in rows):
        # what a tool is called with is on record with the decision
        given = ContentRow(
            part="input",
            kind="json",
            text=row.arguments,
            digest=row.call_digest or "",
            size=len(row.arguments.encode()),
            at=row.at,
        )
        rows.insert(0, given)
    return rows


def _sums_before(tx: Transaction, run: str, decision: str) -> dict[Measure, int]:
    columns = [column.label(measure) for measure, column in _SUMS.items()]
    query = select(*columns).where(_d.run == run, _d.decision < decision)
    row = tx.connection.execute(query).one()
    return {measure: int(getattr(row, measure)) for measure in _SUMS}


def _fields(row: Row, place: int, spent: int, tokens: int) -> dict[str, Any]:
    settled = row.settled_at
    return {
        "step": place,
        "decision": row.decision,
        "at": row.at,
        "kind": row.kind,
        "name": row.name,
        "verdict": row.verdict,
        "rule": row.rule,
        "reason": row.reason,
        "request": row.request,
        "outcome": row.outcome,
        "took_ms": None if settled is None else (settled - row.at) // 1000,
        "error": row.error,
        "cost_micros": row.cost_micros,
        "tokens": row.input_tokens + row.output_tokens,
        "spent_before": spent,
        "tokens_before": tokens,
        "version": row.version,
    }


def _budgets(
    tx: Transaction, row: Row, catalogue: Catalogue, sums: Mapping[Measure, int]
) -> Iterator[BudgetThen]:
    """Yield how full the budgets over a step were, of those of which that is known."""
    facts = known_run(tx, row.run)
    model = row.name if row.kind == "model" else None
    caps = catalogue.caps.over(facts, model).caps
    placed = {cap: account_of(cap, run=row.run, now=row.at) for cap in caps}
    copied = sums_of(tx, placed.values())
    for cap, account in placed.items():
        if cap.period == "run" and cap.measure in sums:
            yield _then(cap, account.scope, sums[cap.measure], None)
        known = [one for one in copied.get(account, ()) if one[0] <= row.at]
        if known:
            yield _then(cap, account.scope, by(known, cap.measure, row.at), known[-1][0])


def _then(cap: Cap, scope: str, used: int, counted_at: int | None) -> BudgetThen:
    return BudgetThen(
        budget=budget_id(scope, cap.period, cap.measure),
        measure=cap.measure,
        period=cap.period,
        used=used,
        cap=max(0, cap.cap),
        counted_at=counted_at,
    )


def _notes(row: Row, shown: tuple[ContentRow, ...]) -> Iterator[str]:
    if row.arguments == ERASED_JSON:
        yield "its arguments were erased"
    for one in shown:
        if one.text is None:
            yield f"its {one.part} was not kept: {one.left_out or 'nobody wrote down why'}"
    if row.verdict == "permit" and all(one.part != "output" for one in shown):
        yield "what came out of it is not kept: it did not pass a gateway, its contract keeps " \
            "nothing, or it was too long ago"  # fmt: skip


def _would(text: str | None) -> Iterator[str]:
    try:
        found = parse(text) if text else []
    except Invalid:
        return
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict):
            yield (
                f"policy {one.get('policy')} of set {one.get('set')} ({one.get('stage')}) would "
                f"have said {one.get('verdict')}: {one.get('message')}"
            )
