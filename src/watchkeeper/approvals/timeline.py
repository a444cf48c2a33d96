"""What happened to a request, in words: an agent that asks again and again drowns nothing."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from watchkeeper.approvals.words import event_words
from watchkeeper.store.journal import events
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import TimelineEntry

LONGEST_TIMELINE = 500
_MOST_READ = 1000
_OLDEST = 100
"""How many of the oldest are shown where not all can be."""
_MOST_REPEATED = 50
REPEATED = frozenset(
    {"decision.held", "decision.denied", "request.caller_gone", "request.caller_back"}
)
"""What an agent brings about as often as it likes."""

_EVENTS = select(
    events.c.sequence, events.c.at, events.c.type, events.c.actor, events.c.body
).where(events.c.request == bindparam("request_is"))
_FIRST = Statement(_EVENTS.order_by(events.c.sequence).limit(_OLDEST))
_LAST = Statement(_EVENTS.order_by(events.c.sequence.desc()).limit(_MOST_READ))


def read_timeline(tx: Transaction, request: str) -> tuple[TimelineEntry, ...]:
    """Return the events of a request's life in order, in words; at most 500.

    Of what its agent repeats the newest are shown; of the rest, where it is too much, the
    oldest and the newest.
    """
    found = _LAST.all(tx, request_is=request)[::-1]
    if len(found) == _MOST_READ:
        found = [
            *(
                one
                for one in _FIRST.all(tx, request_is=request)
                if one.sequence < found[0].sequence
            ),
            *found,
        ]
    repeated = [row.sequence for row in found if row.type in REPEATED]
    dropped = set(repeated[1:-_MOST_REPEATED])
    kept = [row for row in found if row.sequence not in dropped]
    if len(kept) > LONGEST_TIMELINE:
        kept = [*kept[:_OLDEST], *kept[_OLDEST - LONGEST_TIMELINE :]]
    bodies = tx.vault.reveal(tx, [row.body for row in kept])
    return tuple(_entry(row, body) for row, body in zip(kept, bodies, strict=True))


def _entry(row: Row, body: str) -> TimelineEntry:
    return TimelineEntry(
        sequence=row.sequence,
        at=row.at,
        type=row.type,
        actor=row.actor,
        text=event_words(row.type, body),
    )
