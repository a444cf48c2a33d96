"""Runtimes and their runs as people are shown them, with how old that is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from sqlalchemy import Integer, func, select

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes import rules, states
from watchkeeper.runtimes.tables import interrupts, remote_runs
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.runtimes import RemoteRunRow, RuntimeAgent, RuntimeRow, Standing, Verb

VERBS: tuple[Verb, ...] = ("list", "inspect", "stop", "stop all", "pause", "resume", "answer")
Can = Callable[[str], frozenset[Verb]]
"""Takes a runtime's name; returns what its adapter can do."""


def runtime_rows(tx: Transaction, documents: Mapping[str, Runtime], can: Can) -> list[RuntimeRow]:
    """Return runtimes by name, as far as is known of them."""
    known = states.states(tx)
    counted = _counts(tx, documents)
    return [
        _runtime(tx.now, document, known.get(name), counted.get(name, {}), can(name))
        for name, document in sorted(documents.items())
    ]


def _runtime(
    now: int,
    document: Runtime,
    row: Row | None,
    counted: Mapping[str, int],
    can: frozenset[Verb],
) -> RuntimeRow:
    offered = json.loads(row.offered) if row else []
    listed_at = row.listed_at if row else None
    ids = {id for id, _ in offered}
    offered += [[one.id, one.id] for one in document.agents if one.id not in ids]
    return RuntimeRow(
        runtime=document.name,
        kind=document.kind,
        url=document.url,
        owner=document.owner,
        health=rules.health_now(
            row.answers if row else "unknown",
            looked_at=row.looked_at if row else None,
            now=now,
            poll_seconds=document.poll_seconds,
        ),
        problem=row.problem if row else None,
        version=row.version if row else None,
        latency_ms=None if row is None or row.latency_us is None else row.latency_us / 1000,
        seen_at=row.seen_at if row else None,
        looked_at=row.looked_at if row else None,
        age_seconds=None if listed_at is None else max(0, now - listed_at) // MICROSECONDS,
        can=tuple(verb for verb in VERBS if verb in can),
        cannot=tuple(verb for verb in VERBS if verb not in can),
        agents=tuple(
            RuntimeAgent(id=id, name=name, agent=rules.agent_of(document, id))
            for id, name in offered
        ),
        running=int(counted.get("running", 0)),
        waiting=int(counted.get("waiting", 0)),
        rogue=int(counted.get("rogue", 0)),
        complete=bool(row.complete) if row else True,
    )


def run_rows(
    tx: Transaction,
    runtime: str,
    *,
    agents: frozenset[str] | None = None,
    standing: Standing | None = None,
    live: bool = True,
    after: str | None = None,
    limit: int,
) -> tuple[list[RemoteRunRow], int]:
    """Return runs of a runtime by id, and how many there are; `live`: none that has ended.

    `agents`: of these only; None: of all, and of those that nobody knows the agent of.
    """
    conditions = [remote_runs.c.runtime == runtime]
    if agents is not None:
        conditions.append(remote_runs.c.agent.in_(sorted(agents)))
    if standing is not None:
        conditions.append(remote_runs.c.standing == standing)
    if live:
        conditions.append(remote_runs.c.ended_at.is_(None))
    total = tx.connection.execute(
        select(func.count()).select_from(remote_runs).where(*conditions)
    ).scalar_one()
    if after is not None:
        conditions.append(remote_runs.c.id > after)
    query = select(remote_runs).where(*conditions).order_by(remote_runs.c.id).limit(limit)
    state = states.state_of(tx, runtime)
    listed_at = state.listed_at if state else None
    asked = _requests(tx, runtime)
    rows = tx.connection.execute(query)
    return [show_run(row, listed_at, asked.get(row.id)) for row in rows], int(total)


def run_row(tx: Transaction, row: Row) -> RemoteRunRow:
    """Return one run as people are shown it."""
    state = states.state_of(tx, row.runtime)
    asked = _requests(tx, row.runtime).get(row.id)
    return show_run(row, state.listed_at if state else None, asked)


def _requests(tx: Transaction, runtime: str) -> dict[str, str]:
    query = select(interrupts.c.run_id, interrupts.c.request).where(
        interrupts.c.runtime == runtime, interrupts.c.ended_at.is_(None)
    )
    return {row.run_id: row.request for row in tx.connection.execute(query)}


def show_run(row: Row, listed_at: int | None, request: str | None = None) -> RemoteRunRow:
    """Return a run's row as people are shown it."""
    told = [row.missing_since, row.ended_at, listed_at]
    return RemoteRunRow(
        runtime=row.runtime,
        id=row.id,
        thread=row.thread,
        offered=row.offered,
        agent=row.agent,
        run=row.run,
        standing=row.standing,
        state=row.state,
        said=row.said or None,
        waiting_on=row.waiting_on,
        request=request,
        started_at=row.started_at,
        updated_at=row.updated_at,
        first_seen_at=row.first_seen_at,
        seen_at=next((at for at in told if at is not None), row.first_seen_at),
        ended_at=row.ended_at,
        lost_at=row.lost_at,
        why=row.why,
        adopted_by=row.adopted_by,
        adopted_at=row.adopted_at,
        reason=row.reason,
    )


def rogue_rows(
    tx: Transaction, runtimes: frozenset[str], agents: frozenset[str] | None, limit: int
) -> tuple[list[RemoteRunRow], int]:
    """Return rogue runs that have not ended, in some runtimes, found longest ago first; and how
    many there are. `agents` as in `run_rows`.
    """
    conditions = [
        remote_runs.c.ended_at.is_(None),
        remote_runs.c.standing == "rogue",
        remote_runs.c.runtime.in_(sorted(runtimes)),
    ]
    if agents is not None:
        conditions.append(remote_runs.c.agent.in_(sorted(agents)))
    query = (
        select(remote_runs)
        .where(*conditions)
        .order_by(remote_runs.c.first_seen_at, remote_runs.c.id)
        .limit(limit)
    )
    counted = select(func.count()).select_from(remote_runs).where(*conditions)
    rows = [show_run(row, None) for row in tx.connection.execute(query)]
    return rows, int(tx.connection.execute(counted).scalar_one())


def _counts(tx: Transaction, runtimes: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return, by runtime, how many of its runs are in progress, wait for a person, are rogue."""
    running = remote_runs.c.state.in_(("pending", "running"))
    query = (
        select(
            remote_runs.c.runtime,
            func.sum(running.cast(Integer)).label("running"),
            func.sum((remote_runs.c.state == "waiting").cast(Integer)).label("waiting"),
            func.sum((remote_runs.c.standing == "rogue").cast(Integer)).label("rogue"),
        )
        .where(remote_runs.c.ended_at.is_(None), remote_runs.c.runtime.in_(list(runtimes)))
        .group_by(remote_runs.c.runtime)
    )
    return {
        row.runtime: {"running": row.running, "waiting": row.waiting, "rogue": row.rogue}
        for row in tx.connection.execute(query)
    }
