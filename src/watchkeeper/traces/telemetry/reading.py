"""What is kept of telemetry, for people."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, func, select

from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.telemetry.tables import (
    is_waiting,
    reported_calls,
    telemetry_findings,
    telemetry_senders,
)

MOST_SENDERS = 500
Agents = Collection[str] | None
"""The agents that are seen; None: every one."""


def senders(tx: Transaction, agents: Agents) -> list[Row]:
    """Return what agents have sent, the latest first."""
    s = telemetry_senders.c
    query = select(telemetry_senders).order_by(s.last_at.desc(), s.agent).limit(MOST_SENDERS)
    if agents is not None:
        query = query.where(s.agent.in_(agents))
    return list(tx.connection.execute(query))


def count_waiting(tx: Transaction) -> int:
    """Return how many reported calls are still to be looked for."""
    waits = select(func.count()).select_from(reported_calls).where(is_waiting)
    return int(tx.connection.execute(waits).scalar_one())


def findings(
    tx: Transaction,
    *,
    agents: Agents = None,
    agent: str | None = None,
    dismissed: bool = False,
    after: str | None = None,
    limit: int = 100,
) -> tuple[list[Row], str | None]:
    """Return a page of findings, newest first, and the id to continue after."""
    query = select(telemetry_findings).where(*_wanted(agents, agent, dismissed))
    f = telemetry_findings.c
    if after is not None:
        query = query.where(f.finding < after)
    rows = list(tx.connection.execute(query.order_by(f.finding.desc()).limit(limit + 1)))
    return rows[:limit], rows[limit - 1].finding if len(rows) > limit else None


def count_open(tx: Transaction, agents: Agents) -> int:
    """Return how many findings nobody has seen to."""
    query = select(func.count()).where(*_wanted(agents, None, False))
    return int(tx.connection.execute(query).scalar_one())


def _wanted(agents: Agents, agent: str | None, dismissed: bool) -> list[ColumnElement[bool]]:
    f = telemetry_findings.c
    at = f.dismissed_at
    wanted: list[ColumnElement[bool]] = [at.is_not(None) if dismissed else at.is_(None)]
    if agents is not None:
        wanted.append(f.agent.in_(agents))
    if agent is not None:
        wanted.append(f.agent == agent)
    return wanted
