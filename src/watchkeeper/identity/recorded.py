"""Runs as they are on record, for looking at an action without the run's token."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from watchkeeper.core.errors import NotFound
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.runs import find_run
from watchkeeper.identity.tables import runs
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction

FOREVER = 2**62


def recorded_runs(tx: Transaction, names: Collection[str]) -> dict[str, RunFacts]:
    """Return the named runs that there are, as a token without limits of its own shows them."""
    rows = tx.connection.execute(select(runs).where(runs.c.run.in_(names)))
    return {row.run: _as_facts(row) for row in rows}


def recorded_run(tx: Transaction, run: str) -> RunFacts | None:
    """Return a run as a token without limits of its own shows it, or None."""
    row = find_run(tx, run)
    return None if row is None else _as_facts(row)


def known_run(tx: Transaction, run: str) -> RunFacts:
    """Return a run as `recorded_run` does; raise `NotFound` if there is none."""
    found = recorded_run(tx, run)
    if found is None:
        raise no_run(run)
    return found


def no_run(name: str) -> NotFound:
    """Return the error of a name that no run has, with where what else it names is shown."""
    shows = {"dec_": "traces show", "req_": "requests show"}.get(name[:4])
    if shows is None or not name[4:].isalnum():
        return NotFound(f"there is no run {name!r:.80}", remedy="see `watchkeeper runs`")
    return NotFound(f"{name:.80} is no run", remedy=f"see `watchkeeper {shows} {name:.80}`")


def _as_facts(row: Row) -> RunFacts:
    return RunFacts(
        run=row.run,
        agent=row.agent,
        version=row.version,
        state=row.state,
        on_behalf_of=row.on_behalf_of,
        environment=row.environment,
        goal=row.goal,
        object_kind=row.object_kind,
        object_id=row.object_id,
        token_expires_at=FOREVER,
        token_revoked_at=None,
        scope=row.scope,
        on_behalf_of_proof=row.on_behalf_of_proof,
        lineage=row.lineage,
        grants=row.grants,
        opened_at=row.opened_at,
    )
