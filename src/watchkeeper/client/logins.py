"""Logins at remote planes, kept on this machine: one private file for each address."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from watchkeeper.core.places import make_private, state_directory

_DIRECTORY = "logins"


@dataclass(frozen=True)
class Login:
    """What a plane gave at the last login, and which plane it was."""

    url: str
    plane: str = ""
    """The plane's id, if it was told; kept after a logout, so that another one is noticed."""
    person: str = ""
    token: str = field(default="", repr=False)
    expires_at: int = 0
    """Microseconds, by the plane's clock."""


def read_login(url: str, state: str | os.PathLike[str] | None = None) -> Login | None:
    """Return the login kept for an address, or None. A file that others could read is passed
    over: who could read it has the token too.
    """
    path = _path(url, state)
    try:
        with path.open(encoding="utf-8") as file:
            known = os.fstat(file.fileno())
            if known.st_uid != os.getuid() or known.st_mode & 0o077:
                return None
            return Login(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None


def keep_login(login: Login, state: str | os.PathLike[str] | None = None) -> Path:
    """Keep a login in a file that only its owner may read, and return where."""
    path = _path(login.url, state)
    make_private(path.parent.parent)
    make_private(path.parent)
    fresh = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump(asdict(login), file)
    fresh.replace(path)
    return path


def _path(url: str, state: str | os.PathLike[str] | None) -> Path:
    name = hashlib.sha256(plain_url(url).encode()).hexdigest()[:32]
    return state_directory(state) / _DIRECTORY / f"{name}.json"


def plain_url(url: str) -> str:
    """Return an address in the one form that it is kept under."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), parts.path.rstrip("/"), "", ""))
