"""What the quality of approving, hints and standing approvals cost beside 100,000 requests.

`python -m tests.benchmarks.quality [--requests 100000] [--json FILE]`. The requests and their
votes are inserted decided, as rows; quality and hints are then read off the write path as the
API does, while a task counts how late the event loop runs. Last, a use of a standing approval
is timed: what finds it, checks its votes, and counts it down, in one unit of work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from tests.approvals.ground import wanted
from tests.approvals.standing_ground import AGENT, CENT, TOOL, cast, propose, use
from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.alike import alike
from watchkeeper.approvals.quality.reading import read_quality
from watchkeeper.approvals.quality.recent import read_hints
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.standing import service as standing
from watchkeeper.approvals.tables import requests, votes
from watchkeeper.core.clock import MICROSECONDS, SystemClock
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

HELD = {f"person-{n}": frozenset({f"role-{n % 7}"}) for n in range(40)}
ROUNDS = 7
USES = 2000
AT_ONCE = 2000


async def fill(store: Store, count: int) -> None:
    """Insert decided requests, each with one or two votes, over the last 30 days."""
    first = await store.write(lambda tx: approvals.open_request(tx, wanted()))
    row = (await store.read(lambda tx: find(tx, first)))._asdict()
    now = store.clock.now()
    for begin in range(0, count, AT_ONCE):
        rows, cast_ = [], []
        for n in range(begin, min(begin + AT_ONCE, count)):
            at = now - (count - n) * (30 * 86_400 * MICROSECONDS // count)
            arguments = {
                "charge_id": f"ch_{n % 50}",
                "amount_usd": n % 900,
                "note": "x" * (n % 400),
            }
            text = json.dumps(arguments)
            tool = f"tool-{n % 60}"
            decided = {
                "request": f"req_{n:09}", "run": f"run_{n}", "digest": f"sha256:{n}", "tool": tool,
                "state": "denied" if n % 9 == 0 else "succeeded", "role": f"role-{n % 7}",
                "decided_by": f"person/person-{n % 40}", "decided_at": at, "created_at":
                at - (n % 600) * MICROSECONDS, "decide_by": at + 300 * MICROSECONDS,
                "canonical": text, "arguments": text,
                "alike": alike(AGENT, tool, "charge", arguments), "next_at": None,
            }  # fmt: skip
            rows.append({**row, **decided})
            for k in range(1 + n % 2):
                cast_.append(
                    {
                        **dict.fromkeys(column.name for column in votes.c),
                        "request": f"req_{n:09}",
                        "person_key": f"person-{(n + k) % 40}",
                        "person": f"person/person-{(n + k) % 40}",
                        "role": f"role-{n % 7}",
                        "verdict": "reject" if n % 9 == 0 else "approve",
                        "digest": f"sha256:{n}",
                        "view_ms": n % 20_000,
                        "at": at,
                    }
                )

        def unit(tx: Transaction, rows: Any = rows, cast_: Any = cast_) -> None:
            tx.silent("a benchmark fills the store")
            tx.connection.execute(insert(requests), rows)
            tx.connection.execute(insert(votes), cast_)

        await store.write(unit)


async def scan(store: Store, query: Callable[[Transaction], Any]) -> dict[str, float]:
    """Return how long a query takes off the write path, and how late the loop runs meanwhile."""
    took, used, late = [], [], [0.0]
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def watch(due: float) -> None:
        late.append(loop.time() - due)
        if not done.is_set():
            then = loop.time() + 0.005
            loop.call_at(then, watch, then)

    def timed(tx: Transaction) -> None:
        begin = time.thread_time()
        query(tx)
        used.append(time.thread_time() - begin)

    watch(loop.time())
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        await store.scan(timed)
        took.append(time.perf_counter() - begin)
    done.set()
    return {
        "processor_ms": round(statistics.median(used) * 1000, 1),
        "median_ms": round(statistics.median(took) * 1000, 1),
        "most_ms": round(max(took) * 1000, 1),
        "loop_late_ms": round(max(late) * 1000, 1),
    }


async def measure(count: int) -> dict[str, Any]:
    """Fill a store of its own and return the figures."""
    figures: dict[str, Any] = {"requests": count}
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{Path(directory) / 'plane.sqlite3'}"
        async with await Store.open(url, SystemClock()) as store:
            await fill(store, count)
            now = store.clock.now()
            since = now - 31 * 86_400 * MICROSECONDS
            for by in ("role", "person", "tool"):
                figures[f"quality_by_{by}"] = await scan(
                    store,
                    lambda tx, by=by: read_quality(  # type: ignore[misc]
                        tx, by=by, since=since, until=now + 1, held=HELD
                    ),
                )
            figures["hints"] = await scan(store, read_hints)
            name = await propose(store, uses=USES, total_micros=10**12)
            await cast(store, name)

            def look(tx: Transaction) -> None:
                for _ in range(USES):
                    assert standing.standing_for(tx, AGENT, TOOL, now)

            begin = time.perf_counter()
            await store.read(look)
            figures["find_us"] = round((time.perf_counter() - begin) / USES * 1e6, 1)
            begin = time.perf_counter()
            answers = await asyncio.gather(*(use(store, name, CENT) for _ in range(USES)))
            figures["use_us"] = round((time.perf_counter() - begin) / USES * 1e6, 1)
            assert all(answers)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures = asyncio.run(measure(given.requests))
    print(json.dumps(figures, indent=2))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
