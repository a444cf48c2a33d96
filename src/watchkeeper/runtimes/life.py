"""What runtimes say of whether a run of ours lives."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from watchkeeper.health.model import Remote
from watchkeeper.runtimes.tables import remote_runs, runtime_states
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

_OF = Statement(
    select(
        remote_runs.c.standing,
        remote_runs.c.missing_since,
        remote_runs.c.lost_at,
        runtime_states.c.listed_at,
    )
    .join(runtime_states, runtime_states.c.runtime == remote_runs.c.runtime)
    .where(remote_runs.c.run == bindparam("run_is"), remote_runs.c.ended_at.is_(None))
)


def life_of(tx: Transaction, run: str) -> Remote:
    """Return what the runtimes say where a run of ours runs.

    It is lost once all of them lost it. That it is listed is a sign of life of an adopted one,
    which gives no other; of a run that acts here only what it does counts.
    """
    rows = _OF.all(tx, run_is=run)
    lost = [row.lost_at for row in rows]
    listed = [
        row.listed_at
        for row in rows
        if row.standing == "adopted" and row.missing_since is None and row.listed_at
    ]
    return Remote(
        lost_at=max(lost) if lost and None not in lost else None, seen_at=max(listed, default=None)
    )
