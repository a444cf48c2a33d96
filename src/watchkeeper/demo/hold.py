"""One supervisor per fleet directory: a locked file that also names its process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from watchkeeper.core.errors import Conflict
from watchkeeper.demo.settings import PID_FILE


class FleetLock:
    """Held by the supervisor; raises `Conflict` on entering if another holds it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / PID_FILE
        self.descriptor = -1

    def __enter__(self) -> Self:
        self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self.descriptor)
            raise Conflict(
                f"a demo fleet runs in {self._path.parent} already",
                remedy="stop it: watchkeeper demo stop",
            ) from None
        os.ftruncate(self.descriptor, 0)
        os.write(self.descriptor, f"{os.getpid()}\n".encode())
        return self

    def __exit__(self, *exc: object) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self.descriptor)


def holder(directory: Path) -> int | None:
    """Return the process id of the running supervisor, None if there is none."""
    try:
        descriptor = os.open(directory / PID_FILE, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.read(descriptor, 32).decode().strip()
        return int(text) if text.isdigit() else None
    else:
        return None
    finally:
        os.close(descriptor)
