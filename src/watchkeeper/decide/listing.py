"""Lists of runs and decisions, paged by key, newest first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Select, func, or_, select

from watchkeeper.core.digest import parse
from watchkeeper.decide.records import newest_decisions
from watchkeeper.decide.tables import decisions
from watchkeeper.identity.scope import read_token_scope
from watchkeeper.identity.tables import runs
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.agents import BusinessObject, RunDetail, RunRow, RunState
from watchkeeper.wire.data import DataClass
from watchkeeper.wire.decisions import DecisionRow


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
                why=row.why or (last.reason if last and last.verdict != "permit" else None),
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


def list_decisions(
    tx: Transaction,
    *,
    agent: str | None = None,
    agents: Collection[str] | None = None,
    run: str | None = None,
    verdict: str | None = None,
    data: DataClass | None = None,
    since: int | None = None,
    after: str | None = None,
    limit: int = 64,
) -> tuple[list[DecisionRow], str | None]:
    """Return a page of decisions and the key to continue after."""
    query: Select[tuple[object, ...]] = (
        select(decisions).order_by(decisions.c.decision.desc()).limit(limit + 1)
    )
    if agent:
        query = query.where(decisions.c.agent == agent)
    if agents is not None:
        query = query.where(decisions.c.agent.in_(agents))
    if run:
        query = query.where(decisions.c.run == run)
    if verdict:
        query = query.where(decisions.c.verdict == verdict)
    if since is not None:
        query = query.where(decisions.c.at >= since)
    if data:
        # no class is named within another's name
        query = query.where(
            or_(decisions.c.classes_in.contains(data), decisions.c.classes_out.contains(data))
        )
    if after:
        query = query.where(decisions.c.decision < after)
    rows: list[Row] = list(tx.connection.execute(query))
    page = rows[:limit]
    return [as_row(row) for row in page], page[-1].decision if len(rows) > limit else None


def as_row(row: Row) -> DecisionRow:
    """Return a stored decision as it is shown."""
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
    )


def _names(listed: str | None) -> tuple[str, ...]:
    return tuple(listed.split(",")) if listed else ()
