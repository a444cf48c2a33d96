"""The plane on this machine: find it, or start one that outlives this terminal."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from watchkeeper.core.errors import Conflict, Unavailable
from watchkeeper.core.places import LOG_FILE, PID_FILE, PLANE_FILE, check_owner, state_directory
from watchkeeper.core.text import make_safe

START_SECONDS = 20.0
ALREADY_RUNNING = 4
"""Exit code of `watchkeeper serve` when another plane holds the state directory."""
_LOOK_SECONDS = 0.02
_TAIL_LINES = 6
_TAIL_BYTES = 16_384
_started: list[subprocess.Popen[bytes]] = []
"""Planes this process started and has not seen end; kept so that their end is noticed."""


@dataclass(frozen=True)
class RunningPlane:
    """A plane that answers on this machine. `started_at` in microseconds."""

    pid: int
    http: str
    socket: Path
    started_at: int
    environment: str
    version: str


def find_plane(state: str | os.PathLike[str] | None = None) -> RunningPlane | None:
    """Return the plane that is ready on a state directory, or None.

    Only a living plane counts: what a killed one left behind is passed over. Raises
    `Forbidden` if the directory of its socket belongs to somebody else.
    """
    directory = state_directory(state)
    if not is_held(directory):
        return None
    try:
        found = json.loads((directory / PLANE_FILE).read_text(encoding="utf-8"))
        plane = RunningPlane(
            pid=int(found["pid"]),
            http=str(found["http"]),
            socket=Path(found["socket"]),
            started_at=int(found["started_at"]),
            environment=str(found["environment"]),
            version=str(found["version"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    check_owner(plane.socket.parent)
    return plane


def is_held(directory: Path) -> bool:
    """Tell whether a living process holds the state directory, ready or not."""
    try:
        descriptor = os.open(directory / PID_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def require_plane(state: str | os.PathLike[str] | None = None) -> RunningPlane:
    """Return the plane that is ready; raise `Unavailable` if none runs."""
    plane = find_plane(state)
    if plane is None:
        directory = state_directory(state)
        starting = is_held(directory)
        raise Unavailable(
            "the plane is starting and not ready yet" if starting else "no plane runs here",
            code="plane_starting" if starting else "no_plane",
            where=str(directory),
            remedy="try again in a second" if starting else "start one with `watchkeeper serve`",
        )
    return plane


def ensure_plane(
    state: str | os.PathLike[str] | None = None,
    *,
    arguments: Sequence[str] = (),
    within_seconds: float = START_SECONDS,
) -> RunningPlane:
    """Return the plane of a state directory, starting it if none runs there.

    `arguments` are more flags for `watchkeeper serve`, used only if this call starts it.
    When several callers start at once, one plane wins and all get that one. Blocks until
    the plane is ready. Raises `Unavailable` with the end of its log if it does not start.
    """
    directory = state_directory(state)
    deadline = time.monotonic() + within_seconds
    process: subprocess.Popen[bytes] | None = None
    while True:
        plane = find_plane(directory)
        if plane is not None:
            if process is not None and process.pid != plane.pid:
                process.kill()  # else it might find the directory free once that plane stops
                process.wait()
            _notice_ends()
            return plane
        if process is None and not is_held(directory):
            process = _spawn(directory, arguments)
        code = process.poll() if process is not None else None
        if code == ALREADY_RUNNING and is_held(directory):
            process = None  # somebody else's plane won: wait for that one
        elif code is not None:
            raise _failed(directory, f"the plane ended while starting (exit code {code})")
        if time.monotonic() > deadline:
            raise _failed(directory, f"the plane was not ready within {within_seconds:g} s")
        time.sleep(_LOOK_SECONDS)


def stop_plane(state: str | os.PathLike[str] | None = None, *, within_seconds: float = 15) -> bool:
    """Ask the plane on this machine to end in order and wait until it has.

    Returns False if none ran. Raises `Conflict` if it still runs after the time.
    """
    directory = state_directory(state)
    plane = find_plane(directory)
    if plane is None:
        return False
    os.kill(plane.pid, 15)
    deadline = time.monotonic() + within_seconds
    while is_held(directory):
        if time.monotonic() > deadline:
            raise Conflict(
                f"the plane (process {plane.pid}) has not ended after {within_seconds:g} s",
                where=str(directory),
                remedy="look at its log; a kill loses nothing that was acknowledged",
            )
        time.sleep(_LOOK_SECONDS)
    _notice_ends()
    return True


def _notice_ends() -> None:
    """Reap started planes that have ended, so that none stays a zombie."""
    _started[:] = [process for process in _started if process.poll() is None]


def _spawn(directory: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = os.open(
            directory / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise Unavailable(
            f"cannot write to the state directory: {error.strerror}",
            where=str(directory),
            remedy="free space or fix its permissions, or give another with --state DIR",
        ) from None
    command = [sys.executable, "-m", "watchkeeper", "serve", "--detached"]
    command += ["--state", str(directory), *arguments]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
            close_fds=True,
        )
    finally:
        os.close(log)
    _started.append(process)
    return process


def _failed(directory: Path, message: str) -> Unavailable:
    tail = log_tail(directory)
    return Unavailable(
        f"{message}; its log ends with:\n{tail}" if tail else message,
        code="plane_not_started",
        where=str(directory / LOG_FILE),
        remedy="correct what the log says, or run `watchkeeper serve` to see it in the foreground",
    )


def log_tail(directory: Path) -> str:
    """Return the last lines of the plane's log, safe to show."""
    try:
        with (directory / LOG_FILE).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()[-_TAIL_LINES:]
    except OSError:
        return ""
    return "\n".join("  " + make_safe(line, limit=400) for line in lines)
