"""Processes that draw on the same budgets of one database as fast as they can.

`hammering URL DIRECTORY`: reads numbers from its input; for each it starts a worker, a process of
its own, and prints its process id. A worker goes on until it is killed or `DIRECTORY/stop` is
there. What the provider billed it writes to `DIRECTORY/NUMBER.bill` before it settles: a line
`DECISION MICROS` each; for each action that it asks for it writes a byte to `NUMBER.tries`. Some
actions it drops, and some it never reports.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from tests.budgets.ground import cap
from tests.rig.deadline import eventually_async
from watchkeeper.budgets import service
from watchkeeper.budgets.model import Held
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, Unavailable
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

START = 1_790_000_000_000_000
HOLD_SECONDS = 90
CAPS = {
    number: (
        cap("run/*", "run", "spend", 300),
        cap("run/*", "run", "objects", 12),
        cap(f"agent/a{number % 3}", "hour", "spend", 1300),
        cap("team/ops", "day", "spend", 3500, zone="Europe/Berlin"),
        cap("team/ops", "day", "tool_calls", 150, zone="Europe/Berlin"),
        cap("all", "month", "objects", 26),
    )
    for number in range(16)
}
A_TURN = 25
"""How many actions a worker performs before it lets others have the database."""


class Worker:
    """One caller that reserves, is billed, and settles, over and over."""

    def __init__(self, url: str, directory: Path, number: int) -> None:
        self._url = url
        self._stop = directory / "stop"
        self._number = number
        self._bill = (directory / f"{number}.bill").open("ab", buffering=0)
        self._tries = (directory / f"{number}.tries").open("ab", buffering=0)
        self._random = random.Random()
        self._made = 0

    async def run(self) -> None:
        """Act until told to stop; where one process writes at a time, take turns."""
        while not self._stop.exists():
            await eventually_async(
                self._take_turn,
                "its turn",
                seconds=120,
                every=self._random.random() / 20,
                tolerate=(Conflict, Unavailable),
            )

    async def _take_turn(self) -> bool:
        if not self._stop.exists():
            clock = RehearsalClock(start=START, frozen=True)
            async with await Store.open(self._url, clock, migrate=False) as store:
                for _ in range(A_TURN):
                    await self._act(store)
        return True

    async def _act(self, store: Store) -> None:
        self._made += 1
        self._tries.write(b".")
        decision = f"dec_{os.getpid()}_{self._made}"
        most = self._random.randint(1, 60)
        if not isinstance(await store.write(lambda tx: self._reserve(tx, decision, most)), Held):
            return
        chance = self._random.random()
        if chance < 0.1:
            await store.write(lambda tx: _void(tx, decision))
            return
        billed = self._random.randint(0, most)
        self._bill.write(f"{decision} {billed}\n".encode())
        if chance < 0.2:
            return
        await store.write(lambda tx: _settle(tx, decision, billed))
        again = await store.write(lambda tx: _settle(tx, decision, 10_000))
        assert again is not None
        assert (again.first, again.posted["spend"]) == (False, billed)

    def _reserve(self, tx: Transaction, decision: str, most: int) -> object:
        tx.silent("a test of what is held")
        number = self._number
        return service.reserve(
            tx,
            decision=decision,
            agent=f"a{number % 3}",
            run=f"run_{number}",
            caps=CAPS[number],
            amounts={"spend": most, "tool_calls": 1, "objects": 1},
            touches=f"charge/{self._random.randint(1, 30)}",
            expires_at=tx.now + HOLD_SECONDS * 1_000_000,
            now=tx.now,
        )


def _void(tx: Transaction, decision: str) -> object:
    tx.silent("a test of what is held")
    return service.void(tx, decision)


def _settle(tx: Transaction, decision: str, billed: int):  # type: ignore[no-untyped-def]
    tx.silent("a test of what is held")
    return service.settle(tx, decision, {"spend": billed}, "succeeded")


def main(url: str, directory: Path) -> None:
    """Start a worker for each number that is read."""
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            code = 1
            try:
                asyncio.run(Worker(url, directory, int(line)).run())
                code = 0
            finally:
                sys.stdout.flush()
                os._exit(code)
        sys.stdout.write(f"{process}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
