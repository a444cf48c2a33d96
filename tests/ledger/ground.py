"""A ledger with its log, small and on disk, for tests that alter it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Connection

from tests.rig.stores import sqlite_url
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.ledger.anchors.service import Anchoring
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.ledger.verification import Verification
from watchkeeper.store.journal import GENESIS, chain_of, entry_bytes, events, leaf_of, ledger_head
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

OWNER = "spiffe://watchkeeper.local/person/owner"
NAME = "test.watchkeeper/plane-1"


async def open_log(directory: Path, clock: RehearsalClock | None = None) -> Log:
    """Open a store with its log, as a plane does when it starts."""
    store = await Store.open(sqlite_url(directory), clock or RehearsalClock(frozen=True))
    log = Log(store, directory, NAME)
    await log.open()
    body = {"version": "1", "port": 1, "ledger_key": log.key.text()}
    await store.write(
        lambda tx: tx.record("plane.started", actor="plane", subject="plane/p", body=body)
    )
    return log


async def note(log: Log, count: int) -> None:
    """Record so many events."""

    def unit(tx: Transaction) -> None:
        for number in range(count):
            tx.record("noted", actor=OWNER, subject=f"s{number}", body={"number": number})

    await log.store.write(unit)


def row_at(connection: Connection, sequence: int) -> dict[str, Any]:
    """One stored event."""
    return dict(
        connection.execute(select(events).where(events.c.sequence == sequence)).one()._mapping
    )


def rewrite(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Put other events in the ledger's place, with hashes and chain that fit."""
    connection.execute(delete(events))
    chain, written = GENESIS, []
    for number, row in enumerate(rows, 1):
        found = row | {"sequence": number}
        entry = entry_bytes(*(found[c.name] for c in list(events.c)[:9]))
        leaf = leaf_of(entry)
        chain = chain_of(chain, leaf)
        written.append(found | {"leaf_hash": leaf.hex(), "chain_hash": chain.hex()})
    if written:
        connection.execute(insert(events), written)
    head = {"sequence": len(written), "chain_hash": chain.hex()}
    connection.execute(update(ledger_head).values(head))


def all_rows(connection: Connection) -> list[dict[str, Any]]:
    """Every stored event."""
    found = connection.execute(select(events).order_by(events.c.sequence))
    return [dict(row._mapping) for row in found]


async def verified(audit: LedgerAudit) -> Verification:
    found, troubles = await audit.verify()
    assert troubles == {}
    return found


def run(*command: str, place: Path | None = None) -> bytes:
    """Run a program to its end and return what it prints."""
    return subprocess.run(command, cwd=place, check=True, capture_output=True).stdout


def only(anchoring: Anchoring) -> Any:
    (standing,) = anchoring.standings
    return standing
