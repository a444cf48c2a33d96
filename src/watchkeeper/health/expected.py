"""Agents of which something is expected every so often; each change with its event."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, func, select

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.durations import duration_text
from watchkeeper.health.tables import agent_health, run_health
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction

AGENT = "health.agent"
"""The timer of the time until which something is expected of an agent."""

_put = insert(agent_health).values(
    agent=bindparam("agent"),
    watched_since=bindparam("watched_since"),
    silent_at=bindparam("silent_at"),
    why=bindparam("why"),
)
_PUT = Statement(
    _put.on_conflict_do_update(
        index_elements=["agent"],
        set_={name: _put.excluded[name] for name in ("watched_since", "silent_at", "why")},
    )
)
_FIND = Statement(select(agent_health).where(agent_health.c.agent == bindparam("agent_is")))
_ALL = Statement(select(agent_health).order_by(agent_health.c.agent))
_FORGET = Statement(delete(agent_health).where(agent_health.c.agent == bindparam("agent_is")))
_HEARTBEAT = Statement(
    select(func.max(run_health.c.heartbeat_at)).where(run_health.c.agent == bindparam("agent_is"))
)


def find(tx: Transaction, agent: str) -> Row | None:
    """Return what is kept of an agent, or None if nothing was expected of it."""
    return _FIND.first(tx, agent_is=agent)


def read_all(tx: Transaction) -> dict[str, Row]:
    """Return every agent of which something was expected when it was last looked at."""
    return {row.agent: row for row in _ALL.all(tx)}


def last_heartbeat(tx: Transaction, agent: str) -> int:
    """Return when a run of an agent last said that it lives; 0: none did."""
    return int(_HEARTBEAT.scalar(tx, agent_is=agent) or 0)


def keep(
    tx: Transaction, agent: str, was: Row | None, *, seen_at: int, seconds: int, since: int
) -> bool:
    """Keep whether an agent does what is expected, with its event; tell whether it does not.

    `seen_at` is when it last did something, `seconds` how often it should, and `since` when that
    began to be expected.
    """
    tx.silent("what is kept for the next look; an alarm is recorded")
    due_at = max(seen_at, since) + seconds * MICROSECONDS
    silent = tx.now >= due_at
    was_silent = was is not None and was.silent_at is not None
    why = f"it does something at least every {duration_text(seconds * MICROSECONDS)}"
    if was is None or silent != was_silent or was.watched_since != since:
        at = (was.silent_at if was_silent and was else tx.now) if silent else None
        _PUT.run(tx, agent=agent, watched_since=since, silent_at=at, why=why if silent else None)
    if silent and not was_silent:
        text = f"{agent} is silent: {why}, says its contract, and it did not"
        _record(tx, "agent.silent", agent, text, last_seen_at=seen_at or None)
    elif was_silent and not silent:
        _record(tx, "agent.back", agent, f"{agent} does something again", last_seen_at=seen_at)
    if silent:
        timers.cancel(tx, AGENT, agent)
    else:
        timers.schedule(tx, AGENT, agent, due_at)
    return silent


def forget(tx: Transaction, agent: str) -> None:
    """Expect nothing of an agent any more; that ends its alarm."""
    tx.silent("nothing is expected any more")
    was = find(tx, agent)
    timers.cancel(tx, AGENT, agent)
    if was is None:
        return
    _FORGET.run(tx, agent_is=agent)
    if was.silent_at is not None:
        text = f"nothing is expected of {agent} any more, which was silent"
        _record(tx, "agent.back", agent, text, last_seen_at=None)


def _record(
    tx: Transaction, type_: str, agent: str, text: str, *, last_seen_at: int | None
) -> None:
    tx.record(
        type_,
        actor="plane",
        subject=f"agent/{agent}",
        agent=agent,
        body={"last_seen_at": last_seen_at, "text": text},
    )
