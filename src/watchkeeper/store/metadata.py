"""The one schema that every room adds its tables to."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import TEXT
from sqlalchemy.util import OrderedSet

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# 64 bits on both engines. Plain Integer holds 32 bits on PostgreSQL: too few for times and
# money. Plain BigInteger as a primary key is no row id on SQLite.
Whole = BigInteger().with_variant(Integer(), "sqlite")

# Sorted by bytes on both engines, as Python sorts text: pages are read by key.
Key = Text().with_variant(TEXT(collation="C"), "postgresql")

schema_version = Table(
    "schema_version",
    metadata,
    Column("id", Whole, primary_key=True, autoincrement=False),
    Column("version", Whole, nullable=False),
    Column("applied_at", Whole, nullable=False),
    Column("program", Text, nullable=False),
)


def create_tables(connection: Connection, tables: Sequence[Table] | None = None) -> None:
    """Create tables, all that are declared unless told, each with its indexes by name.

    SQLite breaks ties between indexes by the order in which they were made: in any other order
    than one that is always the same, a statement would be planned otherwise on each plane.
    """
    tables = metadata.sorted_tables if tables is None else tables
    for table in tables:
        table.indexes = OrderedSet(sorted(table.indexes, key=lambda index: str(index.name)))
    metadata.create_all(connection, tables=tables, checkfirst=False)
