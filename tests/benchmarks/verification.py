"""What verifying a ledger takes, as a ratio to raw SHA-256 over the same bytes.

`python -m tests.benchmarks.verification [--events 1000000] [--rounds 3] [--json FILE]`. A SQLite
ledger of so many events like those of decisions is made in a directory of its own, with its log
(tiles, a checkpoint every 256 events). Raw is one SHA-256 for each entry, as its leaf is made,
over the same bytes in memory. Both run in the same process, one after the other, in each round;
counted is the CPU time of their thread, which a busy machine does not change.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from watchkeeper.core.clock import SystemClock
from watchkeeper.ledger.claims import Published
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.verification import verify
from watchkeeper.store.journal import Journal, entry_bytes
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

_AT_ONCE = 5000
BODY: dict[str, Any] = {
    "action": "books.create_refund", "arguments": "sha256:" + "a1" * 32, "cost_micros": 1200,
    "decision": "dec_01k9zq8m3h4v5w6x7y8z9a0b1c", "name": "books.create_refund",
    "principal": "person/ada", "reason": "within the limits of the contract",
    "rule": "contract/refund-assistant#tools", "trace": "0af7651916cd43dd8448eb211c80319c",
    "version": 7,
}  # fmt: skip


async def fill(log: Log, events: int, every: int) -> float:
    """Record so many events and grow the log; return the seconds that the log took."""
    body = {"ledger_key": log.key.text()}
    await log.store.write(
        lambda tx: tx.record("plane.started", actor="plane", subject="plane/p", body=body)
    )
    await asyncio.to_thread(record, log.tiles.directory.parent / "plane.sqlite3", events)
    began = time.perf_counter()
    async with log._turn:
        await log._load()
        for size in (*range(every, events, every), events):
            await log._grow(size)
            await log._sign()
    return time.perf_counter() - began


def record(path: Path, events: int) -> None:
    """Write events as the journal makes them, without a unit of work for each."""
    database = sqlite3.connect(path, isolation_level=None)
    journal = Journal()
    row = database.execute("SELECT sequence, chain_hash FROM ledger_head").fetchone()
    journal.load(*row)
    while journal.sequence < events:
        for number in range(journal.sequence, min(journal.sequence + _AT_ONCE, events)):
            journal.append(
                1_763_769_600_000_000 + number, "decision.permitted", "agent/refunds",
                "decision/dec_01k9zq8m3h4v5w6x7y8z9a0b1c", "refunds",
                "run_01k9zq8m3h4v5w6x7y8z9a0b1c", None, BODY | {"number": number},
            )  # fmt: skip
        database.execute("BEGIN IMMEDIATE")
        marks = ",".join("?" * 11)
        database.executemany(f"INSERT INTO events VALUES ({marks})", journal.pending)
        head = (journal.sequence, journal.chain.hex())
        database.execute("UPDATE ledger_head SET sequence = ?, chain_hash = ?", head)
        database.execute("COMMIT")
        journal.pending = []
    database.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wk-verification-") as scratch:
        figures = asyncio.run(measure(Path(scratch), given))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))


async def measure(scratch: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of every round."""
    url = f"sqlite:///{scratch / 'plane.sqlite3'}"
    async with await Store.open(url, SystemClock()) as store:
        log = Log(store, scratch, "bench.watchkeeper/plane-1")
        await log.open()
        growing = await fill(log, given.events, given.every)
        print(f"log of {given.events:,} events, checkpoint every {given.every}: {growing:.1f} s")
        assert log.last is not None
        published = Published(log.last.id, log.tiles.read("checkpoint"))
        rounds = []
        for _ in range(given.rounds):
            raw, size = await asyncio.to_thread(hash_all, scratch / "plane.sqlite3")
            whole = await store.scan(lambda tx: taken(tx, tiles=log.tiles, published=published))
            rows = await store.scan(taken)
            rounds.append({"raw": raw, "whole": whole, "without_files": rows, "bytes": size})
            print(
                f"raw SHA-256 {raw:.2f} s over {size / 1e6:.0f} MB; verification {whole:.2f} s "
                f"({given.events / whole:,.0f} events/s), {whole / raw:.1f} times raw; without "
                f"the files {rows:.2f} s, {rows / raw:.1f} times"
            )
    return {"events": given.events, "growing": growing, "rounds": rounds}


def taken(tx: Transaction, **against: Any) -> float:
    """Return the seconds of CPU that a verification takes."""
    began = time.thread_time()
    found = verify(tx, **against)
    assert found.ok, found
    return time.thread_time() - began


def hash_all(path: Path) -> tuple[float, int]:
    """Return the seconds that hashing each entry takes, without reading it, and the bytes."""
    seconds, size = 0.0, 0
    database = sqlite3.connect(path)
    cursor = database.execute("SELECT * FROM events ORDER BY sequence")
    while page := cursor.fetchmany(_AT_ONCE):
        entries = [b"\0" + entry_bytes(*row[:9]) for row in page]
        size += sum(map(len, entries))
        began = time.thread_time()
        for entry in entries:
            hashlib.sha256(entry).digest()
        seconds += time.thread_time() - began
    database.close()
    return seconds, size


if __name__ == "__main__":
    main()
