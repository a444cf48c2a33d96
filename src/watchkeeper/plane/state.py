"""The state directory: one plane at a time, and how others find it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from watchkeeper.core.errors import Conflict, Unavailable
from watchkeeper.core.places import (
    DATABASE_FILE,
    LAST_PLANE_FILE,
    LOG_FILE,
    PID_FILE,
    PLANE_FILE,
    make_private,
    socket_path,
)

_LOCK_ATTEMPTS = 10
_LOCK_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class PlaneFile:
    """What ``plane.json`` says of a plane that is ready. Times in microseconds."""

    pid: int
    http: str
    socket: str
    started_at: int
    environment: str
    version: str


class StateDirectory:
    """The directory of one plane, held by an exclusive lock while the plane lives.

    The lock is the kernel's (``flock`` on the pid file), so that a killed plane leaves
    none behind; the files it leaves are taken over by the next.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket_path(path)
        self.log = path / LOG_FILE
        self.database = path / DATABASE_FILE
        self._pid_file = path / PID_FILE
        self._plane_file = path / PLANE_FILE
        self._last_file = path / LAST_PLANE_FILE
        self._lock: int | None = None

    def prepare(self) -> Self:
        """Create the directory and the socket's, private to this user."""
        make_private(self.path)
        if self.socket.parent != self.path:
            make_private(self.socket.parent)
        return self

    def acquire(self) -> None:
        """Take the lock and clear what a killed plane left.

        Raises :class:`Conflict` if another plane holds it.
        """
        descriptor = os.open(self._pid_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _lock(descriptor):
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            raise Conflict(
                f"a plane already runs on this state directory (process {holder or 'unknown'})",
                code="already_running",
                where=str(self.path),
                remedy="use it, stop it with `watchkeeper stop`, or give another --state DIR",
            )
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(descriptor)
            raise Unavailable(
                f"cannot write to the state directory: {error.strerror}",
                where=str(self.path),
                remedy="free space on that disk and start again",
            ) from None
        self._lock = descriptor
        self._clear()

    def announce(self, plane: PlaneFile) -> None:
        """Write ``plane.json`` in one step: whoever reads it finds a plane that is ready."""
        fresh = self._plane_file.with_suffix(".json.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(plane), file)
        fresh.replace(self._plane_file)

    def last(self) -> PlaneFile | None:
        """Return what the plane that ran here last announced, or None if none ever did."""
        try:
            return PlaneFile(**json.loads(self._last_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def release(self) -> None:
        """Remove what was announced and give up the lock; the pid file stays, empty."""
        if self._lock is None:
            return
        self._clear()
        with contextlib.suppress(OSError):
            os.ftruncate(self._lock, 0)
        os.close(self._lock)
        self._lock = None

    def _clear(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._plane_file.replace(self._last_file)
        self.socket.unlink(missing_ok=True)


def _lock(descriptor: int) -> bool:
    # who asks whether a plane runs holds the lock for a moment: that is not a plane
    for attempt in range(_LOCK_ATTEMPTS):
        if attempt:
            time.sleep(_LOCK_PAUSE_SECONDS)
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False
