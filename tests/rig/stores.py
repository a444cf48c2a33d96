"""Databases of both kinds for tests of what runs on a store.

Their tables are made once for a test worker, by the store itself, and copied from then on;
tests of how a store makes them begin with nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.rig.postgres import Postgres, run_apart
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.store.store import Store

_FILE = "plane.sqlite3"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL server for the session."""
    server = Postgres()
    yield server
    if server.prepared:
        server.drop_database(server.prepared)
    server.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without a row, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    server: Postgres = request.getfixturevalue("postgres")
    if not server.prepared:
        server.prepared = server.create_database()
        _prepare(server.prepared)
    url = server.create_database(like=server.prepared)
    yield url
    server.drop_database(url)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without a table, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield empty_sqlite_url(tmp_path)
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
    """The URL of the database file in `directory`; it is made there, without a row."""
    path = directory / _FILE
    if not path.exists():
        path.write_bytes(_prepared_file())
        path.chmod(0o600)
    return empty_sqlite_url(directory)


def empty_sqlite_url(directory: Path) -> str:
    """The URL of a database file in `directory` that need not be there."""
    return f"sqlite:///{directory / _FILE}"


@cache
def _prepared_file() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        _prepare(empty_sqlite_url(Path(name)))
        assert os.listdir(name) == [_FILE], "all of it is in one file"
        return (Path(name) / _FILE).read_bytes()


def _prepare(url: str) -> None:
    async def make() -> None:
        await (await Store.open(url, RehearsalClock(frozen=True))).close()

    run_apart(make)
