"""SQL statements compiled once, executed with the least work per call."""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Dialect, Executable, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import asyncpg, insert
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler

if TYPE_CHECKING:
    from watchkeeper.store.transaction import Transaction

__all__ = ["Row", "Statement", "insert"]

Row = Any
"""A named tuple of the selected columns: ``row.status`` and ``row[0]``."""

_SQLITE = sqlite.dialect(paramstyle="qmark")
_POSTGRES = asyncpg.dialect()  # type: ignore[no-untyped-call]


class Statement:
    """A SQLAlchemy Core statement for hot paths, the same on SQLite and PostgreSQL.

    Values come by name through ``bindparam("name")``. For ``ON CONFLICT`` build it with
    :func:`insert` of this module, which both engines understand. Lists that expand
    (``IN``) are for ``tx.connection.execute``. A missing or unknown value raises
    ``TypeError``; errors of the database leave the unit of work as
    :class:`~watchkeeper.core.errors.WatchkeeperError`.
    """

    def __init__(self, element: Executable) -> None:
        self.element = element
        parts = visitors.iterate(element)  # type: ignore[arg-type]
        self.tables = frozenset(part.name for part in parts if isinstance(part, Table))
        """The names of all that it reads and changes."""
        self._local: _Plan | None = None
        self._remote: _Plan | None = None
        self._make: Callable[[Iterable[Any]], Row] | None = None

    def all(self, tx: Transaction, **params: Any) -> list[Row]:
        """Run it and return every row."""
        if tx.waiting and not self.tables.isdisjoint(tx.waiting):
            tx.write_deferred(self.tables)
        if tx.driver is None:
            rows = self._fetch(tx, params)
            return [self._make(row) for row in rows] if self._make else []
        cursor = self._execute(tx.driver, params)
        make = self._make or self._learn(column[0] for column in cursor.description)
        return [make(row) for row in cursor.fetchall()]

    def first(self, tx: Transaction, **params: Any) -> Row | None:
        """Run it and return the first row, or None."""
        if tx.waiting and not self.tables.isdisjoint(tx.waiting):
            tx.write_deferred(self.tables)
        if tx.driver is None:
            rows = self._fetch(tx, params)
            return self._make(rows[0]) if rows and self._make else None
        cursor = self._execute(tx.driver, params)
        make = self._make or self._learn(column[0] for column in cursor.description)
        row = cursor.fetchone()
        cursor.close()
        return None if row is None else make(row)

    def scalar(self, tx: Transaction, **params: Any) -> Any:
        """Run it and return the first column of the first row, or None."""
        if tx.waiting and not self.tables.isdisjoint(tx.waiting):
            tx.write_deferred(self.tables)
        if tx.driver is None:
            rows = self._fetch(tx, params)
            return rows[0][0] if rows else None
        cursor = self._execute(tx.driver, params)
        row = cursor.fetchone()
        cursor.close()
        return None if row is None else row[0]

    def run(self, tx: Transaction, **params: Any) -> int:
        """Run it and return how many rows it inserted, updated or deleted."""
        if tx.waiting and not self.tables.isdisjoint(tx.waiting):
            tx.write_deferred(self.tables)
        if tx.wire is not None:
            plan = self._remote_plan()
            return tx.wire.run(plan.text, plan.bind(params))
        if tx.driver is None:
            self._local_plan().check(params)
            result = tx.connection.execute(self.element, params)
            count = result.rowcount
            result.close()
            return count
        cursor = self._execute(tx.driver, params)
        if cursor.description:
            cursor.fetchall()
        return cursor.rowcount

    def run_many(self, tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
        """Run it once for each mapping of values."""
        if not rows:
            return
        if tx.waiting and not self.tables.isdisjoint(tx.waiting):
            tx.write_deferred(self.tables)
        if tx.wire is not None:
            plan = self._remote_plan()
            tx.wire.run_many(plan.text, [plan.bind(params) for params in rows])
        elif tx.driver is None:
            for params in rows:
                self._local_plan().check(params)
            tx.connection.execute(self.element, rows)
        else:
            plan = self._local_plan()
            tx.driver.executemany(plan.text, [plan.bind(params) for params in rows])

    def _execute(self, driver: sqlite3.Connection, params: dict[str, Any]) -> sqlite3.Cursor:
        plan = self._local or self._local_plan()
        return driver.execute(plan.text, plan.bind(params))

    def _fetch(self, tx: Transaction, params: dict[str, Any]) -> Sequence[Sequence[Any]]:
        """Return all rows from PostgreSQL: the writer's wire, or a reader's connection."""
        if tx.wire is not None:
            plan = self._remote_plan()
            records = tx.wire.fetch(plan.text, plan.bind(params), changes=plan.changes)
            if records and self._make is None:
                self._learn(records[0].keys())
            return records
        self._local_plan().check(params)
        result = tx.connection.execute(self.element, params)
        if self._make is None:
            self._learn(result.keys())
        return result.all()

    def _local_plan(self) -> _Plan:
        if self._local is None:
            self._local = _Plan(self.element, _SQLITE)
        return self._local

    def _remote_plan(self) -> _Plan:
        if self._remote is None:
            self._remote = _Plan(self.element, _POSTGRES)
        return self._remote

    def _learn(self, names: Iterable[str]) -> Callable[[Iterable[Any]], Row]:
        make: Callable[[Iterable[Any]], Row]
        make = namedtuple("Row", list(names), rename=True)._make  # type: ignore[attr-defined]
        self._make = make
        return make


class _Plan:
    """The SQL text for one engine and how named values become positional ones."""

    def __init__(self, element: Executable, dialect: Dialect) -> None:
        compiled = element.compile(dialect=dialect)  # type: ignore[attr-defined]
        assert isinstance(compiled, SQLCompiler)
        self.text = str(compiled)
        self.changes = compiled.isinsert or compiled.isupdate or compiled.isdelete
        names = tuple(compiled.positiontup or ())
        defaults = compiled.params
        self._constants = {
            name: defaults[name] for name in names if not compiled.binds[name].required
        }
        self._required = frozenset(names) - self._constants.keys()
        self._names = names
        self._pick = itemgetter(*names) if len(names) > 1 else None

    def check(self, params: dict[str, Any]) -> None:
        """Raise ``TypeError`` unless each value that the statement needs is there, no other."""
        if params.keys() != self._required:
            missing = sorted(self._required - params.keys())
            unknown = sorted(params.keys() - self._required)
            raise TypeError(f"missing values {missing}, unknown values {unknown} in: {self.text}")

    def bind(self, params: dict[str, Any]) -> Sequence[Any]:
        """Return the values in the order of the text's question marks."""
        if len(params) != len(self._required):
            self.check(params)
        values = {**self._constants, **params} if self._constants else params
        try:
            if self._pick is not None:
                return self._pick(values)  # type: ignore[no-any-return]
            return [values[name] for name in self._names]
        except KeyError:  # as many values as needed, but others
            self.check(params)
            raise
