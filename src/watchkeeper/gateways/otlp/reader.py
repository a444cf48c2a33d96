"""The plane's end of the process that reads what exporters send."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator

import msgspec

from watchkeeper.core.errors import Unavailable
from watchkeeper.decide.telemetry.reported import Part
from watchkeeper.gateways.otlp.frames import LENGTH_BYTES, Asked, frame, part_in

_MODULE = "watchkeeper.gateways.otlp.child"
_NICENESS = 10
"""Decisions come first."""
MOST_PARTS = 4
"""Parts of one request that wait to be kept, beside what the pipe holds."""
LARGEST_PART = 16 * 1024 * 1024
LONGEST_SECONDS = 20.0
"""How long the process may say nothing while there is something to read: it is ended then."""
_REST_SECONDS = 1.0
"""How long it stays away once it has ended."""
_CLOSE_SECONDS = 2.0
_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "TMPDIR", "TZ")


class Reader:
    """A process that is begun with the first request, and anew with the next once it has ended."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._process: Process | None = None
        self._beginning = asyncio.Lock()
        self._rests_until = 0.0
        self._taking: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._asked: dict[int, asyncio.Queue[Part | None]] = {}

    @property
    def pid(self) -> int | None:
        """The process, where there is one."""
        return None if self._process is None else self._process.pid

    async def parts(self, asked: Asked, body: bytes) -> AsyncGenerator[Part, None]:
        """Yield what is to be kept of a request, in order; raise `Unavailable` where it ends.

        Requests are read one after the other.
        """
        process = await self._running()
        assert process.stdin is not None
        number = next(self._numbers)
        queue = self._asked[number] = asyncio.Queue(MOST_PARTS)
        if len(self._asked) == 1:
            self._wait_for(process)
        try:
            given = frame(msgspec.structs.replace(asked, number=number))
            process.stdin.writelines((given, frame(body)))
            while (part := await queue.get()) is not None:
                yield part
                if part.end:
                    return
            raise Unavailable("what reads telemetry has ended", remedy="send it again")
        finally:
            del self._asked[number]
            while not queue.empty():
                queue.get_nowait()

    async def close(self) -> None:
        """End the process, and let go of whoever waits for it."""
        if self._process is not None:
            _kill(self._process)
        if self._taking is not None:
            await asyncio.wait({self._taking}, timeout=_CLOSE_SECONDS)
            self._taking.cancel()

    async def _running(self) -> Process:
        async with self._beginning:
            if self._process is None:
                if asyncio.get_running_loop().time() < self._rests_until:
                    raise Unavailable("what reads telemetry has ended", remedy="send it again")
                self._process = await _begin()
                self._taking = asyncio.create_task(self._take_from(self._process))
            return self._process

    async def _take_from(self, process: Process) -> None:
        assert process.stdout is not None
        try:
            while True:
                size = int.from_bytes(await process.stdout.readexactly(LENGTH_BYTES), "big")
                if size > LARGEST_PART:
                    return
                part = part_in(await process.stdout.readexactly(size))
                self._wait_for(None)
                if (queue := self._asked.get(part.number)) is not None:
                    await queue.put(part)
                if self._asked:
                    self._wait_for(process)
        except (asyncio.IncompleteReadError, OSError, msgspec.MsgspecError):
            return
        finally:
            await self._end(process)

    def _wait_for(self, process: Process | None) -> None:
        """End a process that goes on saying nothing; None: nothing is to be said."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if process is not None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(LONGEST_SECONDS, _kill, process)

    async def _end(self, process: Process) -> None:
        self._wait_for(None)
        self._process = None
        self._rests_until = asyncio.get_running_loop().time() + _REST_SECONDS
        for queue in self._asked.values():
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
        assert process.stdin is not None
        _kill(process)
        process.stdin.close()
        await process.wait()


async def _begin() -> Process:
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _MODULE),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(
            f"telemetry can not be read now ({error.strerror})", remedy="send it again"
        ) from None
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    return process


def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
