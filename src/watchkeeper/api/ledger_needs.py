"""What needs a person in the ledger: it was forked, cannot be signed, or an anchor fails."""

from __future__ import annotations

from watchkeeper.api.needs import weigh
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Conflict, WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.ledger.anchors.model import NotKnown
from watchkeeper.ledger.anchors.service import Standing, name_of
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.store.statement import Row
from watchkeeper.wire.decisions import Risk
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
    for one in audit.anchoring.standings:
        if one.problem is not None and _is_told(one.problem, one.since, now):
            found.append(_from_anchor(one, mine=mine))
        elif one.problem is None and _is_late(one, now):
            found.append(_late(one, mine=mine))
    return found


def _is_told(error: WatchkeeperError, since: int, now: int) -> bool:
    """Whether people are told: what may mend itself is given time, nothing else is."""
    return isinstance(error, Conflict | NotKnown) or now - since >= _PATIENCE


def _is_late(one: Standing, now: int) -> bool:
    patience = max(_PATIENCE, 2 * one.anchor.every_seconds * MICROSECONDS)
    return one.behind_since is not None and now - one.behind_since >= patience


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
    risk: Risk = "medium"
    score = 60
    if isinstance(one.problem, Conflict):
        risk, score = "critical", 270
    elif isinstance(one.problem, NotKnown):
        risk, score = "high", 150
    said = make_safe(one.problem.message, limit=200)
    return Need(
        need=f"ledger/anchor/{name_of(one.anchor)}",
        kind="plane",
        subject="ledger",
        score=weigh(score, mine),
        risk=risk,
        text=f"the ledger is not anchored at {name_of(one.anchor)}: {said}",
        todo=one.problem.remedy or "see to it; it is tried again by itself",
        since=one.since,
        mine=mine,
    )


def _late(one: Standing, *, mine: bool) -> Need:
    assert one.behind_since is not None, "it is behind"
    name = name_of(one.anchor)
    return Need(
        need=f"ledger/anchor/{name}",
        kind="plane",
        subject="ledger",
        score=weigh(60, mine),
        risk="medium",
        text=f"the ledger is not anchored at {name}: it has not taken yet what was signed",
        todo="see whether it answers; it is asked again by itself",
        since=one.behind_since,
        mine=mine,
    )
