"""How a run that is kept changes: it moves, is missed, is adopted, and is forgotten."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, func, select, update

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.runs.children import end_run
from watchkeeper.identity.runs import find_run as find_envelope
from watchkeeper.runtimes import rules
from watchkeeper.runtimes.tables import interrupts, remote_runs
from watchkeeper.store.retention import is_held
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.runtimes import ENDED, RunState

KEPT_SECONDS = 86_400
"""How long a run that has ended, or was lost, is listed; the ledger keeps what happened."""

MOST_KEPT = 5_000
"""Runs of one runtime that are kept at once, those that are over among them."""

_THIS = (remote_runs.c.runtime == bindparam("runtime_is")) & (
    remote_runs.c.id == bindparam("id_is")
)
_MOVE = Statement(
    update(remote_runs)
    .where(_THIS)
    .values(
        state=bindparam("to_state"),
        said=bindparam("to_said"),
        waiting_on=bindparam("to_waiting"),
        updated_at=bindparam("to_updated"),
        missing_since=bindparam("to_missing"),
        lost_at=bindparam("to_lost"),
        ended_at=bindparam("to_ended"),
    )
)
_OTHERS = Statement(
    select(func.count()).where(
        remote_runs.c.run == bindparam("run_is"), remote_runs.c.ended_at.is_(None)
    )
)
_ADOPTED = Statement(
    select(func.count()).where(
        remote_runs.c.run == bindparam("run_is"), remote_runs.c.standing == "adopted"
    )
)
_over = func.coalesce(remote_runs.c.ended_at, remote_runs.c.lost_at)
_PURGE = Statement(
    delete(remote_runs).where(
        (remote_runs.c.ended_at < bindparam("before"))
        | (remote_runs.c.ended_at.is_(None) & (remote_runs.c.lost_at < bindparam("before"))),
        ~is_held(runtime=remote_runs.c.runtime, agent=remote_runs.c.agent, run=remote_runs.c.run),
    )
)
_PURGE_INTERRUPTS = Statement(
    delete(interrupts).where(
        interrupts.c.ended_at < bindparam("before"),
        ~is_held(runtime=interrupts.c.runtime, request=interrupts.c.request),
    )
)
_COUNT = Statement(select(func.count()).where(remote_runs.c.runtime == bindparam("runtime_is")))
_FORGET = Statement(
    delete(remote_runs).where(
        remote_runs.c.runtime == bindparam("runtime_is"),
        remote_runs.c.id.in_(
            select(remote_runs.c.id)
            .where(
                remote_runs.c.runtime == bindparam("runtime_is"),
                _over.is_not(None),
                ~is_held(
                    runtime=remote_runs.c.runtime, agent=remote_runs.c.agent, run=remote_runs.c.run
                ),
            )
            .order_by(_over, remote_runs.c.id)
            .limit(bindparam("most"))
        ),
    )
)


def move(
    tx: Transaction,
    row: Row,
    state: RunState,
    *,
    said: str = "",
    waiting_on: str | None = None,
    updated_at: int | None = None,
    goes_on: bool = False,
) -> None:
    """Keep the state that a run is in now; that one ended is an event.

    `goes_on`: another run of its runtime goes on with its work.
    """
    ended = state in ENDED
    _MOVE.run(
        tx,
        runtime_is=row.runtime,
        id_is=row.id,
        to_state=state,
        to_said=said,
        to_waiting=waiting_on,
        to_updated=updated_at if updated_at is not None else row.updated_at,
        to_missing=None,
        to_lost=None,
        to_ended=tx.now if ended else None,
    )
    if ended and row.ended_at is None:
        tx.record(
            "runtime.run_ended",
            actor="plane",
            subject=f"runtime/{row.runtime}",
            agent=row.agent,
            run=row.run,
            body={
                "id": row.id,
                "state": state,
                "text": f"{row.id} in runtime {row.runtime} has ended: {state}",
            },
        )
        if not goes_on:
            _close(tx, row, state)
    else:
        tx.silent("a run moves between states that are its runtime's to tell")


def _close(tx: Transaction, row: Row, state: RunState) -> None:
    """Close the run of ours that was opened for an adopted one, unless it covers others still."""
    if row.run is None or _OTHERS.scalar(tx, run_is=row.run):
        return
    if not _ADOPTED.scalar(tx, run_is=row.run):
        return  # the agent that opened it closes it
    found = find_envelope(tx, row.run)
    if found is not None and found.closed_at is None:
        outcome = "succeeded" if state == "done" else "failed"
        end_run(tx, row.agent, row.run, outcome, f"ended in runtime {row.runtime}: {state}")


def miss(tx: Transaction, row: Row) -> None:
    """Keep that a runtime does not know a run any more: unknown first, lost after a while."""
    since = row.missing_since if row.missing_since is not None else tx.now
    lost = row.lost_at is None and rules.is_lost(since, tx.now)
    _MOVE.run(
        tx,
        runtime_is=row.runtime,
        id_is=row.id,
        to_state="unknown",
        to_said=row.said,
        to_waiting=None,
        to_updated=row.updated_at,
        to_missing=since,
        to_lost=tx.now if lost else row.lost_at,
        to_ended=None,
    )
    if not lost:
        tx.silent("it may be told of again")
        return
    tx.record(
        "runtime.run_lost",
        actor="plane",
        subject=f"runtime/{row.runtime}",
        agent=row.agent,
        run=row.run,
        body={
            "id": row.id,
            "text": f"runtime {row.runtime} lost {row.id}: it does not know it any more, nor how "
            "it ended",
        },
    )


def adopt(tx: Transaction, row: Row, *, agent: str, run: str, by: str, reason: str) -> None:
    """Keep who took a rogue run over, why, and the run of ours that covers it from now on."""
    tx.connection.execute(
        update(remote_runs)
        .where(remote_runs.c.runtime == row.runtime, remote_runs.c.id == row.id)
        .values(
            agent=agent,
            run=run,
            standing="adopted",
            why=None,
            adopted_by=by,
            adopted_at=tx.now,
            reason=reason,
        )
    )
    tx.record(
        "runtime.run_adopted",
        actor=by,
        subject=f"runtime/{row.runtime}",
        agent=agent,
        run=run,
        body={
            "id": row.id,
            "reason": reason,
            "text": f"{by.removeprefix('person/')} adopted {row.id} in runtime {row.runtime} as a "
            f"run of {agent}: {reason}",
        },
    )


def purge(tx: Transaction) -> None:
    """Forget runs that ended or were lost a while ago, and interrupts, unless they are held."""
    tx.silent("what became of them is in the ledger")
    _PURGE.run(tx, before=tx.now - KEPT_SECONDS * MICROSECONDS)
    _PURGE_INTERRUPTS.run(tx, before=tx.now - KEPT_SECONDS * MICROSECONDS)


def make_room(tx: Transaction, runtime: str) -> bool:
    """Return whether one more run of a runtime may be kept; what is over for longest makes way."""
    kept = _COUNT.scalar(tx, runtime_is=runtime)
    if kept < MOST_KEPT:
        return True
    tx.silent("what became of them is in the ledger")
    _FORGET.run(tx, runtime_is=runtime, most=kept - MOST_KEPT + 1)
    return bool(_COUNT.scalar(tx, runtime_is=runtime) < MOST_KEPT)
