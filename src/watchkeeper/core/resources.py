"""Where the files that ship with the program are."""

from __future__ import annotations

from pathlib import Path

from watchkeeper.core.errors import NotFound

_PACKAGE = Path(__file__).resolve().parents[1]


def resource_dir(name: str) -> Path:
    """Return the directory ``themes``, ``sample_data`` or ``guides``.

    An installed package carries them inside; a source tree has them at its root. Raises
    :class:`NotFound` if neither is there.
    """
    for place in (_PACKAGE / name, _PACKAGE.parents[1] / name):
        if place.is_dir():
            return place
    raise NotFound(
        f"the files {name!r} of this installation are missing",
        remedy="install Watchkeeper again",
    )
