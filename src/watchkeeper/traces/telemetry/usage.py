"""What agents report of their tokens and costs, in the store."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, case, delete, func, select, update

from watchkeeper.store.retention import is_held
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.telemetry.measuring import Measured
from watchkeeper.traces.telemetry.usage_tables import is_waiting, reported_usage, usage_series

HOUR_US = 3_600_000_000
MOST_SERIES = 2_000
"""Series of one agent that are told apart; of all others nothing is kept."""
_MOST_SHOWN = 200
_LARGEST = 10**18
"""A sum that is as large grows no more: engines know no whole numbers of ten times that."""
_s, _u = usage_series.c, reported_usage.c
_SUMS = ("input_tokens", "output_tokens", "cost_micros")

_LAST = Statement(
    select(_s.at, _s.amount).where(
        _s.agent == bindparam("agent_is"), _s.series == bindparam("series_is")
    )
)
_COUNT = Statement(
    select(func.count()).select_from(usage_series).where(_s.agent == bindparam("agent_is"))
)
_last = insert(usage_series).values({one.name: bindparam(one.name) for one in usage_series.columns})
_KEEP_LAST = Statement(
    _last.on_conflict_do_update(
        index_elements=["agent", "series"],
        set_={name: _last.excluded[name] for name in ("at", "amount", "received_at")},
    )
)
_more = insert(reported_usage).values(
    {one.name: bindparam(one.name) for one in reported_usage.columns}
)
_ADD = Statement(
    _more.on_conflict_do_update(
        index_elements=["agent", "run", "metric", "hour"],
        set_={
            **{
                name: case((_u[name] < _LARGEST, _u[name] + _more.excluded[name]), else_=_u[name])
                for name in _SUMS
            },
            "since": case((_more.excluded.since < _u.since, _more.excluded.since), else_=_u.since),
            "last_at": case(
                (_more.excluded.last_at > _u.last_at, _more.excluded.last_at), else_=_u.last_at
            ),
            "received_at": _more.excluded.received_at,
            "state": _more.excluded.state,
        },
    )
)
_WAITING = Statement(
    select(reported_usage)
    .where(_u.agent == bindparam("agent_is"), is_waiting, _u.received_at <= bindparam("before"))
    .order_by(_u.received_at)
    .limit(bindparam("most"))
)
_OLDEST = Statement(
    select(func.min(_u.received_at)).where(_u.agent == bindparam("agent_is"), is_waiting)
)
_LOOKED = Statement(
    update(reported_usage)
    .where(
        _u.agent == bindparam("agent_is"),
        _u.run == bindparam("run_is"),
        _u.metric == bindparam("metric_is"),
        _u.hour == bindparam("hour_is"),
    )
    .values(
        state="looked",
        metered_tokens=bindparam("tokens_to", type_=_u.metered_tokens.type),
        metered_micros=bindparam("micros_to", type_=_u.metered_micros.type),
        told=bindparam("told_to"),
    )
)


def add(tx: Transaction, agent: str, run: str | None, point: Measured) -> bool:
    """Add what a point tells beyond the last of its series; False where it tells nothing new."""
    last = _LAST.first(tx, agent_is=agent, series_is=point.series)
    if last is None and _COUNT.scalar(tx, agent_is=agent) >= MOST_SERIES:
        return False
    if last is not None and point.at <= last.at:
        return False  # sent again
    _KEEP_LAST.run(
        tx, agent=agent, series=point.series, at=point.at, amount=point.amount,
        received_at=tx.now,
    )  # fmt: skip
    more, since = point.amount, point.start
    if last is not None and not point.delta and point.amount >= last.amount:
        more, since = point.amount - last.amount, last.at
    if not more:
        return False
    sums = dict.fromkeys(_SUMS, 0) | {point.measure: more}
    _ADD.run(
        tx, agent=agent, run=run or "", metric=point.metric,
        hour=0 if run is not None else point.at // HOUR_US, since=since, last_at=point.at,
        received_at=tx.now, **sums, metered_tokens=None, metered_micros=None, told=0,
        state="waiting",
    )  # fmt: skip
    return True


def waiting(tx: Transaction, agent: str, before: int, limit: int) -> list[Row]:
    """Return sums of an agent that changed, and last did before a time."""
    return _WAITING.all(tx, agent_is=agent, before=before, most=limit)


def oldest_waiting(tx: Transaction, agent: str) -> int | None:
    """Return when the first of an agent's sums changed that was not looked at since."""
    found: int | None = _OLDEST.scalar(tx, agent_is=agent)
    return found


def looked(tx: Transaction, row: Row, tokens: int | None, micros: int | None, told: int) -> None:
    """Write what the plane metered meanwhile."""
    _LOOKED.run(
        tx, agent_is=row.agent, run_is=row.run, metric_is=row.metric, hour_is=row.hour,
        tokens_to=tokens, micros_to=micros, told_to=told,
    )  # fmt: skip


def listed(tx: Transaction, agents: Collection[str] | None, agent: str | None) -> list[Row]:
    """Return the sums that changed last."""
    query = select(reported_usage).order_by(_u.received_at.desc(), _u.agent, _u.run, _u.metric)
    if agents is not None:
        query = query.where(_u.agent.in_(agents))
    if agent is not None:
        query = query.where(_u.agent == agent)
    return list(tx.connection.execute(query.limit(_MOST_SHOWN)))


def purge(tx: Transaction, before: int) -> None:
    """Forget what came before a time, unless held."""
    tx.silent("what was found of them stays")
    tx.connection.execute(delete(usage_series).where(_s.received_at < before))
    tx.connection.execute(
        delete(reported_usage).where(
            _u.received_at < before, ~is_waiting, ~is_held(run=_u.run, agent=_u.agent)
        )
    )
