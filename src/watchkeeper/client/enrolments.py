"""What an agent's workload on this machine proves itself with: one private file for each agent.

The file has the form of an environment (`NAME=value`), so that anything can read it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Invalid
from watchkeeper.core.places import make_private, state_directory
from watchkeeper.wire.base import NAME

_DIRECTORY = "agents"
_LARGEST = 4096


@dataclass(frozen=True)
class KeptEnrolment:
    """An agent's credential, and the plane that gave it."""

    agent: str
    url: str
    credential: str = field(repr=False)
    expires_at: int
    """Microseconds, by the plane's clock."""
    gateway: str
    """What the agent calls the plane's MCP gateway: a name that no repository can know, since what
    a server of that name offers is left to the gateway."""
    plane_uid: int | None = None
    """The user that the plane runs as; None: it is not on this machine, or nobody can tell."""


def enrolment_path(agent: str, state: str | os.PathLike[str] | None = None) -> Path:
    """Return where an agent's enrolment is kept."""
    if not re.fullmatch(NAME, agent):
        raise Invalid(f"no name of an agent: {agent!r:.80}")
    return state_directory(state) / _DIRECTORY / f"{agent}.env"


def keep_enrolment(kept: KeptEnrolment, state: str | os.PathLike[str] | None = None) -> Path:
    """Keep an enrolment in a file that only its owner may read, and return where."""
    path = enrolment_path(kept.agent, state)
    make_private(path.parent.parent)
    make_private(path.parent)
    fresh = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(
            f"# what agent {kept.agent} proves itself with; whoever reads this can act as it\n"
            f"WATCHKEEPER_AGENT={kept.agent}\n"
            f"WATCHKEEPER_URL={kept.url}\n"
            f"WATCHKEEPER_CREDENTIAL={kept.credential}\n"
            f"WATCHKEEPER_CREDENTIAL_EXPIRES={kept.expires_at // MICROSECONDS}\n"
            f"WATCHKEEPER_GATEWAY={kept.gateway}\n"
        )
        if kept.plane_uid is not None:
            file.write(f"WATCHKEEPER_PLANE_UID={kept.plane_uid}\n")
    fresh.replace(path)
    return path


def read_enrolment(path: Path) -> KeptEnrolment | None:
    """Return what a file keeps, or None where there is none of ours.

    Raises `Invalid` for one that others can read: who could read it can act as the agent.
    """
    try:
        with path.open("rb") as file:
            known = os.fstat(file.fileno())
            text = file.read(_LARGEST).decode()
    except (OSError, ValueError):
        return None
    if known.st_uid != os.getuid() or known.st_mode & 0o077:
        raise Invalid(
            "others can read or change the enrolment",
            where=str(path),
            remedy="remove it and enrol the agent again",
        )
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    values = {name: value for name, _, value in pairs}
    try:
        return KeptEnrolment(
            values["WATCHKEEPER_AGENT"],
            values["WATCHKEEPER_URL"],
            values["WATCHKEEPER_CREDENTIAL"],
            int(values["WATCHKEEPER_CREDENTIAL_EXPIRES"]) * MICROSECONDS,
            values["WATCHKEEPER_GATEWAY"],
            int(values["WATCHKEEPER_PLANE_UID"]) if "WATCHKEEPER_PLANE_UID" in values else None,
        )
    except (KeyError, ValueError):
        return None
