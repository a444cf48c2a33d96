"""A plane's ledger that ends with SIGKILL at any step of its own, and what is found of it then.

``python -m tests.benchmarks.crash_points [EVERY]`` lets a ledger grow, be signed and anchored,
change its key and be forked; over and over, ended before each EVERY-th (1) step that leaves a trace
on the disk (a file made durable, put in place, removed; a transaction committed) and after it. Each
time it is opened again: nothing that was acknowledged may be gone, no key, no signature, no file.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.ledger.ground import OWNER, note, open_log
from tests.rig.stores import sqlite_url
from watchkeeper.ledger.anchors.files import FileAnchor
from watchkeeper.ledger.checkpoints import read_keys
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.service import LedgerAudit

_CALLS = ("fsync", "replace", "rename", "unlink", "write")


class Steps:
    """Ends this process at one of its steps: before an even number's, after an odd one's."""

    def __init__(self, last: int) -> None:
        self._left = last
        for name in _CALLS:
            setattr(os, name, self.counted(getattr(os, name)))

    def counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call as a step."""

        def step(*arguments: Any, **named: Any) -> Any:
            self._left -= 2
            left = self._left
            if left == -2:
                os._exit(9)
            try:
                return call(*arguments, **named)
            finally:
                if left == -1:
                    os._exit(9)

        return step

    def watch(self, log: Log) -> None:
        """Count each of its units of work, too."""
        write = log.store.write

        async def counted(unit: Any) -> Any:
            self.counted(int)()
            found = await write(unit)
            self.counted(int)()
            return found

        log.store.write = counted  # type: ignore[assignment]


async def live(place: Path, steps: Steps, acknowledge: Callable[..., None]) -> None:
    """Do everything that a log does in its life."""
    log = await open_log(place)
    steps.watch(log)
    audit = LedgerAudit(log, [FileAnchor(place / "elsewhere" / "anchor")])
    await note(log, 300)
    await audit.sign_now()
    acknowledge(head=log.store.head, signed=log.store.head)
    await note(log, 5)
    acknowledge(head=log.store.head)
    await log.rotate(actor=OWNER, reason="yearly")
    acknowledge(head=log.store.head, keys=2)
    await note(log, 220)
    await audit.sign_now()
    acknowledge(head=log.store.head, signed=log.store.head)
    await log.fork(log.key.name, "put back", 999)
    acknowledge(head=log.store.head, keys=3)
    await log.keys.accept_forks(actor=OWNER, reason="the disk died")
    await audit.sign_now()
    acknowledge(head=log.store.head, signed=log.store.head)
    await log.store.close()


async def look(place: Path, known: dict[str, int]) -> list[str]:
    """Return what is wrong with a ledger that is opened again."""
    log = await open_log(place)
    audit = LedgerAudit(log, [FileAnchor(place / "elsewhere" / "anchor")])
    if log.keys.forks:
        await log.keys.accept_forks(actor=OWNER, reason="it was killed meanwhile")
    await note(log, 3)
    await audit.sign_now()
    found, troubles = await audit.verify()
    wrong = [] if found.ok and not troubles else [f"{found.detail} {troubles}"]
    (standing,) = audit.anchoring.standings
    wrong += [str(standing.problem)] if standing.problem else []
    keys = await log.store.read(read_keys)
    reasons = [row.reason for row in keys]
    if reasons != ["the ledger began", "yearly", "put back"][: len(reasons)]:
        wrong.append(f"keys: {reasons}")
    if log.store.head < known.get("head", 0) or found.anchored < known.get("signed", 0):
        wrong.append(f"{log.store.head} entries, {found.anchored} anchored, of {known}")
    if len(keys) < known.get("keys", 1):
        wrong.append(f"{len(keys)} keys, of {known}")
    private = sorted(path.name for path in (place / "signing").glob("*.key"))
    # the next may have been made, and nobody told of it
    if private not in (
        [f"ledger-{len(keys)}.key"],
        [f"ledger-{len(keys) + n}.key" for n in (0, 1)],
    ):
        wrong.append(f"private halves: {private}")
    await log.store.close()
    return wrong


def apart(work: Callable[[int], None]) -> tuple[int, str]:
    """Do something in a process of its own; return how it ended and what it wrote."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        work(writing)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


def run(place: Path, last: int) -> tuple[bool, list[str]]:
    """End a ledger at a step; return whether it got that far, and what is wrong then."""

    def living(writing: int) -> None:
        write, steps = os.write, Steps(last)

        def acknowledge(**known: int) -> None:
            write(writing, (json.dumps(known) + "\n").encode())

        asyncio.run(live(place, steps, acknowledge))

    def looking(writing: int) -> None:
        os.write(writing, json.dumps(asyncio.run(look(place, known))).encode())

    code, told = apart(living)
    known: dict[str, int] = {}
    for line in told.splitlines():
        known |= json.loads(line)
    if code not in (0, 9):
        return False, [f"it ended with {code}"]
    ended, found = apart(looking)
    return code == 9, json.loads(found) if ended == 0 else [f"looking ended with {ended}"]


def crash(scratch: Path, every: int) -> tuple[int, list[str]]:
    """Return how many ends there were, and what is wrong after any."""
    ends, wrong = 0, list[str]()
    last = every
    sqlite_url(scratch)  # made once, before there are others
    while True:
        place = scratch / str(last)
        place.mkdir()
        reached, found = run(place, last)
        wrong += [f"step {last / 2:g}: {one}" for one in found]
        if not reached:
            return ends, wrong
        ends, last = ends + 1, last + every


def main() -> None:
    """Run and print; the exit code is 1 if anything is wrong."""
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with tempfile.TemporaryDirectory(prefix="wk-crash-") as directory:
        ends, wrong = crash(Path(directory), every)
    print(json.dumps({"ends": ends, "wrong": wrong}, indent=1))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
