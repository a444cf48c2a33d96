"""Refuses an environment that holds anything but what the lock names, at its version."""

from __future__ import annotations

import sys
from importlib.metadata import distributions

from packaging.utils import canonicalize_name

from tests.packaging.lock import LOCK, locked_versions

INSTALLERS = {"pip", "setuptools", "watchkeeper"}


def strangers() -> list[str]:
    """Return `name==version` of each installed package that the lock does not name so."""
    locked = locked_versions(LOCK.read_text(encoding="utf-8"), tests=True)
    installed = {canonicalize_name(found.name): found.version for found in distributions()}
    return sorted(
        f"{name}=={version}"
        for name, version in installed.items()
        if name not in INSTALLERS and locked.get(name) != version
    )


if __name__ == "__main__":
    sys.exit("\n".join(["not in the lock:", *found]) if (found := strangers()) else 0)
