"""Agents whose contracts say that they do something every so often: do they?"""

from __future__ import annotations

from sqlalchemy import bindparam, select

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.records import newest_decisions
from watchkeeper.health import expected
from watchkeeper.health.expected import AGENT
from watchkeeper.identity.tables import is_replay, runs
from watchkeeper.kill.model import Covered
from watchkeeper.kill.rules import covering
from watchkeeper.kill.service import locks_in_force
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

__all__ = ["AGENT", "agents_expected", "look"]

_OPENED = Statement(
    # ids sort by time: a look into an index, however many runs there were
    select(runs.c.opened_at)
    .where(
        runs.c.agent == bindparam("agent_is"),
        # what somebody replays is no sign that the agent does anything
        ~is_replay,
    )
    .order_by(runs.c.run.desc())
    .limit(1)
)


def agents_expected(tx: Transaction, catalogue: Catalogue) -> set[str]:
    """Return the agents of which something is or was expected: each is to be looked at."""
    named = {name for name in catalogue.agents if _seconds(catalogue, name) is not None}
    return named | expected.read_all(tx).keys()


def look(tx: Transaction, catalogue: Catalogue, agent: str) -> bool:
    """Look whether an agent did what is expected of it; tell whether it is silent."""
    seconds = _seconds(catalogue, agent)
    if seconds is None:
        expected.forget(tx, agent)
        return False
    was = expected.find(tx, agent)
    since = tx.now if was is None or _is_locked(tx, catalogue, agent) else was.watched_since
    newest = newest_decisions(tx, "agent", [agent]).get(agent)
    seen_at = max(
        newest.at if newest is not None else 0,
        int(_OPENED.scalar(tx, agent_is=agent) or 0),
        expected.last_heartbeat(tx, agent),
    )
    return expected.keep(tx, agent, was, seen_at=seen_at, seconds=seconds, since=since)


def _seconds(catalogue: Catalogue, agent: str) -> int | None:
    governed = catalogue.agents.get(agent)
    return governed.contract.health.expect_every_seconds if governed else None


def _is_locked(tx: Transaction, catalogue: Catalogue, agent: str) -> bool:
    """Tell whether a lock keeps the agent from doing anything: from then on it is expected."""
    covered = Covered("", agent, catalogue.team_of(agent), runtimes=catalogue.runtimes_of(agent))
    return covering(locks_in_force(tx), covered) is not None
