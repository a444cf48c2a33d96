"""One supervised process: started, found again, held, and ended with all that came of it.

Blocking parts run in threads; whoever changes what is kept does so alone. One plane at a time
holds the directory: one that starts anew waits for the one before it.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import subprocess
from pathlib import Path

from watchkeeper.core.clock import MICROSECONDS, Clock
from watchkeeper.core.digest import digest
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.ids import new
from watchkeeper.registry.runtimes import Runtime, SupervisedProcess
from watchkeeper.runtimes.model import Launches
from watchkeeper.runtimes.processes.child import open_gate, spawn, trim
from watchkeeper.runtimes.processes.record import (
    MOST_KNOWN,
    Launch,
    Record,
    read_record,
    write_record,
)
from watchkeeper.tools.processes.signalling import signal_all
from watchkeeper.tools.processes.table import Process, family, read_process, read_table
from watchkeeper.tools.upstreams.model import UpstreamFailure

_LOG = logging.getLogger("watchkeeper.runtimes")
KILL_SECONDS = 5.0
"""How long processes that were killed may take to be gone."""
HOLD_SECONDS = 2.0
_POLL_SECONDS = 0.03
_LONGEST_BACKOFF_SECONDS = 60
_STEADY_SECONDS = 60
"""A process that ran for so long did not fail at its start."""


class Supervisor:
    """The process of one document, in one directory of the plane's state."""

    def __init__(self, document: Runtime, clock: Clock, directory: Path) -> None:
        assert document.process is not None
        self._document = document
        self._described: SupervisedProcess = document.process
        self._digest = digest("supervised-process", document.process.model_dump(mode="json"))
        self._clock = clock
        self._directory = directory
        self._alone = asyncio.Lock()
        self._guard: int | None = None
        self._record = Record()
        self._child: subprocess.Popen[bytes] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self.launches: Launches | None = None

    @property
    def log(self) -> Path:
        """The file that holds what the process wrote."""
        return self._directory / "output.log"

    @property
    def restarts(self) -> bool:
        """Whether a process that fails is started again."""
        return self._described.restart == "on failure"

    async def tend(self, *, start: bool = False) -> tuple[Record, list[Process]]:
        """Look after the process: find it, and take note that it ended.

        `start`: start it where it is wanted; only a poll does, so that nothing is started by
        looking at what is to be stopped. Returns what is kept, and what lives of the latest launch.
        """
        async with self._alone:
            await self._open()
            alive = await self._look()
            if start and self._is_due(alive):
                await self._start()
                alive = await self._look()
            latest = self._record.latest
            if latest is not None and latest.told and alive and self._ending is None:
                # a plane before this one was told to end it, and did not live to see it
                self._end_soon(0)
            await asyncio.to_thread(trim, self.log)
            return self._record, alive

    async def end(self, launch: Launch, *, now: bool, wait_seconds: float) -> bool:
        """Have a launch ended for good; return whether nothing is left of it.

        It goes on to be ended after `wait_seconds`, and said again, that is waited for again.
        """
        async with self._alone:
            await self._open()
            alive = await self._look()
            latest = self._record.latest
            if latest is None or latest.id != launch.id:
                return True
            self._record.wanted = False
            if latest.ended_at is None:
                latest.told = True
            await self._keep()
            if not alive:
                return True
            # what is held would first have to be let go on, to end in its own time
            held = any(one.held for one in alive)
            if now or held:
                self._hurry.set()
            if self._ending is None:
                self._end_soon(0 if now or held else self._described.grace_seconds)
            ending = self._ending
        if ending is not None:
            await asyncio.wait({ending}, timeout=wait_seconds)
        async with self._alone:
            return not await self._look()

    async def hold(self, *, held: bool) -> tuple[Launch | None, list[Process]]:
        """Hold the process and its children where they are, or let them go on."""
        async with self._alone:
            await self._open()
            alive = await self._look()
            latest = self._record.latest
            if latest is None or not alive:
                return latest, []
            deadline = asyncio.get_running_loop().time() + HOLD_SECONDS
            number = signal.SIGSTOP if held else signal.SIGCONT
            while any(one.held != held for one in alive):
                await asyncio.to_thread(signal_all, latest.pid, alive, number)
                await asyncio.sleep(_POLL_SECONDS)
                alive = await self._look()
                if asyncio.get_running_loop().time() >= deadline:
                    break
            return latest, alive

    async def start(self) -> None:
        """Want the process again after it was ended for good."""
        async with self._alone:
            await self._open()
            self._record.wanted = self._record.fresh = True
            if not await self._look():
                await self._start()

    async def close(self, *, wait_seconds: float) -> None:
        """End the process, as the plane ends: it is started again with the next one."""
        async with self._alone:
            if self._guard is None:
                return
            latest = self._record.latest
            if latest is not None and await self._look():
                latest.left = not latest.told
                await self._keep()
                if self._ending is None:
                    grace = min(self._described.grace_seconds, wait_seconds)
                    self._end_soon(grace)
            ending = self._ending
        if ending is not None:
            await asyncio.wait({ending}, timeout=wait_seconds + KILL_SECONDS)
        async with self._alone:
            await self._look()
            os.close(self._guard)
            self._guard = None

    async def _open(self) -> None:
        """Hold the directory and read what is kept there; raises `UpstreamFailure` if in use."""
        if self._guard is not None:
            return
        self._guard = await asyncio.to_thread(_hold, self._directory)
        try:
            self._record = await asyncio.to_thread(read_record, self._directory)
        except ValueError as error:
            os.close(self._guard)
            self._guard = None
            raise UpstreamFailure(str(error), reached=False) from None
        if self._record.document != self._digest:
            self._record.document = self._digest
            self._record.wanted = self._record.fresh = True

    async def _keep(self) -> None:
        await asyncio.to_thread(write_record, self._directory, self._record)

    async def _look(self) -> list[Process]:
        """Return what lives of the latest launch; take note once nothing does."""
        latest = self._record.latest
        if latest is None or latest.ended_at is not None:
            return []
        code = self._child.poll() if self._child is not None else None
        if code is not None and latest.code is None:
            latest.code = code

        def look() -> list[Process]:
            return family(read_table(), latest.leader, latest.id, latest.known)

        alive = await asyncio.to_thread(look)
        known = [one.identity for one in alive[:MOST_KNOWN]]
        changed = known != latest.known
        latest.known = known
        if not alive:
            if self._child is not None:
                latest.code = await asyncio.to_thread(self._child.wait)
            await self._close_run(latest)
            latest.ended_at = self._clock.now()
            self._child = None
            ran = latest.ended_at - latest.began_at
            steady = ran >= _STEADY_SECONDS * MICROSECONDS
            failures = 0 if steady else self._record.failures
            self._record.failures = failures + 1 if latest.failed else 0
        if changed or not alive:
            await self._keep()
        return alive

    async def _close_run(self, launch: Launch) -> None:
        """Have the run of a launch closed; one that can't be is silent from now on, and found so.

        Before it is on record that the launch has ended: closed twice, a run stays as it was.
        """
        if self.launches is None or launch.our_run is None:
            return
        try:
            await self.launches.close(self._document, launch.our_run, launch.ended_state())
        except WatchkeeperError as error:
            _LOG.warning("run %s of a process that ended: %s", launch.our_run, error.message)

    def _is_due(self, alive: list[Process]) -> bool:
        """Whether the process is to be started now."""
        latest = self._record.latest
        if alive or not self._record.wanted:
            return False
        if latest is None or latest.left or self._record.fresh:
            return True
        if self._described.restart == "never" or not latest.failed:
            return False
        wait = min(2 ** min(self._record.failures, 10), _LONGEST_BACKOFF_SECONDS)
        due: bool = self._clock.now() - (latest.ended_at or 0) >= wait * MICROSECONDS
        return due

    async def _start(self) -> None:
        """Start the command: on record first, so that no plane can lose it."""
        id = new("prc", self._clock)
        try:
            given = await self.launches.open(self._document) if self.launches else {}
        except WatchkeeperError as error:
            raise UpstreamFailure(f"no run for it: {error.message}", reached=False) from None
        launch = Launch(id, 0, "", self._clock.now(), our_run=given.get("WATCHKEEPER_RUN_ID"))
        try:
            child = await asyncio.to_thread(spawn, self._described, self.log, id, given)
            first = await asyncio.to_thread(read_process, child.pid)
            if first is None:
                child.wait()
                raise UpstreamFailure("it ended before it began", reached=False)
        except UpstreamFailure:
            await self._close_run(launch)
            raise
        self._child = child
        launch.pid, launch.started = first.identity
        launch.known = [first.identity]
        self._record.add(launch)
        self._record.fresh = False
        await self._keep()
        await asyncio.to_thread(open_gate, child)

    def _end_soon(self, grace_seconds: float) -> None:
        self._hurry.clear()
        if grace_seconds <= 0:
            self._hurry.set()
        self._ending = asyncio.get_running_loop().create_task(self._end(grace_seconds))
        self._ending.add_done_callback(self._ended)

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._ending = None

    async def _end(self, grace_seconds: float) -> None:
        """Ask, wait, and kill, until nothing is left or nothing more can be done."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_seconds
        asked = False
        while loop.time() < deadline and not self._hurry.is_set():
            async with self._alone:
                alive = await self._look()
                if not alive:
                    return
                if not asked:
                    await self._send(alive, signal.SIGTERM)
                    asked = True
            try:
                async with asyncio.timeout(min(_POLL_SECONDS * 4, grace_seconds)):
                    await self._hurry.wait()
            except TimeoutError:
                continue
        deadline = loop.time() + KILL_SECONDS
        while True:
            async with self._alone:
                alive = await self._look()
                if not alive or loop.time() >= deadline:
                    return
                await self._send(alive, signal.SIGKILL)
            await asyncio.sleep(_POLL_SECONDS)

    async def _send(self, alive: list[Process], number: signal.Signals) -> None:
        latest = self._record.latest
        if latest is not None:
            await asyncio.to_thread(signal_all, latest.pid, alive, number)


def _hold(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    guard = os.open(directory / "guard", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(guard)
        raise UpstreamFailure(
            "what was there before it is still being ended", reached=False
        ) from None
    return guard
