"""Runs that are silent, lost or stuck, as people are shown them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.runs.life import PRESUMED
from watchkeeper.health.model import WORKING_SECONDS
from watchkeeper.health.service import Kept, find_many
from watchkeeper.health.tables import agent_health, is_alarmed, run_health
from watchkeeper.identity.tables import runs
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.health import Health

MOST = 2000
"""Runs that ail which are shown at a time, the oldest."""


@dataclass(frozen=True, slots=True)
class Ailing:
    """An open run that somebody should look at."""

    run: str
    agent: str
    health: Health
    why: str
    since: int


def find_ailing(tx: Transaction, agents: Collection[str]) -> Mapping[str, Sequence[Ailing]]:
    """Return the open runs of some agents that ail, by agent, the oldest first."""
    query = (
        select(run_health)
        .join(runs, runs.c.run == run_health.c.run)
        .where(is_alarmed, run_health.c.agent.in_(list(agents)), runs.c.state == "open")
        .order_by(run_health.c.run)
        .limit(MOST)
    )
    found: dict[str, list[Ailing]] = {}
    for row in tx.connection.execute(query):
        one = Ailing(row.run, row.agent, row.alarm, row.why or "", row.since or 0)
        found.setdefault(row.agent, []).append(one)
    return found


def find_overdue(tx: Transaction, agents: Collection[str]) -> Mapping[str, str]:
    """Return, by agent, what was expected of those of some agents that do nothing."""
    query = select(agent_health.c.agent, agent_health.c.why).where(
        agent_health.c.silent_at.is_not(None), agent_health.c.agent.in_(list(agents))
    )
    return {row.agent: row.why or "" for row in tx.connection.execute(query)}


def find_kept(tx: Transaction, page: Sequence[Row]) -> Mapping[str, Kept]:
    """Return what is kept of the open ones among some runs, by run."""
    return find_many(tx, [row.run for row in page if row.state == "open"])


def health_fields(now: int, run: Row, kept: Kept | None, last: Row | None) -> dict[str, object]:
    """Return how a run does as its row shows it; of one that has ended only its last sign.

    `last` is its newest decision.
    """
    kept = kept or Kept()
    signs = [run.opened_at, kept.heartbeat_at]
    if last is not None:
        signs += [last.at, (last.settled_at or 0) if last.error not in PRESUMED else 0]
    seen_at = max(signs)
    if run.state != "open":
        return {"seen_at": seen_at}
    health: Health | None = kept.alarm
    if health is None:
        runs_now = last is not None and last.verdict == "permit" and last.settled_at is None
        lately = now - seen_at < WORKING_SECONDS * MICROSECONDS
        health = "working" if lately or runs_now else "quiet"
    return {"seen_at": seen_at, "health": health, "health_why": kept.why or None}
