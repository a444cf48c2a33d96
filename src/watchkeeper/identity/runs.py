"""Runs: opened with an agent's credential, carried by a short-lived token, closed once."""

from __future__ import annotations

from sqlalchemy import bindparam, select, update

from watchkeeper.core import ids
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.identity.model import IssuedRun, NewRun, RunFacts
from watchkeeper.identity.tables import run_tokens, runs
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

_ADD_RUN = Statement(runs.insert())
_ADD_TOKEN = Statement(run_tokens.insert())
_FACTS = Statement(
    select(
        runs.c.run,
        runs.c.agent,
        runs.c.version,
        runs.c.state,
        runs.c.on_behalf_of,
        runs.c.environment,
        runs.c.goal,
        runs.c.object_kind,
        runs.c.object_id,
        run_tokens.c.expires_at,
        run_tokens.c.revoked_at,
    )
    .select_from(run_tokens.join(runs, runs.c.run == run_tokens.c.run))
    .where(run_tokens.c.secret_hash == bindparam("hash_is"))
)
_RUN = Statement(select(runs).where(runs.c.run == bindparam("run_is")))
_CLOSE = Statement(
    update(runs)
    .where(runs.c.run == bindparam("run_is"), runs.c.closed_at.is_(None))
    .values(state=bindparam("state_to"), closed_at=bindparam("at"), summary=bindparam("said"))
)
_STOP = Statement(
    update(runs)
    .where(runs.c.run == bindparam("run_is"), runs.c.state == "open")
    .values(state="stopped", why=bindparam("because"))
)
_ABANDONED = Statement(
    select(runs.c.run, runs.c.agent)
    .where(
        runs.c.state == "open",
        ~select(run_tokens.c.run).where(run_tokens.c.run == runs.c.run).exists(),
    )
    .limit(500)
)
_REVOKE = Statement(
    update(run_tokens)
    .where(run_tokens.c.run == bindparam("run_is"), run_tokens.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("at"))
)


def open_run(
    tx: Transaction, agent: str, version: int, new: NewRun, *, ttl_seconds: int, epoch: int
) -> IssuedRun:
    """Open a run for an agent and return it with its token."""
    run = tx.new_id("run")
    _ADD_RUN.run(
        tx,
        run=run,
        agent=agent,
        version=version,
        state="open",
        goal=new.goal,
        on_behalf_of=new.on_behalf_of,
        object_kind=new.object_kind,
        object_id=new.object_id,
        environment=new.environment,
        opened_at=tx.now,
        closed_at=None,
        summary=None,
        why=None,
    )
    tx.record(
        "run.opened",
        actor=f"agent/{agent}",
        subject=f"run/{run}",
        agent=agent,
        run=run,
        body={
            "version": version,
            "goal": new.goal,
            "on_behalf_of": new.on_behalf_of,
            "object": f"{new.object_kind} {new.object_id}" if new.object_id else None,
            "environment": new.environment,
        },
    )
    return _issue_token(tx, run, ttl_seconds, epoch)


def renew_token(
    tx: Transaction, agent: str, run: str, *, ttl_seconds: int, epoch: int
) -> IssuedRun:
    """Issue a new token for an open run of the agent; older ones live out their time."""
    row = _own_run(tx, agent, run)
    if row.state != "open":
        raise Conflict(f"run {run} is {row.state}", code="run_ended", remedy="open a new run")
    issued = _issue_token(tx, run, ttl_seconds, epoch)
    tx.record(
        "run.token_renewed",
        actor=f"agent/{agent}",
        subject=f"run/{run}",
        agent=agent,
        run=run,
        body={"expires_at": issued.expires_at},
    )
    return issued


def _issue_token(tx: Transaction, run: str, ttl_seconds: int, epoch: int) -> IssuedRun:
    token = ids.secret("wkr")
    expires_at = tx.now + ttl_seconds * 1_000_000
    _ADD_TOKEN.run(
        tx,
        secret_hash=ids.hash_secret(token),
        run=run,
        created_at=tx.now,
        expires_at=expires_at,
        revoked_at=None,
        epoch=epoch,
    )
    return IssuedRun(run, token, expires_at)


def _own_run(tx: Transaction, agent: str, run: str) -> Row:
    row = _RUN.first(tx, run_is=run)
    if row is None or row.agent != agent:
        raise NotFound(f"agent {agent} has no run {run}")
    return row


def facts_of(tx: Transaction, token: str) -> RunFacts | None:
    """Return the run a token was issued for, or None if no such token was issued."""
    row = _FACTS.first(tx, hash_is=ids.hash_secret(token))
    return None if row is None else RunFacts(*row)


def close_run(tx: Transaction, agent: str, run: str, outcome: str, summary: str | None) -> None:
    """Close a run; closing it again with the same outcome changes nothing.

    A run that a kill stopped keeps that state; its close is recorded all the same.
    """
    row = _own_run(tx, agent, run)
    if row.closed_at is not None:
        if row.state in {outcome, "stopped"}:
            return
        raise Conflict(f"run {run} has ended already: {row.state}", code="run_ended")
    state = row.state if row.state == "stopped" else outcome
    _CLOSE.run(tx, run_is=run, state_to=state, at=tx.now, said=summary)
    _REVOKE.run(tx, run_is=run, at=tx.now)
    tx.record(
        "run.closed",
        actor=f"agent/{agent}",
        subject=f"run/{run}",
        agent=agent,
        run=run,
        body={"outcome": state, "summary": summary},
    )


def expire_runs(tx: Transaction) -> int:
    """End open runs whose every token has expired and been purged; return how many."""
    abandoned = _ABANDONED.all(tx)
    if not abandoned:
        tx.silent("every open run has a token")
    for row in abandoned:
        _CLOSE.run(tx, run_is=row.run, state_to="expired", at=tx.now, said=None)
        tx.record(
            "run.expired",
            actor="plane",
            subject=f"run/{row.run}",
            agent=row.agent,
            run=row.run,
            body={},
        )
    return len(abandoned)


def stop_run(tx: Transaction, run: str, why: str) -> bool:
    """Mark an open run as stopped by a kill; tell whether it was open."""
    return _STOP.run(tx, run_is=run, because=why) == 1


def revoke_tokens(tx: Transaction, run: str) -> int:
    """Revoke every token of a run; return how many were live."""
    return _REVOKE.run(tx, run_is=run, at=tx.now)
