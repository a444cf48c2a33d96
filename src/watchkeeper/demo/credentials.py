"""The credentials of the demo's upstreams: in files that the plane reads, never with agents."""

from __future__ import annotations

from pathlib import Path

from watchkeeper.core.errors import NotFound
from watchkeeper.core.ids import secret
from watchkeeper.demo.settings import write_private

FOLDER = "credentials"


def credential_path(directory: Path, name: str) -> Path:
    """Return the file that holds the credential of one upstream or provider."""
    return directory / FOLDER / name


def ensure_credential(directory: Path, name: str) -> str:
    """Return the credential, made on first use."""
    path = credential_path(directory, name)
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, secret("wkd"))
    return read_credential(directory, name)


def read_credential(directory: Path, name: str) -> str:
    """Return the credential; raise `NotFound` if there is none."""
    try:
        return credential_path(directory, name).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise NotFound(
            f"there is no credential for {name!r} in {directory}",
            remedy="start the demo fleet: it makes them",
        ) from None
