"""Version 5: two indexes hold only the rows that are looked for through them."""

from __future__ import annotations

from sqlalchemy import Connection, inspect

from watchkeeper.store.metadata import metadata

_NARROWED = ("ix_events_request_sequence", "decisions_by_name")


def apply(connection: Connection) -> None:
    """Make them anew."""
    present = set(inspect(connection).get_table_names())
    for table in metadata.sorted_tables:
        for index in table.indexes:
            if table.name in present and index.name in _NARROWED:
                index.drop(connection, checkfirst=True)
                index.create(connection)
