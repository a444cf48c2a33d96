"""Version 1: every table that the rooms declare, and an empty ledger."""

from __future__ import annotations

from sqlalchemy import Connection, insert

from watchkeeper.store.journal import GENESIS, ledger_head
from watchkeeper.store.metadata import create_tables


def apply(connection: Connection) -> None:
    """Create the tables and the ledger's head."""
    create_tables(connection)
    connection.execute(insert(ledger_head).values(id=1, sequence=0, chain_hash=GENESIS.hex()))
