"""What is kept of runtimes and their runs, and how it changes: each change with its event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.children import end_run
from watchkeeper.identity.runs import find_run as find_envelope
from watchkeeper.identity.tables import runs
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes import rules
from watchkeeper.runtimes.model import RemoteRun
from watchkeeper.runtimes.tables import interrupts, remote_runs
from watchkeeper.store.retention import is_held
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.runtimes import ENDED, RunState

KEPT_SECONDS = 86_400
"""How long a run that has ended is listed; the ledger keeps what happened."""

_THIS = (remote_runs.c.runtime == bindparam("runtime_is")) & (
    remote_runs.c.id == bindparam("id_is")
)
_RUN = Statement(select(remote_runs).where(_THIS))
_ADD = Statement(remote_runs.insert())
_LIVE = Statement(
    select(remote_runs).where(
        remote_runs.c.runtime == bindparam("runtime_is"), remote_runs.c.ended_at.is_(None)
    )
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
_GOVERN = Statement(
    update(remote_runs)
    .where(_THIS)
    .values(
        agent=bindparam("to_agent"),
        run=bindparam("to_run"),
        standing=bindparam("to_standing"),
        why=bindparam("to_why"),
    )
)
_ENVELOPE = Statement(
    select(runs.c.run, runs.c.agent, runs.c.closed_at).where(runs.c.run == bindparam("run_is"))
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
_PURGE = Statement(
    delete(remote_runs).where(
        remote_runs.c.ended_at < bindparam("before"),
        ~is_held(runtime=remote_runs.c.runtime, agent=remote_runs.c.agent, run=remote_runs.c.run),
    )
)
_PURGE_INTERRUPTS = Statement(
    delete(interrupts).where(
        interrupts.c.ended_at < bindparam("before"),
        ~is_held(runtime=interrupts.c.runtime, request=interrupts.c.request),
    )
)
_LOST = Statement(
    select(remote_runs)
    .where(remote_runs.c.lost_at.is_not(None), remote_runs.c.ended_at.is_(None))
    .order_by(remote_runs.c.lost_at)
    .limit(bindparam("most"))
)


def live_runs(tx: Transaction, runtime: str) -> dict[str, Row]:
    """Return the runs of a runtime that have not ended, by id."""
    return {row.id: row for row in _LIVE.all(tx, runtime_is=runtime)}


def find_run(tx: Transaction, runtime: str, id: str) -> Row | None:
    """Return one run's row, or None."""
    return _RUN.first(tx, runtime_is=runtime, id_is=id)


def remote_of(row: Row) -> RemoteRun:
    """Return a run as its adapter takes it, from what is kept."""
    return RemoteRun(
        id=row.id,
        state=row.state,
        said=row.said,
        thread=row.thread,
        offered=row.offered,
        our_run=row.run,
        started_at=row.started_at,
        updated_at=row.updated_at,
    )


def lost_runs(tx: Transaction, limit: int = 200) -> list[Row]:
    """Return the runs that their runtimes lost, those lost longest first."""
    return _LOST.all(tx, most=limit)


def differs(tx: Transaction, document: Runtime, row: Row | None, found: RemoteRun) -> bool:
    """Tell whether anything has to be kept of a run, as its runtime tells of it."""
    found = rules.bounded(found)
    if row is None or row.missing_since is not None or row.state != found.state:
        return True
    if row.standing == "adopted":
        return False
    return _judge(tx, document, found) != (row.agent, row.run, row.why)


def take(
    tx: Transaction, document: Runtime, found: RemoteRun, live: Mapping[str, Row] | None = None
) -> None:
    """Keep a run as its runtime tells of it: new, changed, or ended.

    `live` are those of the runtime, where they are at hand.
    """
    found = rules.bounded(found)
    row = live.get(found.id) if live is not None else None
    row = row or find_run(tx, document.name, found.id)
    if row is None:
        _take_new(tx, document, found)
        return
    if row.standing != "adopted":
        _judge_again(tx, document, row, found)
    waiting_on = found.said if found.state == "waiting" else None
    settled = (row.ended_at is None) == (found.state not in ENDED)
    if row.state == found.state and row.missing_since is None and settled:
        return
    move(tx, row, found.state, said=found.said, waiting_on=waiting_on, updated_at=found.updated_at)


def _take_new(tx: Transaction, document: Runtime, found: RemoteRun) -> None:
    agent, run, why = _judge(tx, document, found)
    ended = found.state in ENDED
    _ADD.run(
        tx,
        **{
            **dict.fromkeys(column.name for column in remote_runs.c),
            "runtime": document.name,
            "id": found.id,
            "thread": found.thread,
            "offered": found.offered,
            "agent": agent,
            "run": run,
            "standing": "ours" if why is None else "rogue",
            "why": why,
            "state": found.state,
            "said": found.said,
            "waiting_on": found.said if found.state == "waiting" else None,
            "started_at": found.started_at,
            "updated_at": found.updated_at,
            "first_seen_at": tx.now,
            "ended_at": tx.now if ended else None,
        },
    )
    if why is None:
        _record_found(tx, document.name, found.id, agent, run)
    elif not ended:
        _record_rogue(tx, document, found, agent, why)


def _record_found(
    tx: Transaction, runtime: str, id: str, agent: str | None, run: str | None
) -> None:
    tx.record(
        "runtime.run_found",
        actor="plane",
        subject=f"runtime/{runtime}",
        agent=agent,
        run=run,
        body={"id": id, "text": f"it runs in runtime {runtime} as {id}"},
    )


def _record_rogue(
    tx: Transaction, document: Runtime, found: RemoteRun, agent: str | None, why: str
) -> None:
    what = f"{agent or found.offered or 'an unknown agent'} runs as {found.id} in runtime "
    tx.record(
        "runtime.rogue_found",
        actor="plane",
        subject=f"runtime/{document.name}",
        agent=agent,
        body={
            "id": found.id,
            "offered": found.offered,
            "owner": document.owner,
            "why": why,
            "text": f"{what}{document.name}, and no envelope covers it: {why}",
        },
    )


def _judge(
    tx: Transaction, document: Runtime, found: RemoteRun
) -> tuple[str | None, str | None, str | None]:
    """Return whose a run is, the run of ours that covers it, and why none does."""
    agent = rules.agent_of(document, found.offered)
    envelope = None
    if found.our_run is not None:
        row = _ENVELOPE.first(tx, run_is=found.our_run)
        envelope = rules.Envelope(row.run, row.agent, row.closed_at) if row else None
    why = rules.why_rogue(found, agent, envelope)
    return agent, envelope.run if envelope and why is None else None, why


def _judge_again(tx: Transaction, document: Runtime, row: Row, found: RemoteRun) -> None:
    """Judge a run anew: documents, or what it says of itself, may have changed."""
    agent, run, why = _judge(tx, document, found)
    standing = "ours" if why is None else "rogue"
    if (agent, run, standing, why) == (row.agent, row.run, row.standing, row.why):
        return
    _GOVERN.run(
        tx,
        runtime_is=row.runtime,
        id_is=row.id,
        to_agent=agent,
        to_run=run,
        to_standing=standing,
        to_why=why,
    )
    if standing == row.standing:
        tx.silent("it is as governed as before")
    elif why is None:
        _record_found(tx, document.name, row.id, agent, run)
    else:
        _record_rogue(tx, document, found, agent, why)


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
    """Forget runs and interrupts that ended a while ago, unless they are held."""
    tx.silent("what became of them is in the ledger")
    _PURGE.run(tx, before=tx.now - KEPT_SECONDS * MICROSECONDS)
    _PURGE_INTERRUPTS.run(tx, before=tx.now - KEPT_SECONDS * MICROSECONDS)


def covered_rows(
    tx: Transaction,
    *,
    runs_of_ours: Iterable[str],
    agents: Iterable[str],
    runtimes: Iterable[str],
    everything: bool,
) -> list[Row]:
    """Return the runs that have not ended and that belong to any of these."""
    live = select(remote_runs).where(remote_runs.c.ended_at.is_(None))
    if everything:
        return list(tx.connection.execute(live))
    found: dict[tuple[str, str], Any] = {}
    for column, names in (
        (remote_runs.c.run, list(runs_of_ours)),
        (remote_runs.c.agent, list(agents)),
        (remote_runs.c.runtime, list(runtimes)),
    ):
        for start in range(0, len(names), 500):
            part = live.where(column.in_(names[start : start + 500]))
            found |= {(row.runtime, row.id): row for row in tx.connection.execute(part)}
    return list(found.values())
