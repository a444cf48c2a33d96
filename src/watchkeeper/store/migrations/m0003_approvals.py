"""Version 3: what approvals keep since; requests that were withdrawn are called cancelled."""

from __future__ import annotations

from sqlalchemy import Connection, inspect

from watchkeeper.store.migrations.columns import add_missing_columns


def apply(connection: Connection) -> None:
    """Add the columns, rename the state."""
    add_missing_columns(connection)
    if inspect(connection).has_table("requests"):
        connection.exec_driver_sql(
            "UPDATE requests SET state = 'cancelled' WHERE state = 'withdrawn'"
        )
