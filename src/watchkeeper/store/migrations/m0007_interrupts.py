"""Version 7: an interrupt keeps no answer of its own: its request's decision is the answer."""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, Table, inspect, select

from watchkeeper.store.metadata import metadata

_TABLE = "runtime_interrupts"


def apply(connection: Connection) -> None:
    """Make the table anew without the columns that nothing reads, and move what is in it.

    SQLite before 3.35 has no other way to drop a column.
    """
    table = metadata.tables.get(_TABLE)
    inspector = inspect(connection)
    if table is None or not inspector.has_table(_TABLE):
        return
    present = {column["name"] for column in inspector.get_columns(_TABLE)}
    kept = [column for column in table.columns if column.name in present]
    copy = Table("interrupts_moved", MetaData(), *(Column(one.name, one.type) for one in kept))
    copy.create(connection)
    connection.execute(copy.insert().from_select(list(copy.columns), select(*kept)))
    table.drop(connection)
    table.create(connection)
    connection.execute(table.insert().from_select(kept, select(*copy.columns)))
    copy.drop(connection)
