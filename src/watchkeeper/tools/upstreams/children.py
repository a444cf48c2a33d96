"""The child processes of upstreams: each with all that it started, until nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import subprocess
from collections.abc import Callable

from watchkeeper.core.ids import secret
from watchkeeper.tools.processes.signalling import signal_all
from watchkeeper.tools.processes.table import (
    HAS_PROC,
    Identity,
    Process,
    family,
    marked,
    read_process,
    read_table,
)

log = logging.getLogger(__name__)

GRACE_SECONDS = 1.5
"""Between being asked to end at once and being killed."""
_GONE_SECONDS = 2.0
"""How long what was killed may take to be gone."""
_LOOK_SECONDS = 0.03


class Child:
    """The processes of one start: the first, and whatever came of it."""

    def __init__(self, home: str) -> None:
        self.mark = f"{home}/{secret('prc')}"
        """What its environment names it by; what it starts inherits it."""
        self._leader: Identity = (0, "")
        self._known: set[Identity] = set()

    async def begun(self, pid: int) -> None:
        """Take note of its first process."""
        first = await asyncio.to_thread(read_process, pid)
        self._leader = first.identity if first is not None else (pid, "")

    async def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of it."""

        def send() -> None:
            signal_all(self._leader[0], self._living(), number)

        with contextlib.suppress(OSError, subprocess.SubprocessError):
            await asyncio.to_thread(send)

    async def kill(self) -> bool:
        """Kill what is left of it; return whether that is known to be gone."""
        try:
            return await _kill(self._leader[0], self._living)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("what an upstream started can't be looked for: %s", error)
            return False

    def _living(self) -> list[Process]:
        # what was seen once is known again when its first process has ended
        found = family(read_table(), self._leader, self.mark, self._known)
        self._known |= {one.identity for one in found}
        return found


async def end_left_over(home: str) -> None:
    """End what a plane left that was killed itself: it was started from this home.

    Found where the system tells what a process was started with (Linux).
    """

    def living() -> list[Process]:
        return marked(read_table(), f"{home}/")

    left = await asyncio.to_thread(living) if HAS_PROC else []
    if not left:
        return
    await asyncio.to_thread(signal_all, 0, left, signal.SIGTERM)
    if not await _gone(living, GRACE_SECONDS):
        await _kill(0, living)


async def _kill(group: int, living: Callable[[], list[Process]]) -> bool:
    def kill() -> list[Process]:
        left = living()
        signal_all(group, left, signal.SIGKILL)
        return left

    return not await asyncio.to_thread(kill) or await _gone(kill, _GONE_SECONDS)


async def _gone(living: Callable[[], list[Process]], seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while await asyncio.to_thread(living):
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True
