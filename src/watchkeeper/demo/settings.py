"""What the processes of one demo fleet share, kept as JSON in its directory."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Invalid, NotFound

SETTINGS_FILE = "fleet.json"
LOG_FILE = "fleet.log"
PID_FILE = "fleet.pid"
PROCESSES_FILE = "processes.json"


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """Where the fleet lives, which plane governs it, and how fast it works."""

    directory: str
    """The fleet's own state: databases of the tool servers, credentials, log."""
    socket: str
    """The plane's Unix socket, where the operator enrols the agents."""
    url: str
    """The plane's address for agents, e.g. ``http://127.0.0.1:8750``."""
    pace: float = 1.0
    """How fast agents work: 2 halves their pauses. One gives a few calls a second in all."""
    hurry: float = 1.0
    """Divides every delay of the applied escalations and deadlines; for short rehearsals."""
    seed: int = 1
    agents: tuple[str, ...] = ()
    """Only these agents; all of them when empty."""
    restart: bool = True
    """Whether a process that ended by itself is started again."""
    fail_every: dict[str, int] = field(
        default_factory=lambda: {"local/small-1": 37, "local/large-1": 23}
    )
    """For each provider's model: every n-th call fails, so that there is something to retry."""

    @property
    def path(self) -> Path:
        """The fleet's directory."""
        return Path(self.directory)

    def save(self) -> None:
        """Write the settings into the fleet's directory, for its owner only."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.path / SETTINGS_FILE, canonical(asdict(self)).decode())


def load_settings(directory: Path) -> FleetSettings:
    """Read the settings of a fleet; raise `NotFound` or `Invalid` if there are none."""
    try:
        values: dict[str, Any] = parse((directory / SETTINGS_FILE).read_text(encoding="utf-8"))
        settings = FleetSettings(**{**values, "agents": tuple(values.get("agents", ()))})
    except FileNotFoundError:
        raise NotFound(
            f"no demo fleet was set up in {directory}", remedy="start one: watchkeeper demo"
        ) from None
    except TypeError as error:
        raise Invalid(f"settings of another version: {error}", where=SETTINGS_FILE) from error
    return replace(settings, directory=str(directory))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, all of it or nothing."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
