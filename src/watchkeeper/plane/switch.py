"""The file that stops a plane, also one whose API, event loop or database does not answer.

While `STOP` is in the state directory nothing is permitted. A thread of its own looks for it ten
times a second, so that no hung loop keeps it from being seen; a loop that does not heed it in time
is ended with the whole process: with its sockets closed nothing passes any more, and the plane that
is started next finds the file before it serves anything.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.decide.contents import without_secrets
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.service import Decider
from watchkeeper.kill.model import LockTarget, NewLock

_LOG = logging.getLogger("watchkeeper.plane.switch")
LOOK_SECONDS = 0.1
HEED_SECONDS = 2.0
"""How long the event loop may take to heed the file; then the process ends itself."""
_AGAIN_SECONDS = 1.0
_LONGEST_REASON = 500
ENDED_BY_SWITCH = 70
EVERYTHING = LockTarget("everything", "*")
BY = "plane/STOP"


class Switch:
    """Watches the file, and keeps everything stopped while it is there."""

    def __init__(
        self,
        file: Path,
        decider: Decider,
        kill: KillSwitch,
        end: Callable[[int], None] = os._exit,
    ) -> None:
        self.file = file
        self.reason: str | None = None
        """Why everything is stopped; None while the file is not there. Set by the thread."""
        self._decider = decider
        self._kill = kill
        self._end = end
        self._ending = threading.Event()
        self._heeded = threading.Event()
        self._thread: threading.Thread | None = None
        self._locking: asyncio.Task[None] | None = None
        decider.switched_off = lambda: self.reason

    def look(self) -> str | None:
        """Look for the file, and return why everything is stopped, if it is there.

        What can't be told counts as there: a file that nobody may read is no permission.
        """
        try:
            self.reason = self._read()
        except OSError as error:
            # a directory that is not there any more, or a device that fails
            self.reason = f"the switch file cannot be read: {error.strerror}"
        return self.reason

    def _read(self) -> str | None:
        try:
            # whatever stands there: opening a pipe without this would wait for its other end
            opened = os.open(self.file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            if os.path.lexists(self.file) or not self.file.parent.is_dir():
                return "the switch file leads nowhere, or its directory is gone"
            return None
        try:
            said = os.read(opened, _LONGEST_REASON).decode("utf-8", "replace").strip()
        finally:
            os.close(opened)
        return without_secrets(make_safe(said)) or "no reason given"

    async def start(self) -> None:
        """Heed a file that is there, then watch; before the first request is served."""
        if self.look() is not None:
            self._stop_all()
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._watch, args=(loop,), name="switch file", daemon=True
        )
        self._thread.start()

    async def stop(self) -> None:
        """Watch no more."""
        self._ending.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        if self._locking is not None:
            self._locking.cancel()
            await asyncio.gather(self._locking, return_exceptions=True)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            before = self.reason
            if self.look() is None or before is not None:
                continue
            self._heeded.clear()
            try:
                loop.call_soon_threadsafe(self._stop_all)
            except RuntimeError:  # the loop has ended, and with it everything
                return
            if not self._heeded.wait(HEED_SECONDS) and not self._ending.is_set():
                _LOG.critical("%s is there and the plane does not heed it: it is ended", self.file)
                self._end(ENDED_BY_SWITCH)
                return

    def _stop_all(self) -> None:
        """Cut what is in flight at once, then lock everything as soon as the store lets us."""
        self._decider.flights.cut(EVERYTHING, BY)
        self._decider.waiting.wake_all()
        self._heeded.set()
        if self._locking is None or self._locking.done():
            self._locking = asyncio.get_running_loop().create_task(self._lock())

    async def _lock(self) -> None:
        while (reason := self.reason) is not None:
            if any(
                lock.target == EVERYTHING and lock.mode == "stop" for lock in self._decider.locks
            ):
                # lifted while the file is there, it comes back
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            try:
                why = f"the switch file: {reason}"
                await self._kill.lock(NewLock(EVERYTHING, mode="stop", reason=why, by=BY))
            except Exception as error:  # whatever it is: while the file is there it is tried again
                said = error if isinstance(error, WatchkeeperError) else repr(error)
                _LOG.error("the switch file is heeded, but no lock can be kept: %s", said)
                await asyncio.sleep(_AGAIN_SECONDS)
