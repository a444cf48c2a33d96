"""Alarms about runs as they stand; each change with its event."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select

from watchkeeper.health.model import Assessed
from watchkeeper.health.tables import is_alarmed, run_health
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.health import AILING, Health

RUN = "health.run"
"""The timer of a run's next look."""
MOST_ALARMS = 500
"""Alarms that are read at a time."""

_beat = insert(run_health).values(
    run=bindparam("run"),
    agent=bindparam("agent"),
    heartbeat_at=bindparam("at"),
    alarm=None,
    why=None,
    since=None,
    excused_at=0,
    excused=0,
)
_BEAT = Statement(
    _beat.on_conflict_do_update(
        index_elements=["run"], set_={"heartbeat_at": _beat.excluded.heartbeat_at}
    )
)
_LOOKED = ("alarm", "why", "since", "excused_at", "excused")
_keep = insert(run_health).values(
    run=bindparam("run"),
    agent=bindparam("agent"),
    heartbeat_at=None,
    alarm=bindparam("alarm"),
    why=bindparam("why"),
    since=bindparam("since"),
    excused_at=bindparam("excused_at"),
    excused=bindparam("excused"),
)
_KEEP = Statement(
    _keep.on_conflict_do_update(
        index_elements=["run"],
        set_={name: _keep.excluded[name] for name in _LOOKED},
    )
)
_FIND = Statement(select(run_health).where(run_health.c.run == bindparam("run_is")))
_FORGET = Statement(delete(run_health).where(run_health.c.run == bindparam("run_is")))
_ALARMED = Statement(
    select(run_health)
    .where(is_alarmed, run_health.c.run > bindparam("after"))
    .order_by(run_health.c.run)
    .limit(MOST_ALARMS)
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a run beside what it did."""

    heartbeat_at: int = 0
    alarm: Health | None = None
    why: str = ""
    since: int = 0
    excused_at: int = 0
    excused: bool = False


def find(tx: Transaction, run: str) -> Kept:
    """Return what is kept of a run."""
    row = _FIND.first(tx, run_is=run)
    return Kept() if row is None else _as_kept(row)


def find_many(tx: Transaction, runs: Iterable[str]) -> dict[str, Kept]:
    """Return what is kept of some runs, by run."""
    query = select(run_health).where(run_health.c.run.in_(list(runs)))
    return {row.run: _as_kept(row) for row in tx.connection.execute(query)}


def alarmed(tx: Transaction, after: str = "") -> list[Row]:
    """Return rows of alarmed runs in their order, a bounded number after one."""
    return _ALARMED.all(tx, after=after)


def beat(tx: Transaction, run: str, agent: str) -> None:
    """Note that a run says it lives."""
    tx.silent("a heartbeat is no news; what it changes is recorded")
    _BEAT.run(tx, run=run, agent=agent, at=tx.now)


def look_at(tx: Transaction, run: str, due_at: int) -> None:
    """Have a run looked at, at the latest then."""
    timers.schedule(tx, RUN, run, due_at)


def forget(tx: Transaction, run: str) -> None:
    """Drop what is kept of a run that has ended: with it ends its alarm."""
    tx.silent("the end of the run is on record")
    _FORGET.run(tx, run_is=run)
    timers.cancel(tx, RUN, run)


def keep(
    tx: Transaction,
    run: str,
    agent: str,
    was: Kept,
    now: Assessed,
    *,
    excused: bool,
    excused_at: int,
) -> None:
    """Keep how a run does, with the event of what has changed, and when to look again.

    `excused`: it is quiet for a reason now; `excused_at` is when it was last.
    """
    tx.silent("what is kept for the next look; an alarm is recorded")
    alarm = now.health if now.health in AILING else None
    if (alarm, excused, excused_at) != (was.alarm, was.excused, was.excused_at):
        same = alarm is not None and alarm == was.alarm
        _KEEP.run(
            tx,
            run=run,
            agent=agent,
            alarm=alarm,
            why=now.why if alarm else None,
            since=(was.since if same else now.since) if alarm else None,
            excused_at=excused_at,
            excused=int(excused),
        )
    if alarm != was.alarm:
        _record(tx, run, agent, was, now, alarm)
    if now.next_at is not None:
        look_at(tx, run, max(now.next_at, tx.now + 1))
    else:
        timers.cancel(tx, RUN, run)


def _record(
    tx: Transaction, run: str, agent: str, was: Kept, now: Assessed, alarm: Health | None
) -> None:
    if alarm is None:
        text = f"run {run} of {agent} gives signs of life again; it was {was.alarm}"
    else:
        text = f"run {run} of {agent} is {alarm}: {now.why}"
    tx.record(
        f"run.{alarm or 'back'}",
        actor="plane",
        subject=f"run/{run}",
        agent=agent,
        run=run,
        body={"was": was.alarm, "why": now.why, "since": now.since, "text": text},
    )


def _as_kept(row: Row) -> Kept:
    return Kept(
        row.heartbeat_at or 0,
        row.alarm,
        row.why or "",
        row.since or 0,
        row.excused_at,
        bool(row.excused),
    )
