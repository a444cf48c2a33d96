"""How fast recorded decisions are decided again, and what that costs the plane meanwhile.

`python -m tests.benchmarks.replay [--decisions 100000]`. Some hundred decisions of all kinds are
made over HTTP, then copied in the plane's database as if they had been made over a week; they are
replayed under the same policies and under stricter ones. While one replay runs, decisions are
made and timed; explanations are timed on a plane at rest.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.places import DATABASE_FILE

WEEK = 7 * 86_400
MADE = 400
STRICTER = POLICY.replace("200000000", "100000000")


def make_decisions(run: Run) -> None:
    """Make permits, holds and denials as an agent would."""
    amounts = random.Random(1)
    for n in range(MADE):
        amount = amounts.choice([5, 20, 60, 120, 150, 199, 250, 800, 1001, -1])
        if n % 4 == 0:
            run.decide("books.lookup_charge")
        elif n % 9 == 0:
            run.decide("small-fast", kind="model", estimate={"input_tokens": 50 * n})
        elif n % 37 == 0:
            run.decide("books.close_account")
        elif amount > 200 and n % 5:
            run.decide("books.create_refund", {"charge_id": "ch_1", "amount_usd": 5})
        else:
            run.decide("books.create_refund", {"charge_id": f"ch_{n % 9}", "amount_usd": amount})


def multiply(database: Path, wanted: int) -> None:
    """Copy the decisions there are until there are so many, spread over the last days."""
    with sqlite3.connect(database) as connection:
        names = [row[1] for row in connection.execute("pragma table_info(decisions)")]
        rows = connection.execute(f"select {', '.join(names)} from decisions").fetchall()
        newest = max(row[names.index("at")] for row in rows)
        at, key = names.index("at"), names.index("idempotency_key")
        step = (WEEK - 86_400) * MICROSECONDS // wanted
        copies = []
        for n in range(wanted - len(rows)):
            copy = list(rows[n % len(rows)])
            copy[at] = newest - (n + 1) * step
            copy[names.index("decision")] = ids.new_at("dec", copy[at])
            copy[key] = None
            copies.append(copy)
        marks = ", ".join("?" * len(names))
        connection.executemany(f"insert into decisions values ({marks})", copies)
    connection.close()


def replay(plane: Plane, **more: Any) -> tuple[dict[str, Any], float]:
    """Run one replay to its end; return its result and how long it took in seconds."""
    began = time.perf_counter()
    started = plane.operator.post("/v1/policy/replays", {"most": 1_000_000} | more)
    found = started
    while found["state"] == "running":
        found = plane.operator.get(f"/v1/policy/replays/{started['replay']}", wait_seconds=20)
    return found, time.perf_counter() - began


def timed(work: Any, times: int) -> list[float]:
    """Return how long each of some calls took, in milliseconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return took


def say(name: str, took: list[float]) -> None:
    """Print the median and the 99th percentile."""
    last = statistics.quantiles(took, n=100)[98]
    print(f"{name}: median {statistics.median(took):.1f} ms, 99th {last:.1f} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--decisions", type=int, default=100_000)
    wanted = parser.parse_args().decisions
    with tempfile.TemporaryDirectory() as place:
        plane = Plane(Path(place)).start()
        plane.apply(*world(), policy__cedar=POLICY)
        make_decisions(plane.enrol("clerk").open_run())
        plane.stop()
        multiply(plane.state / DATABASE_FILE, wanted)
        plane.restart()
        for name, files in (
            ("same", []),
            ("stricter", [{"path": "policy.cedar", "text": STRICTER}]),
        ):
            found, took = replay(plane, files=files)
            print(
                f"{name}: {found['looked_at']:,} in {took:.1f} s, "
                f"{found['looked_at'] / took:,.0f} a second; differ {found['differ']:,}, "
                f"other rule {found['other_rule']:,}, kept {found['kept']:,}, "
                f"left out {found['skipped']:,}"
            )
        run = plane.enrol("clerk").open_run()
        say("a decision at rest", timed(lambda: run.decide("books.lookup_charge"), 200))
        started = plane.operator.post("/v1/policy/replays", {"most": 1_000_000})
        busy = timed(lambda: run.decide("books.lookup_charge"), 200)
        found = plane.operator.get(f"/v1/policy/replays/{started['replay']}")
        say(f"a decision while a replay is {found['state']}", busy)
        asked = {"agent": "clerk", "name": "books.create_refund",
                 "arguments": {"charge_id": "ch_1", "amount_usd": 250}}  # fmt: skip
        while plane.operator.get(f"/v1/policy/replays/{started['replay']}", wait_seconds=20)[
            "state"
        ] == "running":  # fmt: skip
            pass
        say("an explanation", timed(lambda: plane.operator.post("/v1/policy/explain", asked), 200))
        memory = Path(f"/proc/{plane.described()['pid']}/status").read_text()
        print(
            "\n".join(line for line in memory.splitlines() if line.startswith(("VmHWM", "VmRSS")))
        )
        plane.close()


if __name__ == "__main__":
    main()
