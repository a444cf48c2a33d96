"""Two and more processes on one database that want contrary things: each pair has one outcome."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.approvals.ground import open_one, pass_time, states, types, vote
from tests.rig.process import ROOT, clean_environment
from watchkeeper import ledger
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock, SystemClock
from watchkeeper.store.store import Store

REQUESTS = 8
DECIDED = ("request.approved", "request.denied", "request.expired")


async def prepared(
    url: str, *, approved: bool, ago: float = 0, sla_seconds: int = 600
) -> list[str]:
    """Open requests, all of them approved or none, and return them."""
    start = SystemClock().now() - round(ago * MICROSECONDS)
    async with await Store.open(url, RehearsalClock(start=start, frozen=True)) as store:
        found = [
            await open_one(store, run=f"run_{n}", sla_seconds=sla_seconds, grant_seconds=3600)
            for n in range(REQUESTS)
        ]
        for request in found if approved else ():
            await vote(store, request)
    return found


async def race(
    url: str, home: Path, children: Sequence[str], requests: Sequence[str]
) -> list[dict[str, bool]]:
    """Run a process for each thing to be done, all at once; what each of them achieved."""
    started = [start(url, home, what, n, requests) for n, what in enumerate(children)]
    try:
        ended = await asyncio.gather(
            *(asyncio.to_thread(child.communicate, b"!", 120) for child in started)
        )
    finally:
        for child in started:
            child.kill()
            child.wait()
    assert [child.returncode for child in started] == [0] * len(started)
    return [
        {
            name: worked == "1"
            for name, worked in (line.split() for line in out.decode().split("\n") if line)
        }
        for out, _ in ended
    ]


def start(
    url: str, home: Path, what: str, who: int, requests: Sequence[str]
) -> subprocess.Popen[bytes]:
    """Start a process that acts as soon as it is told to."""
    command = [sys.executable, "-m", "tests.approvals.racing_child", url, what, str(who), *requests]
    pipe = subprocess.PIPE
    env = clean_environment(home)
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT, env=env)


async def story(url: str, requests: Sequence[str]) -> tuple[dict[str, str], list[Counter[str]]]:
    """The state of every request, and how often each event was told of it."""
    async with await Store.open(url, SystemClock()) as store:
        assert (await store.scan(ledger.verify)).ok
        return await states(store), [Counter(await types(store, one)) for one in requests]


async def test_a_redemption_and_a_kill_never_both_win(database_url: str, tmp_path: Path) -> None:
    requests = await prepared(database_url, approved=True)
    used, killed = await race(database_url, tmp_path, ["redeem", "revoke"], requests)
    found, told = await story(database_url, requests)
    for request, events in zip(requests, told, strict=True):
        assert used[request] != killed[request]
        assert found[request] == ("redeemed" if used[request] else "revoked")
        assert events["grant.redeemed"] + events["request.revoked"] == 1


async def test_a_yes_and_a_no_at_once_have_one_outcome(database_url: str, tmp_path: Path) -> None:
    requests = await prepared(database_url, approved=False)
    yes, no = await race(database_url, tmp_path, ["approve", "deny"], requests)
    found, told = await story(database_url, requests)
    for request, events in zip(requests, told, strict=True):
        assert yes[request] != no[request]
        assert found[request] == ("approved" if yes[request] else "denied")
        assert sum(events[kind] for kind in DECIDED) == 1
        assert events["vote.cast"] == 1


async def test_a_vote_and_the_deadline_have_one_outcome(database_url: str, tmp_path: Path) -> None:
    """The deadline of every request falls while both processes run."""
    requests = await prepared(database_url, approved=False, ago=9.0, sla_seconds=10)
    yes, _ = await race(database_url, tmp_path, ["approve", "expire"], requests)
    async with await Store.open(database_url, RehearsalClock(offset=60 * MICROSECONDS)) as store:
        await pass_time(store)
    found, told = await story(database_url, requests)
    for request, events in zip(requests, told, strict=True):
        assert (found[request] == "approved") == yes[request]
        assert found[request] in ("approved", "expired")
        assert sum(events[kind] for kind in DECIDED) == 1


async def test_a3_of_many_redeemers_in_several_processes_one_wins(
    database_url: str, tmp_path: Path
) -> None:
    requests = await prepared(database_url, approved=True)
    won = await race(database_url, tmp_path, ["redeem"] * 3, requests)
    found, told = await story(database_url, requests)
    for request, events in zip(requests, told, strict=True):
        assert sum(child[request] for child in won) == 1
        assert found[request] == "redeemed"
        assert events["grant.redeemed"] == 1
