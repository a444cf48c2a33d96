"""Starting, watching and ending the demo fleet from outside: light, for CLI and console."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Unavailable
from watchkeeper.demo.hold import holder
from watchkeeper.demo.settings import LOG_FILE, PROCESSES_FILE, FleetSettings

FOLDER = "demo"
START_SECONDS = 10.0
STOP_SECONDS = 15.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """What runs of a fleet: the supervisor's process id and its processes by name."""

    running: bool
    pid: int | None
    directory: Path
    processes: dict[str, int]
    addresses: dict[str, str]
    restarts: int = 0

    @property
    def agents(self) -> dict[str, int]:
        """The processes that are agents; the others are servers."""
        return {name: pid for name, pid in self.processes.items() if name not in self.addresses}


def fleet_directory(state: Path) -> Path:
    """Return where the fleet of a plane keeps its own state."""
    return state / FOLDER


def start(
    state: Path,
    *,
    socket: Path,
    url: str,
    pace: float = 1.0,
    hurry: float = 1.0,
    seed: int = 1,
    agents: tuple[str, ...] = (),
) -> FleetStatus:
    """Start the fleet under the plane at `socket` and `url`, detached from this process.

    Returns at once; the fleet applies its documents and enrols its agents by itself, and waits
    up to half a minute for a plane that is still starting. A fleet that runs already is left
    as it is. Raises `Unavailable` if the fleet does not start; its log says why.
    """
    directory = fleet_directory(state.resolve())
    if holder(directory) is not None:
        return status(state)
    settings = FleetSettings(
        str(directory),
        str(socket),
        url,
        pace=pace,
        hurry=hurry,
        seed=seed,
        agents=agents,
    )
    settings.save()
    with open(directory / LOG_FILE, "ab", opener=_private) as log:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "watchkeeper.demo", "fleet", str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            timeout=START_SECONDS,
            check=False,
        )
    if ended.returncode != 0 and holder(directory) is None:
        raise Unavailable(
            "the demo fleet did not start", remedy=f"look into {directory}/{LOG_FILE}"
        )
    return status(state)


def status(state: Path) -> FleetStatus:
    """Tell what runs of the fleet."""
    directory = fleet_directory(state)
    pid = holder(directory)
    note: dict[str, Any] = {}
    if pid is not None and (directory / PROCESSES_FILE).exists():
        note = parse((directory / PROCESSES_FILE).read_text(encoding="utf-8"))
    return FleetStatus(
        pid is not None,
        pid,
        directory,
        note.get("processes", {}),
        note.get("addresses", {}),
        note.get("restarts", 0),
    )


def stop(state: Path) -> bool:
    """End the fleet and all its processes; tell whether one ran. The plane goes on.

    Raises `Unavailable` if it does not end in time.
    """
    directory = fleet_directory(state)
    pid = holder(directory)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while holder(directory) is not None:
        if time.monotonic() > end:
            raise Unavailable(
                f"the demo fleet (process {pid}) does not end",
                remedy=f"look into {directory / LOG_FILE}",
            )
        time.sleep(_POLL_SECONDS)
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
