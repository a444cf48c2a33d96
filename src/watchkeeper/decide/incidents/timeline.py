"""An incident's timeline: windows over the ledger; nothing of it is copied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from watchkeeper.decide.runs.reconciling import changes_something, is_unknown
from watchkeeper.decide.tables import decisions
from watchkeeper.incidents import service
from watchkeeper.ledger.reading import read_about, read_events
from watchkeeper.store.journal import Event
from watchkeeper.store.retention import held_by
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

MOST_UNKNOWN = 1_000
"""Outcomes that nobody knows which are looked at for those of an incident, oldest first."""
_UNKNOWN = Statement(
    select(decisions.c.decision, decisions.c.at, decisions.c.agent, decisions.c.run,
           decisions.c.request)
    .where(changes_something, is_unknown)
    .order_by(decisions.c.decision)
    .limit(MOST_UNKNOWN)
)  # fmt: skip
_COLUMNS = {"agent": "agent", "run": "run", "request": "request", "runtime": "subject"}


@dataclass(frozen=True, slots=True)
class Scope:
    """What the ledger has to be about to be about an incident."""

    own: tuple[tuple[str, str], ...]
    """The incident itself and its locks, whenever."""
    covered: tuple[tuple[str, str], ...]
    """What its locks cover, while it is open."""
    everything: bool

    def has(self, row: Row) -> bool:
        """Tell whether a row with `agent`, `run` and `request` is about what is covered."""
        named = {("agent", row.agent), ("run", row.run), ("request", row.request)}
        return self.everything or not named.isdisjoint(self.covered)


def scope_of(tx: Transaction, incident: str, upto: int | None = None) -> Scope:
    """Return what an incident is about, as of an entry of the ledger."""
    locks = service.locks_of(tx, incident, left=True)
    held = held_by(tx, incident)
    if upto is not None:
        locks = [row for row in locks if row.sequence <= upto]
        held = [row for row in held if row.sequence <= upto]
    return Scope(
        own=(
            ("subject", f"incident/{incident}"),
            *(("subject", f"lock/{row.lock}") for row in locks),
        ),
        covered=tuple(
            (_COLUMNS[row.kind], f"runtime/{row.name}" if row.kind == "runtime" else row.name)
            for row in held
            if row.kind in _COLUMNS
        ),
        everything=any(row.kind == "everything" for row in held),
    )


def read_timeline(
    tx: Transaction,
    row: Row,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int = 100,
    scope: Scope | None = None,
) -> tuple[list[Event], int | None]:
    """Return entries about an incident and the sequence to go on from, None at the end.

    Oldest first after an entry, or from where it began; newest first before one, down to a day
    before it began. What it covers counts until it was closed, the incident itself always.
    """
    scope = scope or scope_of(tx, row.incident)
    newest_first = after is None and before is not None
    low = 0 if newest_first else max(row.first - 1, after or 0)
    wanted = limit + 1
    found = {
        event.sequence: event
        for event in (
            *_covered(tx, row, scope, low, before, wanted, newest_first),
            *read_about(
                tx, scope.own, after=low, before=before, limit=wanted, newest_first=newest_first
            ),
        )
    }
    ordered = sorted(found.values(), key=lambda one: one.sequence, reverse=newest_first)
    if newest_first:
        ordered = [event for event in ordered if event.at >= row.since]
    page = ordered[:limit]
    return page, page[-1].sequence if len(ordered) > limit else None


def unknown_outcomes(tx: Transaction) -> list[Row]:
    """Return actions that a person may settle (`unsettled list`), a bounded number."""
    return _UNKNOWN.all(tx)


def of_incident(unknown: Iterable[Row], row: Row, scope: Scope) -> list[str]:
    """Return those of an incident, by decision."""
    return [one.decision for one in unknown if one.at >= row.since and scope.has(one)]


def _covered(
    tx: Transaction,
    row: Row,
    scope: Scope,
    low: int,
    before: int | None,
    limit: int,
    newest_first: bool,
) -> Sequence[Event]:
    high = before
    if row.last is not None:
        high = row.last + 1 if before is None else min(before, row.last + 1)
    if scope.everything:
        return read_events(tx, after=low, before=high, limit=limit, newest_first=newest_first)
    return read_about(
        tx, scope.covered, after=low, before=high, limit=limit, newest_first=newest_first
    )
