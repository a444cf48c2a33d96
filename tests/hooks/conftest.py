"""One plane for the hooks' tests: each takes a session of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hooks.ground import governed
from tests.rig.plane import Plane


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A plane that governs a coding agent."""
    plane = Plane(tmp_path_factory.mktemp("plane"), clock="frozen").start()
    try:
        yield plane
    finally:
        plane.close()


@pytest.fixture(scope="module")
def enrolled(plane: Plane) -> Path:
    """The enrolment file of the coding agent."""
    return governed(plane)
