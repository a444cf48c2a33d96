"""What a step may take for granted: columns declared since are added, empty or with a default."""

from __future__ import annotations

from sqlalchemy import Connection, inspect

from watchkeeper.store.metadata import metadata


def add_missing_columns(connection: Connection) -> None:
    """Add every declared column that a table lacks, with the indexes over them.

    Rows that are there have its default in it, or nothing.
    """
    inspector = inspect(connection)
    present = set(inspector.get_table_names())
    quote = connection.dialect.identifier_preparer.quote
    for table in metadata.sorted_tables:
        if table.name not in present:
            continue
        known = {column["name"] for column in inspector.get_columns(table.name)}
        missing = [column for column in table.columns if column.name not in known]
        for column in missing:
            kind = column.type.compile(connection.dialect)
            default = getattr(column.default, "arg", None)
            if isinstance(default, int):
                kind += f" NOT NULL DEFAULT {default}"
            connection.exec_driver_sql(
                f"ALTER TABLE {quote(table.name)} ADD COLUMN {quote(column.name)} {kind}"
            )
        indexed = {index["name"] for index in inspector.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in indexed:
                index.create(connection)
