"""How long a hand-over takes to generate over a long queue: `python -m tests.benchmarks.handover`.

Prints milliseconds for the draft of one role over pending and decided requests of two roles.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.approvals.ground import wanted
from watchkeeper.approvals.opening import open_request
from watchkeeper.approvals.tables import requests
from watchkeeper.core.clock import SystemClock
from watchkeeper.decide.catalogue import build_catalogue
from watchkeeper.decide.people.handover.draft import draft
from watchkeeper.registry.service import apply, read_standing
from watchkeeper.registry.source import read_file
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

_AT_ONCE = 5_000
_ROLES = "role: {name: ops, members: [owner, ada]}\n---\nrole: {name: dev, members: [owner]}\n"


def _fill(tx: Transaction, start: int, count: int, decided: bool) -> None:
    tx.silent("a measured store is filled")
    row = dict(tx.connection.execute(requests.select().limit(1)).one()._mapping)
    rows = []
    for number in range(start, start + count):
        changed = {
            "request": f"req_{'d' if decided else 'p'}{number:08d}",
            "run": f"run_{decided}_{number}",
            "asked": json.dumps(["ops" if number % 2 else "dev"]),
            "level": 1 + (number % 10 == 0),
        }
        if decided:
            by = f"person/p{number % 20}"
            state = "denied" if number % 7 == 0 else "succeeded"
            changed |= {"state": state, "decided_by": by, "decided_at": tx.now}
        rows.append({**row, **changed})
    tx.connection.execute(requests.insert(), rows)


async def measure(pending: int, decided: int, times: int) -> list[float]:
    """Return how long each of some drafts took, in milliseconds."""
    with tempfile.TemporaryDirectory() as place:
        store = await Store.open(f"sqlite:///{Path(place) / 'plane.sqlite3'}", SystemClock())
        try:
            documents = read_file("roles.yaml", _ROLES)
            await store.write(lambda tx: apply(tx, documents, actor="person/ada"))
            await store.write(lambda tx: open_request(tx, wanted(sla_seconds=86_400)))
            for kind, count in ((False, pending), (True, decided)):
                for start in range(0, count, _AT_ONCE):
                    many = min(_AT_ONCE, count - start)
                    await store.write(partial(_fill, start=start, count=many, decided=kind))
            catalogue = await store.read(lambda tx: build_catalogue(read_standing(tx)))
            took = []
            for _ in range(times):
                began = time.perf_counter()
                found = await store.scan(
                    lambda tx: draft(
                        tx, catalogue, person="ada", names=frozenset({"ada"}), owner=False,
                        role="ops", schedule=None, caps=(), sequence=store.head,
                    )
                )  # fmt: skip
                took.append((time.perf_counter() - began) * 1000)
            assert found.sections[0].total >= pending // 2
            return took
        finally:
            await store.close()


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pending", type=int, default=100_000)
    parser.add_argument("--decided", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    took = asyncio.run(measure(given.pending, given.decided, given.times))
    print(
        f"{given.pending:,} pending, {given.decided:,} decided: "
        f"median {statistics.median(took):.0f} ms, worst {max(took):.0f} ms"
    )


if __name__ == "__main__":
    main()
