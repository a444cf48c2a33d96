"""What needs a person in the ledger: it was forked, cannot be signed, or an anchor fails."""

from __future__ import annotations

from watchkeeper.api.needs import weigh
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Conflict, WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.ledger.anchors.service import Standing, name_of
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.store.statement import Row
from watchkeeper.wire.plane import Need

_PATIENCE = 60 * MICROSECONDS
"""How long something may fail before people are told: it is tried again by itself."""


def needs_of_ledger(audit: LedgerAudit, now: int, *, mine: bool) -> list[Need]:
    """Return every one of them."""
    found = [_from_fork(row, mine=mine) for row in audit.log.keys.forks]
    since, error = audit.log.problem or (now, None)
    if error is not None and _is_told(error, since, now):
        found.append(
            Need(
                need="ledger/log",
                kind="plane",
                subject="ledger",
                score=weigh(250, mine),
                risk="critical" if isinstance(error, Conflict) else "high",
                text=f"the ledger cannot be signed: {make_safe(error.message, limit=200)}",
                todo="watchkeeper audit verify",
                since=since,
                mine=mine,
            )
        )
    found += [
        _from_anchor(one, mine=mine)
        for one in audit.anchoring.standings
        if one.problem is not None and _is_told(one.problem, one.since, now)
    ]
    return found


def _is_told(error: WatchkeeperError, since: int, now: int) -> bool:
    """Whether people are told: what may mend itself is given time, what was altered is not."""
    return isinstance(error, Conflict) or now - since >= _PATIENCE


def _from_fork(row: Row, *, mine: bool) -> Need:
    return Need(
        need=f"ledger/fork/{row.id}",
        kind="plane",
        subject="ledger",
        score=weigh(280, mine),
        risk="critical",
        text=f"the ledger lacks entries that were signed: {row.reason}",
        todo="if it was restored from a copy, `watchkeeper audit accept-fork`; if not, see who "
        "can write to its database",
        since=row.made_at,
        mine=mine,
    )


def _from_anchor(one: Standing, *, mine: bool) -> Need:
    assert one.problem is not None, "it fails"
    altered = isinstance(one.problem, Conflict)
    said = make_safe(one.problem.message, limit=200)
    return Need(
        need=f"ledger/anchor/{name_of(one.anchor)}",
        kind="plane",
        subject="ledger",
        score=weigh(270 if altered else 60, mine),
        risk="critical" if altered else "medium",
        text=f"the ledger is not anchored at {name_of(one.anchor)}: {said}",
        todo=one.problem.remedy or "see to it; it is tried again by itself",
        since=one.since,
        mine=mine,
    )
