"""Windows over the ledger, by what they are about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, or_, select

from watchkeeper.core.errors import Invalid
from watchkeeper.store.journal import Event, event_from_row, events, revealed
from watchkeeper.store.transaction import Transaction

LARGEST_WINDOW = 1000


class Pick(NamedTuple):
    """Which entries are wanted: all that is said must hold."""

    types: tuple[str, ...] = ()
    """Any of these; `run.` means all types that begin so, `.applied` all that end so."""
    containing: str = ""
    """What the body's text contains, as canonical JSON has it: `"classes_in":`."""
    by: str = ""
    """What the actor begins with."""

    def condition(self) -> ColumnElement[bool]:
        """Return what selects them."""
        found = [or_(*(_type_is(type_) for type_ in self.types))] if self.types else []
        if self.containing:
            found.append(events.c.body.contains(self.containing, autoescape=True))
        if self.by:
            found.append(events.c.actor.startswith(self.by, autoescape=True))
        return and_(*found)


def read_events(
    tx: Transaction,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int = 100,
    newest_first: bool = False,
    agent: str | None = None,
    run: str | None = None,
    request: str | None = None,
    subject: str | None = None,
    actor: str | None = None,
    type: str | None = None,
) -> list[Event]:
    """Return up to ``limit`` events with ``after < sequence < before``.

    All filters must match. A ``type`` that ends with a dot (``"decision."``) means all
    types below it, one that begins with a dot (``".applied"``) all that end so. With
    ``newest_first`` the window hangs from ``before`` and its events come last to first. Raises
    :class:`Invalid` for a limit outside 1 to 1000.
    """
    if not 1 <= limit <= LARGEST_WINDOW:
        raise Invalid(f"limit must be 1 to {LARGEST_WINDOW}, not {limit}", where="limit")
    equal = {
        events.c.agent: agent,
        events.c.run: run,
        events.c.request: request,
        events.c.subject: subject,
        events.c.actor: actor,
    }
    conditions = [column == value for column, value in equal.items() if value is not None]
    if after is not None:
        conditions.append(events.c.sequence > after)
    if before is not None:
        conditions.append(events.c.sequence < before)
    if type is not None:
        conditions.append(_type_is(type))
    order = events.c.sequence.desc() if newest_first else events.c.sequence
    query = select(events).where(*conditions).order_by(order).limit(limit)
    return revealed(tx, [event_from_row(row) for row in tx.connection.execute(query)])


def read_stretch(tx: Transaction, picks: Iterable[Pick], after: int, upto: int) -> list[Event]:
    """Return the events of a stretch of the ledger, `after < sequence <= upto`, of any pick.

    How long the stretch is bounds how many they are: for `store.scan`.
    """
    query = select(events).where(
        events.c.sequence > after,
        events.c.sequence <= upto,
        or_(*(pick.condition() for pick in picks)),
    )
    rows = tx.connection.execute(query.order_by(events.c.sequence))
    return revealed(tx, [event_from_row(row) for row in rows])


def first_at(tx: Transaction, at: int, upto: int) -> int:
    """Return the first of `upto` entries that is of a time or later, or the one after them.

    The clock of a ledger never goes back.
    """
    low, high = 1, upto + 1
    while low < high:
        middle = (low + high) // 2
        found = read_events(tx, after=middle - 1, limit=1)
        if found and found[0].at < at:
            low = middle + 1
        else:
            high = middle
    return low


def read_about(
    tx: Transaction,
    about: Iterable[tuple[str, str]],
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> list[Event]:
    """Return as `read_events` does what matches any of some filters, each once.

    A filter is one of those of `read_events` and its value. Each is answered by its index, and
    the more is found the narrower the next one looks.
    """
    found: dict[int, Event] = {}
    for name, value in about:
        named: Any = {name: value}
        window = read_events(
            tx, after=after, before=before, limit=limit, newest_first=newest_first, **named
        )
        found |= {event.sequence: event for event in window}
        if len(found) > limit:
            kept = sorted(found, reverse=newest_first)[:limit]
            found = {sequence: found[sequence] for sequence in kept}
            if newest_first:
                after = max(after or 0, kept[-1] - 1)
            else:
                before = kept[-1] + 1
    return [found[sequence] for sequence in sorted(found, reverse=newest_first)]


def timeline(
    tx: Transaction,
    *,
    request: str | None = None,
    run: str | None = None,
    agent: str | None = None,
    subject: str | None = None,
    limit: int = LARGEST_WINDOW,
) -> list[Event]:
    """Return what happened around one thing, first to last.

    If it is longer than ``limit``, the latest events. Raises :class:`Invalid` unless
    something is named.
    """
    if request is run is agent is subject is None:
        raise Invalid("a timeline needs a request, a run, an agent or a subject")
    latest = read_events(
        tx,
        limit=limit,
        newest_first=True,
        request=request,
        run=run,
        agent=agent,
        subject=subject,
    )
    return latest[::-1]


def _type_is(type_: str) -> ColumnElement[bool]:
    if type_.endswith("."):
        return events.c.type.startswith(type_, autoescape=True)
    if type_.startswith("."):
        return events.c.type.endswith(type_, autoescape=True)
    return events.c.type == type_
