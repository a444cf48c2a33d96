"""Fixtures that any test may use: a plane, an upstream, a provider, a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.rig.plane import Plane
from tests.rig.process import forking
from tests.rig.provider import Provider
from tests.rig.stores import clock, database_url, empty_database_url, postgres, store
from tests.rig.tmux import Tmux
from tests.rig.upstream import Upstream

__all__ = ["clock", "database_url", "empty_database_url", "postgres", "store"]

# `ci` finds the same things on every machine; `deep` looks further, for hours if it must.
_SLOW = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)
settings.register_profile(
    "ci", derandomize=True, max_examples=60, deadline=None, suppress_health_check=_SLOW
)
settings.register_profile(
    "deep", max_examples=2000, stateful_step_count=100, deadline=None, suppress_health_check=_SLOW
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session", autouse=True)
def forked() -> Iterator[None]:
    """Children without the seconds that their imports take."""
    with forking():
        yield


@pytest.fixture
def make_plane(tmp_path: Path) -> Iterator[Callable[..., Plane]]:
    """Start planes, each on a directory of its own unless told; all end with the test."""
    made: list[Plane] = []

    def make(name: str = "", **options: Any) -> Plane:
        made.append(Plane(tmp_path / (name or f"plane-{len(made)}"), **options))
        return made[-1].start()

    yield make
    for plane in made:
        plane.close()


@pytest.fixture
def plane(make_plane: Callable[..., Plane]) -> Plane:
    """A running plane with a clock that the test can advance."""
    return make_plane()


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    """A running MCP upstream over HTTP."""
    server = Upstream(tmp_path / "upstream").start()
    yield server
    server.stop()


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    """A running model provider."""
    server = Provider(tmp_path / "provider").start()
    yield server
    server.stop()


@pytest.fixture
def make_terminal() -> Iterator[Callable[..., Tmux]]:
    """Open terminals of a given size; all close with the test."""
    made: list[Tmux] = []

    def make(columns: int = 80, rows: int = 24) -> Tmux:
        made.append(Tmux(columns=columns, rows=rows))
        return made[-1]

    yield make
    for terminal in made:
        terminal.close()
