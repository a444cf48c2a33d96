"""What watching over runs costs: a look at a run, a heartbeat, and opening a run.

`python -m tests.benchmarks.health [--runs 1000] [--calls 60]`. On a store of its own, without a
server: so many open runs, each with so many calls. It then measures how long one look takes, all
of them one after another in units of work of their own, and how long heartbeats take.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.health.ground import Ground, open_ground
from tests.rig.stores import sqlite_url
from watchkeeper.identity.model import IssuedRun


async def measure(runs: int, calls: int) -> None:
    """Open the runs, let them act, then look at each and hear each."""
    with tempfile.TemporaryDirectory() as directory:
        async with open_ground(sqlite_url(Path(directory))) as ground:
            began = time.perf_counter()
            opened = [await ground.open() for _ in range(runs)]
            print(f"opening a run    {each(began, runs):8.1f} us")
            for start in range(0, runs, 50):
                await asyncio.gather(
                    *(act(ground, run, calls) for run in opened[start : start + 50])
                )
            looks = [await timed(ground, run) for run in opened]
            print(f"a look at a run  {statistics.median(looks):8.1f} us, p99 {p99(looks):.1f} us")
            ground.clock.advance(60)
            began = time.perf_counter()
            await asyncio.gather(*(ground.health.beat(run.token) for run in opened))
            print(f"a heartbeat      {each(began, runs):8.1f} us, {runs} at once")


async def act(ground: Ground, run: IssuedRun, calls: int) -> None:
    """Make some calls, each another one."""
    for n in range(calls):
        await ground.act(run, f"ch_{n}")


async def timed(ground: Ground, run: IssuedRun) -> float:
    """Return how long one look takes in its unit of work, in microseconds."""
    began = time.perf_counter()
    await ground.store.write(partial(ground.health.look, run=run.run))
    return (time.perf_counter() - began) * 1e6


def each(began: float, number: int) -> float:
    """Return the time of one of so many, in microseconds."""
    return (time.perf_counter() - began) * 1e6 / number


def p99(values: list[float]) -> float:
    """Return the 99th percentile."""
    return sorted(values)[len(values) * 99 // 100]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=60)
    given = parser.parse_args()
    asyncio.run(measure(given.runs, given.calls))
