"""Version 2: columns that the boundary added to tables of version 1."""

from __future__ import annotations

from sqlalchemy import Connection

from watchkeeper.store.migrations.columns import add_missing_columns


def apply(connection: Connection) -> None:
    """Add them."""
    add_missing_columns(connection)
