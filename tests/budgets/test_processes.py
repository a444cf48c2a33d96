"""Sixteen processes on one database, killed at any point: no cap is ever passed, no hold is lost
or ended twice, and what providers billed is what counts.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import select

from tests.budgets.ground import hold_states, pass_time
from tests.budgets.hammering import CAPS, HOLD_SECONDS, START
from tests.rig.deadline import eventually_async
from tests.rig.process import ROOT, clean_environment
from watchkeeper.budgets import service
from watchkeeper.budgets.accounts import SWEEP_SECONDS
from watchkeeper.budgets.checking import check_balances
from watchkeeper.budgets.tables import holds
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

PROCESSES = 16
KILLS = {"sqlite": 40, "postgresql": 6}
"""On PostgreSQL one process writes at a time: the others wait for their turn."""
LOOKS = (
    "SELECT scope, posted_spend + held_spend, posted_tool_calls + held_tool_calls,"
    " posted_objects + held_objects FROM budget_balances"
)
LIMITS: dict[str, dict[str, int]] = {}
for _number, _caps in CAPS.items():
    for _cap in _caps:
        _scope = f"run/run_{_number}" if _cap.period == "run" else _cap.scope
        LIMITS.setdefault(_scope, {})[_cap.measure] = _cap.cap


async def test_no_cap_is_passed_by_processes_that_are_killed(
    database_url: str, tmp_path: Path
) -> None:
    async with await Store.open(database_url, RehearsalClock(start=START, frozen=True)):
        pass  # the tables are there
    with hammering(database_url, tmp_path) as workers:
        chance = random.Random()
        for _ in range(KILLS[database_url.partition(":")[0]]):
            done = tries(tmp_path) + chance.randint(1, 25)
            await eventually_async(
                lambda done=done: passes_no_cap(database_url, tmp_path, done),  # type: ignore[misc]
                "the workers go on",
                seconds=120,
                every=0.005,
            )
            victim = chance.choice(sorted(workers.alive))
            workers.kill(victim)
            workers.start(victim)
    bills = read_bills(tmp_path)
    later = START + (HOLD_SECONDS + SWEEP_SECONDS + 1) * 1_000_000
    store = await reopened(database_url, later)
    async with store:
        await pass_time(store)
        states = await hold_states(store)
        assert "live" not in states.values()
        assert {"settled", "voided", "expired"} >= set(states.values())
        await report_all(store, bills)
        check = await store.scan(check_balances)
        assert not check.differences
        counted = await spend_by_hold(store)
        assert {name: counted[name] for name in bills} == bills
        # those that nobody was billed for count as they were held, since nobody can know
        unbilled = [name for name, state in states.items() if name not in bills]
        assert all(counted[name] == 0 for name in unbilled if states[name] == "voided")
        assert passes_no_cap_now(await look(database_url))
        assert len(states) == check.holds > PROCESSES


class Workers:
    """The processes that hammer, by number."""

    def __init__(self, mother: subprocess.Popen[bytes]) -> None:
        self._mother = mother
        self.alive: dict[int, int] = {}

    def start(self, number: int) -> None:
        """Start a worker."""
        assert self._mother.stdin is not None
        assert self._mother.stdout is not None
        self._mother.stdin.write(f"{number}\n".encode())
        self._mother.stdin.flush()
        self.alive[number] = int(self._mother.stdout.readline())

    def kill(self, number: int) -> None:
        """Kill a worker, wherever it is."""
        os.kill(self.alive.pop(number), signal.SIGKILL)


@contextmanager
def hammering(url: str, directory: Path) -> Iterator[Workers]:
    """Run the workers; in the end they stop by themselves."""
    mother = subprocess.Popen(
        [sys.executable, "-m", "tests.budgets.hammering", url, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=clean_environment(directory),
    )
    workers = Workers(mother)
    try:
        for number in range(PROCESSES):
            workers.start(number)
        yield workers
        (directory / "stop").touch()
        assert mother.stdin is not None
        mother.stdin.close()
        mother.stdin = None
        # every worker holds the pipe open: it ends with the last of them
        mother.communicate(timeout=60)
    finally:
        for number in list(workers.alive):
            if mother.poll() is None:
                workers.kill(number)
        mother.kill()
        mother.wait()


def tries(directory: Path) -> int:
    """How often somebody asked for something."""
    return sum(path.stat().st_size for path in directory.glob("*.tries"))


def read_bills(directory: Path) -> dict[str, int]:
    """What the provider billed, by decision; a killed worker's last line may be cut off."""
    found = {}
    for path in directory.glob("*.bill"):
        for line in path.read_text().split("\n")[:-1]:
            name, amount = line.split()
            found[name] = int(amount)
    return found


async def passes_no_cap(url: str, directory: Path, done: int) -> bool:
    """Look at what is committed now; whether the workers have come so far."""
    assert passes_no_cap_now(await look(url))
    return tries(directory) >= done


def passes_no_cap_now(rows: list[Any]) -> bool:
    """Check every balance against its caps."""
    for scope, spend, calls, objects in rows:
        limits = LIMITS[scope]
        for measure, used in (("spend", spend), ("tool_calls", calls), ("objects", objects)):
            assert used <= limits.get(measure, used), (scope, measure, used)
    return True


async def look(url: str) -> list[Any]:
    """Read what is committed, as somebody outside would."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return connection.execute(LOOKS).fetchall()
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(LOOKS)]
    finally:
        await connection.close()


async def reopened(url: str, at: int) -> Store:
    """Open the store once the last worker has let go of it."""

    async def try_it() -> Store:
        return await Store.open(url, RehearsalClock(start=at, frozen=True))

    return await eventually_async(try_it, "the database is free", tolerate=(Conflict,))


async def report_all(store: Store, bills: dict[str, int]) -> None:
    """Report everything that was billed once more, as a provider's statement would."""

    def unit(tx: Transaction) -> None:
        tx.silent("a test of what is held")
        for name, billed in bills.items():
            ended = service.settle(tx, name, {"spend": billed}, "succeeded")
            assert ended is not None
            assert ended.state == "settled"

    await store.write(unit)


async def spend_by_hold(store: Store) -> dict[str, int]:
    """What each hold counts as."""
    query = select(holds.c.decision, holds.c.posted_spend)
    return await store.read(lambda tx: dict(map(tuple, tx.connection.execute(query))))
