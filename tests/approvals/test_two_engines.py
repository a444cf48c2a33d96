"""Two processes that sweep one database do what one would: each step once, in order."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tests.approvals.ground import open_one, types
from tests.rig.process import ROOT, clean_environment
from watchkeeper import ledger
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock, SystemClock
from watchkeeper.oncall.model import Level
from watchkeeper.store import timers
from watchkeeper.store.journal import events
from watchkeeper.store.store import Store

REQUESTS = 40
STORY = Counter(
    {"request.created": 1, "request.escalated": 3, "request.repeated": 1, "request.expired": 1}
)


async def test_two_processes_take_each_step_once(database_url: str, tmp_path: Path) -> None:
    """All is overdue by a day, as after downtime, when both begin at once."""
    yesterday = SystemClock().now() - 86_400 * MICROSECONDS
    clock = RehearsalClock(start=yesterday, frozen=True)
    async with await Store.open(database_url, clock) as store:
        made = [
            await open_one(
                store,
                run=f"run_{n}",
                levels=(Level("ops"), Level("lead", 50), Level("head", 90)),
                remind_every_seconds=None,
                repeat=1,
                sla_seconds=200,
            )
            for n in range(REQUESTS)
        ]
    children = [start(database_url, tmp_path) for _ in range(2)]
    try:
        for child in children:
            assert child.stdin is not None
            child.stdin.write(b"!")
            child.stdin.close()
        codes = await asyncio.gather(
            *(asyncio.to_thread(child.wait, timeout=60) for child in children)
        )
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert codes == [0, 0]
    async with await Store.open(database_url, SystemClock()) as store:
        assert await store.read(timers.next_due) is None
        for request in made:
            assert Counter(await types(store, request)) == STORY
            due = await due_times(store, request)
            assert due == sorted(due)
        assert (await store.scan(ledger.verify)).ok


def start(url: str, home: Path) -> subprocess.Popen[bytes]:
    """Start a process that sweeps as soon as it is told to."""
    command = [sys.executable, "-m", "tests.approvals.sweeping_child", url]
    return subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT, env=clean_environment(home))


async def due_times(store: Store, request: str) -> list[Any]:
    """When the steps of a request were due, in the order they were taken."""
    query = select(events).where(events.c.request == request).order_by(events.c.sequence)
    rows = await store.read(lambda tx: list(tx.connection.execute(query)))
    bodies = [ledger.Event._make(row).body for row in rows]
    return [body["due_at"] for body in bodies if "due_at" in body]
