"""Lists of runs, paged by key, newest first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, func, or_, select

from watchkeeper.core.digest import parse
from watchkeeper.decide.records import newest_decisions
from watchkeeper.decide.runs.ailing import find_kept, health_fields
from watchkeeper.decide.tables import decisions
from watchkeeper.identity.runs import replayed_by
from watchkeeper.identity.scope import read_token_scope
from watchkeeper.identity.tables import replay_runs, runs
from watchkeeper.kill import service as locks
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.agents import BusinessObject, RunDetail, RunRow, RunState

_LAST_VERDICT = (
    select(decisions.c.verdict)
    .where(decisions.c.run == runs.c.run)
    .order_by(decisions.c.decision.desc())
    .limit(1)
    .scalar_subquery()
)
_COST = (
    select(func.sum(decisions.c.cost_micros)).where(decisions.c.run == runs.c.run).scalar_subquery()
)


@dataclass(frozen=True)
class WantedRuns:
    """Which runs a list is of; what is None does not matter."""

    agent: str | None = None
    version: int | None = None
    state: str | None = None
    """As it is shown: an open run that waits for a person is `held`."""
    on_behalf_of: str | None = None
    """Part of the name of whom it works for."""
    cost_at_least: int | None = None
    """Micro-dollars."""
    replay_of: str | None = None
    """The run that they replay; `any` has all replays."""
    text: str | None = None

    @property
    def rare(self) -> bool:
        """Whether many runs may have to be looked at to find a few."""
        return self != WantedRuns(agent=self.agent)


def list_runs(
    tx: Transaction,
    wanted: WantedRuns,
    *,
    agents: Collection[str] | None = None,
    after: str | None = None,
    limit: int = 64,
) -> tuple[list[RunRow], str | None]:
    """Return a page of runs and the key to continue after."""
    query = select(runs).where(*_conditions(wanted)).order_by(runs.c.run.desc()).limit(limit + 1)
    if agents is not None:
        query = query.where(runs.c.agent.in_(agents))
    if after:
        query = query.where(runs.c.run < after)
    rows = list(tx.connection.execute(query))
    page = rows[:limit]
    return _describe_runs(tx, page), page[-1].run if len(rows) > limit else None


def _conditions(wanted: WantedRuns) -> Iterator[ColumnElement[bool]]:
    if wanted.agent:
        yield runs.c.agent == wanted.agent
    if wanted.version is not None:
        yield runs.c.version == wanted.version
    if wanted.state in ("open", "held"):
        waits = func.coalesce(_LAST_VERDICT, "") == "hold"
        yield runs.c.state == "open"
        yield waits if wanted.state == "held" else ~waits
    elif wanted.state:
        yield runs.c.state == wanted.state
    if wanted.on_behalf_of:
        yield runs.c.on_behalf_of.icontains(wanted.on_behalf_of, autoescape=True)
    if wanted.cost_at_least is not None:
        yield func.coalesce(_COST, 0) >= wanted.cost_at_least
    if wanted.replay_of:
        of_run = replay_runs.c.of_run == wanted.replay_of
        every = wanted.replay_of == "any"
        yield exists().where(replay_runs.c.run == runs.c.run, *(() if every else (of_run,)))
    if wanted.text:
        looked_at = (runs.c.run, runs.c.agent, runs.c.goal)
        yield or_(*(column.icontains(wanted.text, autoescape=True) for column in looked_at))


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
