"""What a unit of work sees: the connection, the time, and how to record events."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection

from watchkeeper.core import ids
from watchkeeper.store.journal import Journal


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


class Transaction:
    """One unit of work within the batch that the writer commits.

    ``connection`` is the SQLAlchemy connection; ``driver`` the raw one on SQLite and
    ``wire`` the raw one of PostgreSQL's writer, both for ``Statement``; ``now`` the time at
    the start of the unit in microseconds. A unit neither commits nor rolls back: it
    returns, or raises to undo all that it did.
    """

    __slots__ = ("_callbacks", "_journal", "_silent", "connection", "driver", "now", "wire")

    def __init__(
        self,
        connection: Connection,
        driver: sqlite3.Connection | None,
        now: int,
        journal: Journal | None,
        wire: Wire | None = None,
    ) -> None:
        self.connection = connection
        self.driver = driver
        self.wire = wire
        self.now = now
        self._journal = journal
        self._callbacks: list[Callable[[], None]] = []
        self._silent = False

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
    ) -> int:
        """Append an event to the ledger in this unit and return its sequence.

        The row itself is inserted when the batch ends. Raises ``Invalid`` for a body that
        has no canonical form, ``TooLarge`` for one beyond 64 KiB.
        """
        if self._journal is None:
            raise RuntimeError("a read, or a unit that has ended, cannot record events")
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
