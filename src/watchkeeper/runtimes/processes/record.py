"""What is kept of a supervised process, so that a plane that starts anew finds it again."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from watchkeeper.tools.processes.table import Identity
from watchkeeper.wire.runtimes import RunState

MOST_LAUNCHES = 20
MOST_KNOWN = 500
_FILE = "launches.json"


class Launch(msgspec.Struct):
    """One start of the command, by an id of its own; times in microseconds."""

    id: str
    pid: int
    started: str
    began_at: int
    our_run: str | None = None
    known: list[Identity] = []
    """Every process that was seen to belong to it and may live."""
    told: bool = False
    """A person or lock ended it; it is not started again by itself."""
    left: bool = False
    """The plane ended it because it ended itself."""
    ended_at: int | None = None
    code: int | None = None
    """What its first process ended with, as `subprocess` tells; None: nobody was there to see."""

    @property
    def leader(self) -> Identity:
        """Its first process."""
        return self.pid, self.started

    @property
    def failed(self) -> bool:
        """Whether it ended by itself, and not well as far as anybody knows."""
        return not self.told and not self.left and self.code != 0

    def ended_state(self) -> RunState:
        """Return how it ended; what nobody saw is unknown."""
        if self.told or self.left:
            return "stopped"
        if self.code is None:
            return "unknown"
        return "done" if self.code == 0 else "failed"


class Record(msgspec.Struct):
    """What is wanted of the process, and its latest launches, oldest first."""

    document: str = ""
    """The digest of the document that was followed last."""
    wanted: bool = True
    fresh: bool = True
    """It is to be started whatever came of it before: its document is new, or a person said so."""
    failures: int = 0
    """In a row."""
    launches: list[Launch] = []

    @property
    def latest(self) -> Launch | None:
        """The latest launch."""
        return self.launches[-1] if self.launches else None

    def add(self, launch: Launch) -> None:
        """Take a new launch, and forget the oldest that have ended."""
        self.launches.append(launch)
        ended = [one for one in self.launches if one.ended_at is not None]
        for one in ended[: max(0, len(self.launches) - MOST_LAUNCHES)]:
            self.launches.remove(one)


def read_record(directory: Path) -> Record:
    """Return what is kept, or a new record where nothing is.

    Raises `ValueError` for a file that can't be read: what it knew may be running still.
    """
    try:
        return msgspec.json.decode((directory / _FILE).read_bytes(), type=Record)
    except FileNotFoundError:
        return Record()
    except (OSError, msgspec.DecodeError) as error:
        raise ValueError(f"{directory / _FILE} can't be read ({error})") from None


def write_record(directory: Path, record: Record) -> None:
    """Keep a record: whole or not at all, and before anything that relies on it."""
    place, draft = directory / _FILE, directory / f"{_FILE}.new"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(msgspec.json.encode(record))
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(place)
