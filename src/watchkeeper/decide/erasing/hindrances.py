"""What stands in the way of an erasure: work that goes on, and holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from sqlalchemy import func, select

from watchkeeper.approvals.model import OPEN
from watchkeeper.approvals.tables import requests
from watchkeeper.core.errors import Conflict
from watchkeeper.decide.erasing.sought import Sought, parts, runs_for
from watchkeeper.identity.tables import runs
from watchkeeper.store.retention import Held, holds_in_force
from watchkeeper.store.transaction import Transaction

LEGAL = "hold/"
"""How the holders begin that are holds which people placed; the others are incidents."""


class Newest(NamedTuple):
    """Up to where runs and requests were looked through."""

    run: str
    request: str


def newest(tx: Transaction) -> Newest:
    """Return the newest run and request there are."""
    found = (tx.connection.scalar(select(func.max(column)))
             for column in (runs.c.run, requests.c.request))  # fmt: skip
    return Newest(*(one or "" for one in found))


def open_runs(tx: Transaction, sought: Sought, after: str = "") -> list[str]:
    """Return the runs for the person that go on; with `after`, also all that began after it."""
    found = sorted(runs_for(tx, sought.names, after)) if after else []
    for part in parts(sought.runs):
        query = select(runs.c.run).where(runs.c.run.in_(part), runs.c.state == "open")
        found += tx.connection.scalars(query)
    return found


def open_requests(tx: Transaction, sought: Sought, after: str = "") -> list[str]:
    """Return open requests about the person; with `after`, of those of others only newer ones."""
    query = select(requests).where(requests.c.state.in_(OPEN), requests.c.request > after)
    found = {row.request for row in tx.connection.execute(query) if _tells(sought, row)}
    for part in parts(sought.runs):
        own = select(requests.c.request).where(requests.c.run.in_(part), requests.c.state.in_(OPEN))
        found.update(tx.connection.scalars(own))
    return sorted(found)


def held_about(tx: Transaction, sought: Sought) -> set[Held]:
    """Return by what a hold would keep what entries tell of the person."""
    found = {Held("subject", one) for one in sought.subjects}
    found |= {Held("request" if one.startswith("req_") else "run", one) for one in sought.scopes}
    for table, column in ((runs, runs.c.run), (requests, requests.c.request)):
        for part in parts(sought.scopes):
            query = select(table.c.agent).where(column.in_(part)).distinct()
            found |= {Held("agent", agent) for agent in tx.connection.scalars(query)}
    return found


def holders(tx: Transaction, about: Collection[Held]) -> list[str]:
    """Return what holds some of it, or everything: incidents, and holds that people placed."""
    return sorted(
        {
            row.holder
            for row in holds_in_force(tx)
            if row.kind == "everything" or Held(row.kind, row.name) in about
        }
    )


def rule_of(holder: str) -> str:
    """Return the rule by which something holds."""
    return holder if holder.startswith(LEGAL) else f"incident/{holder}"


def check_free(work: Iterable[str], held_by: Iterable[str], despite: Collection[str]) -> None:
    """Raise `Conflict` while work goes on, or something holds it that may not be passed over."""
    going = list(work)
    if going:
        raise Conflict(
            f"work for the person goes on: {', '.join(going[:5])}",
            code="work_is_open",
            remedy="close those runs and decide those requests first",
        )
    for holder in sorted(held_by, key=lambda one: not one.startswith(LEGAL)):
        if holder.startswith(LEGAL):
            name = holder.removeprefix(LEGAL)
            raise Conflict(
                f"kept by the legal hold {name}",
                code="held",
                rule=rule_of(holder),
                remedy=f"it has to be lifted first: `watchkeeper audit unhold {name}`",
            )
        if holder not in despite:
            raise Conflict(
                f"held as evidence of {holder}",
                code="held",
                rule=rule_of(holder),
                remedy="close the incident, or name it with --despite and answer for it",
            )


def _tells(sought: Sought, row: Any) -> bool:
    return row.run in sought.runs or any(
        isinstance(value, str) and sought.without(value) != value for value in row
    )
