"""The SQLite state of one tool server, with a log of every call that reached it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from watchkeeper.core.clock import Clock, SystemClock
from watchkeeper.core.digest import canonical
from watchkeeper.demo.tool_servers.tool import Arguments, Result, Tool, ToolFailed, Workplace

_CALLS = """
CREATE TABLE IF NOT EXISTS calls (
  call INTEGER PRIMARY KEY, at INTEGER NOT NULL, tool TEXT NOT NULL,
  arguments TEXT NOT NULL, ok INTEGER NOT NULL, said TEXT NOT NULL DEFAULT '');
"""


class ToolState:
    """One server's tables; each call and its log entry are one transaction."""

    def __init__(self, path: Path, workplace: Workplace, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._tools = {tool.name: tool for tool in workplace.tools}
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.connection.execute("PRAGMA busy_timeout=5000")
        filled = self.connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE name = 'calls'"
        ).fetchone()[0]
        if not filled:
            self.connection.executescript("BEGIN;" + _CALLS + workplace.tables)
            workplace.fill(self.connection)
            self.connection.execute("COMMIT")

    def call(self, name: str, arguments: Arguments) -> Result:
        """Run one tool and log the call; raise `ToolFailed` with the reason if it can't."""
        tool = self._tools.get(name)
        if tool is None:
            raise ToolFailed(f"this server has no tool {name!r}")
        missing = [key for key in tool.properties if key not in arguments]
        if missing:
            raise ToolFailed(f"{name} needs {', '.join(missing)}")
        try:
            with self._transaction():
                result = tool.run(self.connection, arguments)
                self._log(tool, arguments, True, "")
        except (ToolFailed, ValueError, TypeError) as error:
            with self._transaction():
                self._log(tool, arguments, False, str(error))
            raise ToolFailed(str(error)) from error
        return result

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    def _log(self, tool: Tool, arguments: Arguments, ok: bool, said: str) -> None:
        self.connection.execute(
            "INSERT INTO calls (at, tool, arguments, ok, said) VALUES (?, ?, ?, ?, ?)",
            (self._clock.now(), tool.name, canonical(arguments).decode(), int(ok), said),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
