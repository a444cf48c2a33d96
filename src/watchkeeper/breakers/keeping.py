"""What the detectors remember, and how far the ledger was looked at, kept together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import bindparam, delete, select

from watchkeeper.breakers.tables import breaker_cursor, watches
from watchkeeper.breakers.watch import Watch, read, write
from watchkeeper.store.journal import events
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction

Watches = dict[tuple[str, int], Watch]
"""By breaker and version of the agent."""

_ALL = Statement(select(watches))
_put = insert(watches).values(
    breaker=bindparam("breaker"), version=bindparam("version"), kept=bindparam("kept")
)
_PUT = Statement(
    _put.on_conflict_do_update(
        index_elements=["breaker", "version"], set_={"kept": _put.excluded.kept}
    )
)
_DROP = Statement(
    delete(watches).where(
        watches.c.breaker == bindparam("breaker_is"), watches.c.version == bindparam("version_is")
    )
)
_LAST = Statement(
    select(events.c.type, events.c.at, events.c.body)
    .where(events.c.subject == bindparam("subject_is"), events.c.sequence <= bindparam("sequence"))
    .order_by(events.c.sequence.desc())
    .limit(1)
)
_OPENS = Statement(
    select(events.c.type, events.c.at, events.c.body)
    .where(
        events.c.subject == bindparam("subject_is"),
        events.c.sequence > bindparam("sequence"),
        events.c.type == "breaker.opened",
    )
    .order_by(events.c.sequence)
    .limit(1)
)
_OPENED = Statement(
    select(events.c.at)
    .where(
        events.c.subject == bindparam("subject_is"),
        events.c.sequence <= bindparam("sequence"),
        events.c.type == "breaker.opened",
    )
    .order_by(events.c.sequence.desc())
    .limit(1)
)


def load(tx: Transaction) -> Watches:
    """Return everything that is remembered."""
    return {(row.breaker, row.version): read(row.kept) for row in _ALL.all(tx)}


def keep(
    tx: Transaction,
    was: int,
    to: int,
    changed: Mapping[tuple[str, int], Watch],
    dropped: Iterable[tuple[str, int]] = (),
) -> None:
    """Say that the ledger was looked at up to `to`, and what is remembered since.

    Raises `Conflict` if another looked at it meanwhile.
    """
    breaker_cursor.move(tx, was, to)
    for (breaker, version), watch in changed.items():
        _PUT.run(tx, breaker=breaker, version=version, kept=write(watch))
    for breaker, version in dropped:
        _DROP.run(tx, breaker_is=breaker, version_is=version)


def stood(tx: Transaction, breaker: str, sequence: int) -> tuple[str, int, str, int] | None:
    """Return the last event of a breaker up to a place in the ledger: its type, time and body,
    and when the breaker had tripped; None where there is none.

    A breaker that opened after that place is open there: what shows it comes before.
    """
    subject = f"breaker/{breaker}"
    opens = _OPENS.first(tx, subject_is=subject, sequence=sequence)
    if opens is not None:
        return opens.type, opens.at, *tx.vault.reveal(tx, [opens.body]), opens.at
    last = _LAST.first(tx, subject_is=subject, sequence=sequence)
    if last is None:
        return None
    opened = _OPENED.scalar(tx, subject_is=subject, sequence=sequence)
    return last.type, last.at, *tx.vault.reveal(tx, [last.body]), int(opened or 0)
