"""How long a bundle of a period takes, and how much memory: `python -m tests.benchmarks.evidence`.

Writes ledgers of several lengths to a temporary directory, exports all of each, verifies it, and
prints times, sizes and the most memory that either took.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.ledger.ground import OWNER, open_log
from watchkeeper.core.evidence.check import verify
from watchkeeper.core.evidence.single import single_file
from watchkeeper.decide.evidence.bundle import Bundle
from watchkeeper.decide.evidence.selecting import Asked
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.store.transaction import Transaction

SIZES = (10_000, 100_000, 300_000)
_AT_ONCE = 2_000
_BODY = {
    "kind": "tool",
    "name": "books.lookup_charge",
    "rule": "contract/tools",
    "reason": "x" * 300,
}


async def fill(log: Log, count: int) -> None:
    """Record so many decisions."""

    def unit(tx: Transaction) -> None:
        for number in range(_AT_ONCE):
            tx.record("decision.permitted", actor=OWNER, subject=f"decision/{number}",
                      agent="clerk", run=f"run_{number % 50}", body=_BODY)  # fmt: skip

    for _ in range(count // _AT_ONCE):
        await log.store.write(unit)
    await log.advance(now=True)


async def export(place: Path, to: Path, *, fresh: int = 0) -> str:
    """Export all of a ledger; return the log's key."""
    log = await open_log(place)
    if fresh:
        await fill(log, fresh)
    else:
        asked = Asked("period", begins=0, ends=1 << 60)
        bundle = Bundle(log.store, LedgerAudit(log), asked, by=OWNER)
        await bundle.open()
        with to.open("wb") as file:
            async for part in bundle.stream():
                file.write(part)
    key = log.key.text()
    await log.store.close()
    return key


def child(work: str, place: Path, to: Path, key: str = "") -> str:
    """Do one thing in a process of its own; print its seconds and most memory."""
    command = [sys.executable, "-m", "tests.benchmarks.evidence", work, str(place), str(to), key]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def most() -> int:
    """Return the most memory that this process ever had, in MB."""
    (line,) = [one for one in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in one]
    return int(line.split()[1]) // 1024


def main() -> None:
    """Measure, or do what a parent asked."""
    if len(sys.argv) > 1:
        work, state, written, key = sys.argv[1:]
        single_file()
        began = time.perf_counter()
        before = most()
        if work == "export":
            asyncio.run(export(Path(state), Path(written)))
        else:
            assert not verify(written, (key,)).failed
        took = time.perf_counter() - began
        print(f"{took:.1f} s, {most()} MB at most ({before} before)")
        return
    for size in SIZES:
        with tempfile.TemporaryDirectory() as directory:
            place, to = Path(directory), Path(directory, "it.tar")
            key = asyncio.run(export(place, to, fresh=size))
            print(f"{size:,} entries: export {child('export', place, to)}", end="; ")
            print(f"{to.stat().st_size / 1e6:.0f} MB; verify {child('verify', place, to, key)}")


if __name__ == "__main__":
    main()
