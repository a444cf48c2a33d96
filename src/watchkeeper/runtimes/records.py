"""What is kept of the runs that runtimes tell of, and whose each is: each change with its event."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import bindparam, select, update

from watchkeeper.identity.tables import runs
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes import rules
from watchkeeper.runtimes.changes import make_room, move
from watchkeeper.runtimes.model import RemoteRun
from watchkeeper.runtimes.tables import remote_runs
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.runtimes import ENDED

Taken = Literal["kept", "rogue", "left out"]
"""What became of a run that a runtime told of; `rogue`: it was found to be only now."""

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


def differs(tx: Transaction, document: Runtime, row: Row | None, found: RemoteRun) -> bool:
    """Tell whether anything has to be kept of a run, as its runtime tells of it."""
    found = rules.bounded(found)
    if row is None or row.missing_since is not None or row.state != found.state:
        return True
    if row.standing == "adopted":
        return False
    return _judge(tx, document, found, row.first_seen_at) != (row.agent, row.run, row.why)


def take(tx: Transaction, document: Runtime, found: RemoteRun) -> Taken:
    """Keep a run as its runtime tells of it: new, changed, or ended."""
    found = rules.bounded(found)
    row = find_run(tx, document.name, found.id)
    if row is None:
        return _take_new(tx, document, found)
    taken: Taken = "kept" if row.standing == "adopted" else _judge_again(tx, document, row, found)
    waiting_on = found.said if found.state == "waiting" else None
    settled = (row.ended_at is None) == (found.state not in ENDED)
    if row.state == found.state and row.missing_since is None and settled:
        return taken
    move(tx, row, found.state, said=found.said, waiting_on=waiting_on, updated_at=found.updated_at)
    return taken


def _take_new(tx: Transaction, document: Runtime, found: RemoteRun) -> Taken:
    if not make_room(tx, document.name):
        tx.silent("as many are kept of its runtime as may be")
        return "left out"
    agent, run, why = _judge(tx, document, found, tx.now)
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
        return "rogue"
    return "kept"


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
            "text": f"{what}{document.name} and is rogue: {why}",
        },
    )


def _judge(
    tx: Transaction, document: Runtime, found: RemoteRun, first_seen_at: int
) -> tuple[str | None, str | None, str | None]:
    """Return whose a run is, the run of ours that covers it, and why none does."""
    agent = rules.agent_of(document, found.offered)
    envelope = None
    if found.our_run is not None:
        row = _ENVELOPE.first(tx, run_is=found.our_run)
        envelope = rules.Envelope(row.run, row.agent, row.closed_at) if row else None
    why = rules.why_rogue(found, agent, envelope, first_seen_at=first_seen_at)
    return agent, envelope.run if envelope and why is None else None, why


def _judge_again(tx: Transaction, document: Runtime, row: Row, found: RemoteRun) -> Taken:
    """Judge a run anew: documents, or what it says of itself, may have changed."""
    agent, run, why = _judge(tx, document, found, row.first_seen_at)
    standing = "ours" if why is None else "rogue"
    if (agent, run, standing, why) == (row.agent, row.run, row.standing, row.why):
        return "kept"
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
        return "rogue"
    return "kept"
