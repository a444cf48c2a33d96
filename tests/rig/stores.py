"""Databases of both kinds for tests of what runs on a store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.rig.postgres import Postgres
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.store.store import Store


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL server for the session."""
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.fixture
def clock() -> RehearsalClock:
    """A clock that stands still until the test moves it."""
    return RehearsalClock(frozen=True)


@pytest.fixture
async def store(database_url: str, clock: RehearsalClock) -> AsyncIterator[Store]:
    """An open store, once on SQLite and once on PostgreSQL."""
    opened = await Store.open(database_url, clock)
    yield opened
    await opened.close()


def sqlite_url(directory: Path) -> str:
    """The URL of a database file in `directory`."""
    return f"sqlite:///{directory / 'plane.sqlite3'}"
