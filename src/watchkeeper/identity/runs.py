"""Runs: opened with an agent's credential, carried by a short-lived token, closed once."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, func, select, update

from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Conflict, Forbidden, NotFound
from watchkeeper.identity.model import IssuedRun, NewRun, RunFacts, Workload, read_lineage
from watchkeeper.identity.revocation import Kind, is_revoked
from watchkeeper.identity.scope import TokenScope
from watchkeeper.identity.tables import replay_runs, run_tokens, runs
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

MOST_TOKENS = 200
"""How many tokens of one run may be valid at a time, before none is narrowed any more."""

_ADD_RUN = Statement(runs.insert())
_ADD_REPLAY = Statement(replay_runs.insert())
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
        run_tokens.c.scope,
        runs.c.on_behalf_of_proof,
        runs.c.lineage,
        runs.c.grants,
        runs.c.opened_at,
    )
    .select_from(run_tokens.join(runs, runs.c.run == run_tokens.c.run))
    .where(run_tokens.c.secret_hash == bindparam("hash_is"))
)
_RUN = Statement(select(runs).where(runs.c.run == bindparam("run_is")))
_EPOCH_OF = Statement(
    select(run_tokens.c.epoch).where(run_tokens.c.secret_hash == bindparam("hash_is"))
)
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
        ~select(run_tokens.c.run)
        .where(run_tokens.c.run == runs.c.run, run_tokens.c.expires_at >= bindparam("before"))
        .exists(),
    )
    .limit(500)
)
_OPEN_CHILDREN = Statement(
    select(runs.c.run, runs.c.agent, runs.c.state).where(
        runs.c.parent == bindparam("run_is"), runs.c.closed_at.is_(None)
    )
)
_LATEST_EXPIRY = Statement(
    select(func.max(run_tokens.c.expires_at)).where(
        run_tokens.c.run == bindparam("run_is"), run_tokens.c.revoked_at.is_(None)
    )
)
_LIVE_TOKENS = Statement(
    select(func.count())
    .select_from(run_tokens)
    .where(
        run_tokens.c.run == bindparam("run_is"),
        run_tokens.c.revoked_at.is_(None),
        run_tokens.c.expires_at > bindparam("now"),
    )
)
_REVOKE = Statement(
    update(run_tokens)
    .where(run_tokens.c.run == bindparam("run_is"), run_tokens.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("at"))
)


def open_run(
    tx: Transaction,
    workload: Workload,
    version: int,
    new: NewRun,
    *,
    run: str,
    ttl_seconds: int,
    epoch: int,
    owner: str = "",
) -> IssuedRun:
    """Open a run for an agent under the id `run` and return it with its token.

    `owner`: the team that answers for the agent, whoever it acts for.
    """
    agent, child = workload.agent, new.child
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
        on_behalf_of_proof=new.on_behalf_of_proof,
        proof_hash=new.proof_hash,
        parent=child.parent if child else None,
        lineage=child.lineage if child else None,
        scope=new.scope.text(),
        grants=child.grants if child else None,
        proof_expires_at=None if child else new.proof_expires_at,
    )
    body: dict[str, object] = {
        "version": version,
        "goal": new.goal,
        "on_behalf_of": new.on_behalf_of,
        "object": f"{new.object_kind} {new.object_id}" if new.object_id else None,
        "environment": new.environment,
    }
    if owner:
        body["owner"] = owner
    if new.on_behalf_of_proof:
        body["on_behalf_of_proof"] = new.on_behalf_of_proof
    if new.scope.scope_text is not None:
        body["scope"] = new.scope.scope_text
    if new.caller is not None:
        body["traceparent"] = new.caller.text()
    if child:
        body["parent"] = child.parent
        ((outermost, _), *between) = read_lineage(child.lineage)
        if between:
            body["root"] = outermost
    replay = new.replay
    if replay is not None:
        values = {"of_run": replay.run, "decision": replay.decision, "by": replay.by}
        _ADD_REPLAY.run(tx, run=run, **values)
        body |= {"replay_of": replay.run, "replay_at": replay.decision}
    tx.record(
        "run.opened",
        actor=replay.by if replay is not None else f"agent/{agent}",
        subject=f"run/{run}",
        agent=agent,
        run=run,
        body=body,
        whose=new.on_behalf_of,
    )
    expires_at = tx.now + ttl_seconds * MICROSECONDS
    if new.proof_expires_at is not None:
        expires_at = min(expires_at, new.proof_expires_at)
    scope = new.scope.text()
    return _issue_token(tx, run, expires_at, epoch, scope=scope, parent=workload.proof)


def renew_token(
    tx: Transaction, workload: Workload, run: str, *, ttl_seconds: int, epoch: int
) -> IssuedRun:
    """Issue a new token for an open run of the agent; older ones live out their time.

    It may be used for what the run was opened for. A child's token ends with its parent's, one on
    behalf of a proven person with the person's, and none is issued once the token that the run
    was opened with was revoked.
    """
    agent = workload.agent
    row = _own_run(tx, agent, run)
    if row.state != "open":
        raise Conflict(f"run {run} is {row.state}", code="run_ended", remedy="open a new run")
    if replayed_by(tx, [run]):
        raise Forbidden(
            f"run {run} is a replay, whose token never leaves the plane",
            rule="identity/replay",
            remedy="open a run of the agent's own",
        )
    proven_with: Kind = "person" if row.parent is None else "run"
    if row.proof_hash is not None and is_revoked(tx, row.proof_hash, proven_with):
        raise Forbidden(
            "the token that the run was opened with was revoked",
            rule="identity/token-revoked",
            remedy="open a new run",
        )
    expires_at = tx.now + ttl_seconds * MICROSECONDS
    if row.proof_expires_at is not None:
        if row.proof_expires_at <= tx.now:
            raise Forbidden(
                "the person's token that the run was opened with has expired",
                rule="identity/person-token",
                remedy="open a new run with a new token of the person",
            )
        expires_at = min(expires_at, row.proof_expires_at)
    if row.parent is not None:
        latest = latest_expiry(tx, row.parent)
        if latest is None or latest <= tx.now:
            raise Forbidden(
                f"its parent, run {row.parent}, has no valid token",
                rule="identity/parent",
                remedy="renew the parent's token first",
            )
        expires_at = min(expires_at, latest)
    issued = _issue_token(tx, run, expires_at, epoch, scope=row.scope, parent=workload.proof)
    _record_renewal(tx, agent, issued)
    return issued


def narrow_token(
    tx: Transaction, token: str, facts: RunFacts, scope: TokenScope, *, ttl_seconds: int
) -> IssuedRun:
    """Issue a token of the same run that may be used for less, for no longer.

    Raises `Conflict` when the run has `MOST_TOKENS` that are valid.
    """
    if int(_LIVE_TOKENS.scalar(tx, run_is=facts.run, now=tx.now)) >= MOST_TOKENS:
        raise Conflict(
            f"run {facts.run} has {MOST_TOKENS} valid tokens already",
            code="too_many_tokens",
            rule="identity/tokens",
            remedy="use those, or revoke some at /oauth/revoke",
        )
    expires_at = min(tx.now + ttl_seconds * MICROSECONDS, facts.token_expires_at)
    hashed = ids.hash_secret(token)
    epoch = int(_EPOCH_OF.scalar(tx, hash_is=hashed))
    issued = _issue_token(tx, facts.run, expires_at, epoch, scope=scope.text(), parent=hashed)
    _record_renewal(tx, facts.agent, issued, scope=scope.scope_text)
    return issued


def _record_renewal(
    tx: Transaction, agent: str, issued: IssuedRun, scope: str | None = None
) -> None:
    body: dict[str, object] = {"expires_at": issued.expires_at}
    if scope is not None:
        body["scope"] = scope
    tx.record(
        "run.token_renewed",
        actor=f"agent/{agent}",
        subject=f"run/{issued.run}",
        agent=agent,
        run=issued.run,
        body=body,
    )


def _issue_token(
    tx: Transaction,
    run: str,
    expires_at: int,
    epoch: int,
    *,
    scope: str | None,
    parent: str,
) -> IssuedRun:
    token = ids.secret("wkr")
    _ADD_TOKEN.run(
        tx,
        secret_hash=ids.hash_secret(token),
        run=run,
        created_at=tx.now,
        expires_at=expires_at,
        revoked_at=None,
        epoch=epoch,
        scope=scope,
        parent=parent,
    )
    return IssuedRun(run, token, expires_at)


def find_run(tx: Transaction, run: str) -> Row | None:
    """Return a run's row, or None."""
    return _RUN.first(tx, run_is=run)


def replayed_by(tx: Transaction, names: Collection[str]) -> dict[str, str]:
    """Return which runs some replay, by run; those that replay none are left out."""
    query = select(replay_runs.c.run, replay_runs.c.of_run).where(replay_runs.c.run.in_(names))
    return {row.run: row.of_run for row in tx.connection.execute(query)}


def _own_run(tx: Transaction, agent: str, run: str) -> Row:
    row = _RUN.first(tx, run_is=run)
    if row is None or row.agent != agent:
        raise NotFound(f"agent {agent} has no run {run}")
    return row


def facts_of(tx: Transaction, token: str) -> RunFacts | None:
    """Return the run a token was issued for, or None if no such token was issued."""
    row = _FACTS.first(tx, hash_is=ids.hash_secret(token))
    return None if row is None else RunFacts(*row)


def open_children(tx: Transaction, run: str) -> list[Row]:
    """Return the runs (`run`, `agent`) that a run opened and that have not ended."""
    return _OPEN_CHILDREN.all(tx, run_is=run)


def latest_expiry(tx: Transaction, run: str) -> int | None:
    """Return when the last valid token of a run expires, or None if it has none."""
    found = _LATEST_EXPIRY.scalar(tx, run_is=run)
    return None if found is None else int(found)


def expire_run(tx: Transaction, run: str, agent: str) -> None:
    """End a run that nobody can act in any more; one that has ended stays as it is."""
    if _CLOSE.run(tx, run_is=run, state_to="expired", at=tx.now, said=None):
        _REVOKE.run(tx, run_is=run, at=tx.now)
        tx.record("run.expired", actor="plane", subject=f"run/{run}", agent=agent, run=run, body={})


def abandoned_runs(tx: Transaction, before: int) -> list[Row]:
    """Return open runs (`run`, `agent`) whose every token expired before a time."""
    return _ABANDONED.all(tx, before=before)


def agent_of_run(tx: Transaction, run: str) -> str | None:
    """Return whose run it is, or None if there is no such run."""
    row = _RUN.first(tx, run_is=run)
    return None if row is None else str(row.agent)


def close_run(
    tx: Transaction,
    agent: str,
    run: str,
    outcome: str,
    summary: str | None,
    *,
    by: str | None = None,
) -> None:
    """Close a run, for its agent or `by` a person; again with the same outcome changes nothing.

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
        actor=by or f"agent/{agent}",
        subject=f"run/{run}",
        agent=agent,
        run=run,
        body={"outcome": state, "summary": summary},
        whose=row.on_behalf_of,
    )


def stop_run(tx: Transaction, run: str, why: str) -> bool:
    """Mark an open run as stopped by a kill; tell whether it was open."""
    return _STOP.run(tx, run_is=run, because=why) == 1


def revoke_tokens(tx: Transaction, run: str) -> int:
    """Revoke every token of a run; return how many were live."""
    return _REVOKE.run(tx, run_is=run, at=tx.now)
