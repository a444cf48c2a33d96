"""Following the ledger: each entry is told in spans once, however a plane ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from watchkeeper.store.journal import SELECT_AFTER, Event, event_from_row, revealed
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import rows, words
from watchkeeper.traces.keeping import KEPT_ALL, Terms, leave_out
from watchkeeper.traces.model import Span
from watchkeeper.traces.rules import follow, needed_by
from watchkeeper.traces.tables import trace_cursor


class Ahead(NamedTuple):
    """What is to be told next, and the spans that it is about."""

    after: int
    events: Sequence[Event]
    spans: dict[str, Span]


def begin(tx: Transaction) -> int:
    """Return the sequence up to which the ledger is told in spans; at first nothing of it is."""
    return trace_cursor.begin(tx, 0)


def look_ahead(tx: Transaction, limit: int) -> Ahead:
    """Return the next events, at most so many, and the spans they may change."""
    after = trace_cursor.at(tx) or 0
    found = [event_from_row(row) for row in SELECT_AFTER.all(tx, after=after, limit=limit)]
    events = revealed(tx, found)
    return Ahead(after, events, rows.find(tx, needed_by(events)))


class Told(NamedTuple):
    """Spans as they are after some events."""

    changed: list[Span]
    left_out: list[Span]
    """Those that are not kept, or no more."""


def tell(ahead: Ahead, terms: Terms = KEPT_ALL) -> Told:
    """Return the spans that some events change, as they are then."""
    standing, changed = dict(ahead.spans), dict[str, None]()
    left_out: list[Span] = []
    for event in ahead.events:
        for span in follow(event, standing):
            if terms.leaves_out(span):
                # at once: what comes after it finds it gone, in whatever batch
                standing.pop(span.key, None)
                changed.pop(span.key, None)
                left_out.append(span)
            else:
                standing[span.key] = span
                changed[span.key] = None
    return Told([standing[key] for key in changed], left_out)


def keep(tx: Transaction, ahead: Ahead, told: Told) -> None:
    """Write spans with how far the ledger was followed for them.

    Raises `Conflict` (`followed_elsewhere`) if another plane was there first.
    """
    trace_cursor.move(tx, ahead.after, ahead.events[-1].sequence)
    rows.put(tx, told.changed)
    words.put(tx, told.changed)
    if told.left_out:
        leave_out(tx, told.left_out)
