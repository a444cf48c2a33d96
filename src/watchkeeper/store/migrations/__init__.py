"""Numbered steps from an empty database to the schema that this program needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, inspect, select, update

from watchkeeper import __version__
from watchkeeper.core.errors import Conflict
from watchkeeper.store.metadata import create_tables, metadata, schema_version
from watchkeeper.store.migrations import (
    m0001_initial,
    m0002_boundary,
    m0003_approvals,
    m0004_spending,
    m0005_indexes,
    m0006_kill,
    m0007_interrupts,
)


class Migration(NamedTuple):
    """One step, applied once, in one transaction with its version."""

    version: int
    apply: Callable[[Connection], None]


MIGRATIONS = (
    Migration(1, m0001_initial.apply),
    Migration(2, m0002_boundary.apply),
    Migration(3, m0003_approvals.apply),
    Migration(4, m0004_spending.apply),
    Migration(5, m0005_indexes.apply),
    Migration(6, m0006_kill.apply),
    Migration(7, m0007_interrupts.apply),
)
LATEST = MIGRATIONS[-1].version


def stored_version(connection: Connection) -> int:
    """Return the version of the stored schema; 0 for an empty database."""
    if not inspect(connection).has_table(schema_version.name):
        return 0
    return connection.scalar(select(func.max(schema_version.c.version))) or 0


def migrate(connection: Connection, now: int, *, apply: bool = True) -> int:
    """Bring the schema to the latest version; return the version it had.

    The caller owns the transaction. Raises :class:`Conflict` if the schema is newer than
    this program, or older while ``apply`` is false.
    """
    version = stored_version(connection)
    if version > LATEST:
        raise Conflict(
            f"the database has schema {version}; this program ({__version__}) knows {LATEST}",
            code="schema_newer",
            remedy="start the version of Watchkeeper that last used it, or a newer one",
        )
    if version < LATEST and not apply:
        raise Conflict(
            f"the database has schema {version}; this program ({__version__}) needs {LATEST}",
            code="schema_older",
            remedy="start the plane once to migrate it",
        )
    # what the first step makes is what is declared today: nothing is left for the others
    steps = [step for step in MIGRATIONS if step.version > version] if version else MIGRATIONS[:1]
    for step in steps:
        step.apply(connection)
    if version < LATEST:
        _write_version(connection, LATEST, now)
    if apply:
        _add_missing_tables(connection)
    return version


def _write_version(connection: Connection, version: int, now: int) -> None:
    values = {"version": version, "applied_at": now, "program": __version__}
    changed = connection.execute(update(schema_version).values(values)).rowcount
    if not changed:
        connection.execute(insert(schema_version).values(id=1, **values))


def _add_missing_tables(connection: Connection) -> None:
    """Create tables of rooms that were not loaded when the database was made."""
    present = set(inspect(connection).get_table_names())
    missing = [table for table in metadata.sorted_tables if table.name not in present]
    create_tables(connection, missing)
