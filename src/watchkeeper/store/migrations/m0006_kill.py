"""Version 6: receipts are kept by party, and locks are named by what they do."""

from __future__ import annotations

from sqlalchemy import Connection, inspect

from watchkeeper.store.metadata import metadata
from watchkeeper.store.migrations.columns import add_missing_columns


def apply(connection: Connection) -> None:
    """Add the columns, move the receipts, rename the mode."""
    add_missing_columns(connection)
    tables = inspect(connection).get_table_names()
    if "locks" in tables:
        connection.exec_driver_sql("UPDATE locks SET mode = 'stop' WHERE mode = 'kill'")
    moved = metadata.tables.get("lock_receipts")
    if "receipts" in tables and moved is not None:
        moved.create(connection, checkfirst=True)
        connection.exec_driver_sql(
            "INSERT INTO lock_receipts (lock, effect, party, state, detail, at, attempts) "
            "SELECT lock, effect, 'plane', state, detail, at, 1 FROM receipts"
        )
        connection.exec_driver_sql("DROP TABLE receipts")
