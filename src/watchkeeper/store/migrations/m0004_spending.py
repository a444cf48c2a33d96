"""Version 4: budgets count more measures, and decisions keep where model calls went."""

from __future__ import annotations

from sqlalchemy import Connection

from watchkeeper.store.migrations.columns import add_missing_columns


def apply(connection: Connection) -> None:
    """Add the columns."""
    add_missing_columns(connection)
