"""Killed at any point, a plane has every unit that it acknowledged, and no half of one."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.rig.process import clean_environment
from tests.store.ground import amounts
from watchkeeper import ledger
from watchkeeper.core.clock import SystemClock
from watchkeeper.store.store import Store

LIVES = {"sqlite": 40, "postgresql": 8}
LONGEST_LIFE = 60  # acknowledgements that a process may live for


class Mortals:
    """Starts one writing process after the other and kills each."""

    def __init__(self, url: str, home: Path) -> None:
        self._starter = subprocess.Popen(
            [sys.executable, "-m", "tests.store.acknowledging_child", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=clean_environment(home),
            bufsize=0,
        )

    def live_and_die(self, lives_for: int) -> dict[int, str]:
        """Kill a process after some acknowledgements; return those by sequence."""
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._starter.stdin.write(b"one more\n")
        seen, child = b"", 0
        while not seen.endswith(b"dead\n"):
            part = os.read(self._starter.stdout.fileno(), 4096)
            assert part, "the starter ended by itself"
            seen += part
            if match := re.search(rb"child (\d+)\n", seen):
                child, seen = int(match[1]), seen.replace(match[0], b"")
            if child and seen.count(b"\n") >= lives_for:
                os.kill(child, signal.SIGKILL)
                child, lives_for = 0, sys.maxsize
        lines = [line.split() for line in seen.decode().splitlines()[:-1]]
        return {int(sequence): name for sequence, name in lines}

    def close(self) -> None:
        """End the starter; no writing process is left by then."""
        self._starter.kill()
        self._starter.communicate()


async def test_no_acknowledged_unit_is_lost(database_url: str, tmp_path: Path) -> None:
    chance = random.Random(20261120)
    acknowledged: dict[int, str] = {}
    with contextlib.closing(Mortals(database_url, tmp_path)) as mortals:
        for _ in range(LIVES[make_url(database_url).get_backend_name()]):
            told = mortals.live_and_die(chance.randrange(LONGEST_LIFE))
            assert not told.keys() & acknowledged.keys()
            acknowledged |= told
    async with await Store.open(database_url, SystemClock()) as store:
        check = await store.scan(ledger.verify)
        stored = set(await store.scan(amounts))
        events = [event async for batch in upto(store) for event in batch]
    assert check.ok
    assert acknowledged
    named = {event.sequence: event.subject for event in events}
    assert acknowledged.items() <= named.items()
    # state and event are one: every event has both its rows, and no row lacks an event
    parts = {f"{subject}-{part}" for subject in named.values() for part in ("left", "right")}
    assert stored == parts


async def upto(store: Store) -> AsyncIterator[list[ledger.Event]]:
    """Every batch of events up to the head."""
    subscription = store.subscribe(after=0)
    while subscription.position < store.head:
        yield await anext(subscription)
