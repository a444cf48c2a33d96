"""What a unit of work sees: the connection, the time, and how to record events."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from sqlalchemy import Connection

from watchkeeper.core import ids
from watchkeeper.store.journal import Journal
from watchkeeper.store.vault import Vault


class Wire(Protocol):
    """PostgreSQL's own connection: text with ``$1`` and values in order."""

    def fetch(self, text: str, values: Sequence[Any], *, changes: bool) -> Sequence[Any]:
        """Return the rows; ``changes`` tells whether each is one that was changed."""
        ...

    def run(self, text: str, values: Sequence[Any]) -> int:
        """Return how many rows were changed."""
        ...

    def run_many(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run once for each row of values."""


class Deferred(Protocol):
    """Changes of one table that the units of a batch left to be written later, at once."""

    table: ClassVar[str]
    """The table's name."""

    def write(self, tx: Transaction) -> None:
        """Write them. Nobody adds to them any more."""


D = TypeVar("D", bound=Deferred)
_EMPTY = Vault()
"""Of what looks at tables that hold nothing of anybody."""


class Transaction:
    """One unit of work within the batch that the writer commits.

    ``connection`` is the SQLAlchemy connection; ``driver`` the raw one on SQLite and
    ``wire`` the raw one of PostgreSQL's writer, both for ``Statement``; ``now`` the time at
    the start of the unit in microseconds; ``waiting`` what the batch has not written yet, by
    table, and ``deferrals`` counts what this unit left so; ``vault`` keeps personal data. A unit
    neither commits nor rolls back: it returns, or raises to undo all that it did.
    """

    __slots__ = (
        "_callbacks",
        "_connection",
        "_journal",
        "_silent",
        "deferrals",
        "driver",
        "now",
        "vault",
        "waiting",
        "wire",
    )

    def __init__(
        self,
        connection: Connection,
        driver: sqlite3.Connection | None,
        now: int,
        journal: Journal | None,
        wire: Wire | None = None,
        waiting: dict[str, Deferred] | None = None,
        vault: Vault | None = None,
    ) -> None:
        self.vault = vault or _EMPTY
        self._connection = connection
        self.driver = driver
        self.wire = wire
        self.waiting = {} if waiting is None else waiting
        self.deferrals = 0
        self.now = now
        self._journal = journal
        self._callbacks: list[Callable[[], None]] = []
        self._silent = False

    @property
    def connection(self) -> Connection:
        """SQLAlchemy's connection, which sees all that was done."""
        if self.waiting:
            self.write_deferred()
        return self._connection

    def deferred(self, kind: type[D]) -> D:
        """Return what this batch has not written yet of a table, to change it.

        It is written once, when the batch ends or before a statement looks at the table.
        """
        self.deferrals += 1
        found = self.waiting.get(kind.table)
        if found is None:
            found = self.waiting[kind.table] = kind()
        assert isinstance(found, kind)
        return found

    def as_stored(self) -> Transaction:
        """Return what sees the tables as they are stored, whatever waits to be written."""
        return Transaction(
            self._connection, self.driver, self.now, None, self.wire, None, self.vault
        )

    def write_deferred(self, tables: Iterable[str] | None = None) -> None:
        """Write what the batch left to be written of some tables, or of all."""
        for table in tuple(self.waiting) if tables is None else tables:
            left = self.waiting.pop(table, None)
            if left is not None:
                try:
                    left.write(self)
                except Exception:
                    # not only this unit is to hear of it, but whoever left it
                    self.waiting[table] = left
                    raise

    def new_id(self, prefix: str) -> str:
        """Return a new id that sorts by this unit's time."""
        return ids.new_at(prefix, self.now)

    def record(
        self,
        type: str,
        *,
        actor: str,
        subject: str,
        body: Mapping[str, Any],
        agent: str | None = None,
        run: str | None = None,
        request: str | None = None,
        whose: str | None = None,
        screened: bool = False,
    ) -> int:
        """Append an event to the ledger in this unit and return its sequence.

        What is personal in the body goes to the vault, and all that is of `whose` behalf it was
        done on; ``screened`` says that there is none left in it. The row itself is inserted when
        the batch ends. Raises ``Invalid`` for a body that
        has no canonical form, ``TooLarge`` for one beyond 64 KiB.
        """
        if self._journal is None:
            raise RuntimeError(
                "a read, a unit that has ended, or one not durable cannot record events"
            )
        if not screened:
            body = self.vault.screen(self, body, run or request or "", whose)
        return self._journal.append(self.now, type, actor, subject, agent, run, request, body)

    def silent(self, reason: str) -> None:
        """Let this unit change rows without an event; ``reason`` says why, to the reader."""
        if not reason:
            raise ValueError("say why this change has no event")
        self._silent = True

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Run ``callback`` on the event loop once this unit is durable, and only then."""
        self._callbacks.append(callback)

    def end(self) -> list[Callable[[], None]]:
        """Take away the power to record; return the callbacks. For the writer."""
        self._journal = None
        return self._callbacks

    @property
    def is_silent(self) -> bool:
        """Whether the unit declared that it changes rows without an event."""
        return self._silent
