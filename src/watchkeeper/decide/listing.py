"""Lists of runs, paged by key, newest first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import func, or_, select

from watchkeeper.core.digest import parse
from watchkeeper.decide.records import newest_decisions
from watchkeeper.decide.runs.ailing import find_kept, health_fields
from watchkeeper.decide.tables import decisions
from watchkeeper.identity.runs import replayed_by
from watchkeeper.identity.scope import read_token_scope
from watchkeeper.identity.tables import runs
from watchkeeper.kill import service as locks
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.agents import BusinessObject, RunDetail, RunRow, RunState


def list_runs(
    tx: Transaction,
    *,
    agent: str | None = None,
    agents: Collection[str] | None = None,
    state: str | None = None,
    filter_text: str = "",
    after: str | None = None,
    limit: int = 64,
) -> tuple[list[RunRow], str | None]:
    """Return a page of runs and the key to continue after."""
    query = select(runs).order_by(runs.c.run.desc()).limit(limit + 1)
    if agent:
        query = query.where(runs.c.agent == agent)
    if agents is not None:
        query = query.where(runs.c.agent.in_(agents))
    if state:
        query = query.where(runs.c.state == state)
    if filter_text:
        looked_at = (runs.c.run, runs.c.agent, runs.c.goal)
        query = query.where(or_(*(c.icontains(filter_text, autoescape=True) for c in looked_at)))
    if after:
        query = query.where(runs.c.run < after)
    rows = list(tx.connection.execute(query))
    page = rows[:limit]
    return _describe_runs(tx, page), page[-1].run if len(rows) > limit else None


def read_run(tx: Transaction, run: str) -> RunDetail | None:
    """Return a run, or None."""
    row = tx.connection.execute(select(runs).where(runs.c.run == run)).first()
    if row is None:
        return None
    shown = _describe_runs(tx, [row])[0]
    return RunDetail(
        **shown.model_dump(),
        summary=row.summary,
        environment=row.environment,
        scope=read_token_scope(row.scope).scope_text,
        lent=None if row.grants is None else parse(row.grants),
    )


def _describe_runs(tx: Transaction, page: Sequence[Row]) -> list[RunRow]:
    names = [row.run for row in page]
    sums = _sum_decisions(tx, names)
    latest = newest_decisions(tx, "run", names)
    replayed = replayed_by(tx, names)
    kept = find_kept(tx, page)
    stopped_by = locks.words_of(tx, {row.why for row in page if row.state == "stopped" and row.why})
    shown = []
    for row in page:
        total = sums.get(row.run)
        last = latest.get(row.run)
        state: RunState = row.state
        if row.state == "open" and last is not None and last.verdict == "hold":
            state = "held"
        shown.append(
            RunRow(
                run=row.run,
                agent=row.agent,
                version=row.version,
                state=state,
                goal=row.goal,
                on_behalf_of=row.on_behalf_of,
                on_behalf_of_proof=row.on_behalf_of_proof,
                parent=row.parent,
                replay_of=replayed.get(row.run),
                business_object=BusinessObject(kind=row.object_kind, id=row.object_id)
                if row.object_kind and row.object_id
                else None,
                opened_at=row.opened_at,
                closed_at=row.closed_at,
                last_action_at=last.at if last else None,
                last_action=f"{last.name} {_ended(last)}" if last else None,
                calls=total.calls if total else 0,
                denied=total.denied if total else 0,
                spend_micros=int(total.spend) if total else 0,
                tokens=int(total.tokens) if total else 0,
                why=stopped_by.get(row.why, row.why)
                or (last.reason if last and last.verdict != "permit" else None),
                **health_fields(tx.now, row, kept.get(row.run), last),
            )
        )
    return shown


def _ended(last: Row) -> str:
    if last.verdict == "permit":
        return str(last.outcome or "running")
    return "held" if last.verdict == "hold" else "denied"


def _sum_decisions(tx: Transaction, names: Sequence[str]) -> dict[str, Row]:
    query = (
        select(
            decisions.c.run,
            func.count().label("calls"),
            func.count().filter(decisions.c.verdict == "deny").label("denied"),
            func.sum(decisions.c.cost_micros).label("spend"),
            func.sum(decisions.c.input_tokens + decisions.c.output_tokens).label("tokens"),
        )
        .where(decisions.c.run.in_(names))
        .group_by(decisions.c.run)
    )
    return {row.run: row for row in tx.connection.execute(query)}
