"""Breakers: how soon a jump is found and how often nothing was, and what watching costs.

    python -m tests.benchmarks.breakers [detectors|watching] [--repeats N]

`detectors`: of every shape, false alarms per 10,000 calls and with which call of a jump by ten
the alarm comes; each repeat learns a baseline of its own, then 2,000 calls as usual, then a jump.
`watching`: how many events a second the watch counts in beside nothing else, what one event
costs, and how long it takes from the commit of an outcome to the commit of the open breaker.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from itertools import islice
from pathlib import Path

from tests.breakers.running import CostRun, RateRun, p95
from tests.breakers.shapes import COSTS, FACTOR, RATES, Draw, series
from tests.breakers.test_watching import AGENT, BREAKER, Ground, passed
from tests.rig.stores import sqlite_url
from watchkeeper.breakers import service
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.budgets.watching import Watching
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

QUIET, LONGEST = 2_000, 200
BATCH = 50


def detectors(repeats: int) -> None:
    """Print the table."""
    print("shape            baseline  false/10k  p50  p95 calls")
    for baseline in (100, 30):
        for name, draw in {**COSTS, **RATES}.items():
            false, delays = measure(name, draw, baseline, repeats)
            print(
                f"{name:16} {baseline:8} {false:10.2f} {sorted(delays)[len(delays) // 2]:4} "
                f"{p95(delays):4}",
                flush=True,
            )


def measure(name: str, draw: Draw, baseline: int, repeats: int) -> tuple[float, list[int]]:
    """Return false alarms per 10,000 calls, and the delays of the jumps."""
    false, delays = 0, []
    for repeat in range(repeats):
        chance = random.Random(f"{name} {repeat}")
        usual = series(draw, chance)
        kind = CostRun if name in COSTS else RateRun
        run = kind(list(islice(usual, baseline)))
        false += sum(run.alarmed(one) for one in islice(usual, QUIET))
        jump = islice(series(draw, chance, FACTOR), LONGEST)
        delays.append(next((n for n, one in enumerate(jump, 1) if run.alarmed(one)), LONGEST))
    return false / (repeats * QUIET) * 10_000, delays


async def watching(calls: int) -> None:
    """Print what watching costs."""
    with tempfile.TemporaryDirectory() as directory:
        clock = RehearsalClock(frozen=True)
        async with await Store.open(sqlite_url(Path(directory)), clock) as store:
            ground = Ground(store, clock)
            await ground.calls(1)
            async with ground.watching() as watch:
                await passed(watch, await ground.calls(40))
            for _ in range(calls // BATCH):
                await store.write(lambda tx: many(tx, clock))
            head = store.head
            async with ground.watching() as watch:
                begun, cpu = time.perf_counter(), time.process_time()
                await passed(watch, head, every=0.001)
                took, used = time.perf_counter() - begun, time.process_time() - cpu
                events = 2 * calls
                print(
                    f"caught up with {events:,} events in {took:.2f} s: {events / took:,.0f} "
                    f"events/s, {used / events * 1e6:.0f} us of CPU an event, all five detectors"
                )
                await trips(ground, watch)


def many(tx: Transaction, clock: RehearsalClock) -> None:
    """Record calls of eight runs of one agent."""
    actor = "agent/x"
    for _ in range(BATCH):
        clock.advance(10)
        decision, run = tx.new_id("dec"), f"run_{random.randrange(8)}"
        said = {"kind": "model", "name": "small-fast", "version": 1, "decision": decision}
        digest = f"{random.getrandbits(256):064x}"
        body = {**said, "digest": digest, "rule": "policy/x", "reason": "it may", "epoch": 0}
        about = f"decision/{decision}"
        tx.record("decision.permitted", actor=actor, subject=about, agent=AGENT, run=run, body=body)
        cost = round(2_000 * random.lognormvariate(0, 0.5))
        ended = {**said, "status": "succeeded", "cost_micros": cost, "input_tokens": 10}
        ended |= {"output_tokens": 10, "result_digest": None, "error": None}
        tx.record("outcome.recorded", actor=actor, subject=about, agent=AGENT, run=run, body=ended)


async def trips(ground: Ground, watch: Watching, repeats: int = 50) -> None:
    """Print how long it takes from the commit of an outcome to that of the open breaker."""
    took, calls = [], []
    for _ in range(repeats):
        for n in range(1, 30):
            await ground.call(40_000)
            committed = time.perf_counter()
            while (  # noqa: ASYNC110 - every turn of the loop counts here
                time.perf_counter() - committed < 0.02 and AGENT not in ground.open._open
            ):
                await asyncio.sleep(0)
            if AGENT in ground.open:
                took.append(time.perf_counter() - committed)
                calls.append(n)
                break

        def reset(tx: Transaction) -> None:
            service.reset(tx, BREAKER, by="person/ada", reason="again")
            ground.open.changed(tx, AGENT)

        await ground.store.write(reset)
        await passed(watch, ground.store.head)
    took.sort()
    print(
        f"{len(took)} trips, each within {max(calls)} calls: outcome committed to breaker open "
        f"p50 {took[len(took) // 2] * 1e3:.1f} ms, p95 {took[int(len(took) * 0.95)] * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("detectors", "watching"))
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--calls", type=int, default=20_000)
    asked = parser.parse_args()
    if asked.what == "detectors":
        detectors(asked.repeats)
    else:
        asyncio.run(watching(asked.calls))
