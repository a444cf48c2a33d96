"""SQL statements compiled once, executed with the least work per call."""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import CursorResult, Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.compiler import SQLCompiler

if TYPE_CHECKING:
    from watchkeeper.store.transaction import Transaction

__all__ = ["Row", "Statement", "insert"]

Row = Any
"""A named tuple of the selected columns: ``row.status`` and ``row[0]``."""

_dialect = sqlite.dialect(paramstyle="qmark")


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
        self._plan: _Plan | None = None
        self._make: Callable[[Iterable[Any]], Row] | None = None

    def all(self, tx: Transaction, **params: Any) -> list[Row]:
        """Run it and return every row."""
        cursor, make = self._execute(tx, params)
        return [make(row) for row in cursor.fetchall()]

    def first(self, tx: Transaction, **params: Any) -> Row | None:
        """Run it and return the first row, or None."""
        cursor, make = self._execute(tx, params)
        row = cursor.fetchone()
        cursor.close()
        return None if row is None else make(row)

    def scalar(self, tx: Transaction, **params: Any) -> Any:
        """Run it and return the first column of the first row, or None."""
        cursor, _ = self._execute(tx, params)
        row = cursor.fetchone()
        cursor.close()
        return None if row is None else row[0]

    def run(self, tx: Transaction, **params: Any) -> int:
        """Run it and return how many rows it inserted, updated or deleted."""
        plan = self._plan or self._compile()
        driver = tx.driver
        if driver is None:
            plan.check(params)
            result = tx.connection.execute(self.element, params)
            count = result.rowcount
            result.close()
            return count
        cursor = driver.execute(plan.text, plan.bind(params))
        if cursor.description:
            cursor.fetchall()
        return cursor.rowcount

    def run_many(self, tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
        """Run it once for each mapping of values."""
        if not rows:
            return
        plan = self._plan or self._compile()
        driver = tx.driver
        if driver is None:
            for params in rows:
                plan.check(params)
            tx.connection.execute(self.element, rows)
            return
        driver.executemany(plan.text, [plan.bind(params) for params in rows])

    def _execute(
        self, tx: Transaction, params: dict[str, Any]
    ) -> tuple[sqlite3.Cursor | CursorResult[Any], Callable[[Iterable[Any]], Row]]:
        plan = self._plan or self._compile()
        driver = tx.driver
        if driver is None:
            plan.check(params)
            result = tx.connection.execute(self.element, params)
            make = self._make or self._learn(result.keys())
            return result, make
        cursor = driver.execute(plan.text, plan.bind(params))
        make = self._make or self._learn(column[0] for column in cursor.description)
        return cursor, make

    def _compile(self) -> _Plan:
        self._plan = _Plan(self.element)
        return self._plan

    def _learn(self, names: Iterable[str]) -> Callable[[Iterable[Any]], Row]:
        make: Callable[[Iterable[Any]], Row]
        make = namedtuple("Row", list(names), rename=True)._make  # type: ignore[attr-defined]
        self._make = make
        return make


class _Plan:
    """The SQL text for SQLite and how named values become positional ones."""

    def __init__(self, element: Executable) -> None:
        compiled = element.compile(dialect=_dialect)  # type: ignore[attr-defined]
        assert isinstance(compiled, SQLCompiler)
        self.text = str(compiled)
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
        self.check(params)
        if self._constants:
            params = {**self._constants, **params}
        if self._pick is not None:
            return self._pick(params)  # type: ignore[no-any-return]
        return [params[name] for name in self._names]
