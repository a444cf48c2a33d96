"""An upstream for tests: a real MCP server process whose effects are rows the test can read."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from tests.rig.process import ROOT, Child, clean_environment

CHARGES = (("ch_1", "ada", 120.0), ("ch_2", "grace", 480.0), ("ch_3", "edsger", 4000.0))


class Upstream:
    """One upstream with its own database; over HTTP as a process here, over stdio by command."""

    def __init__(
        self, directory: Path, *, credential: str | None = None, sse: bool = False
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.database = directory / "upstream.sqlite3"
        self.credential = credential
        self.url = ""
        self._sse = sse
        self._child: Child | None = None
        self._port = 0
        self._prepare()

    def start(self) -> Upstream:
        """Serve over HTTP; a second start after `stop` keeps the address."""
        ready = self.directory / "upstream.json"
        ready.unlink(missing_ok=True)
        arguments = ["--database", str(self.database), "--ready", str(ready)]
        arguments += ["--port", str(self._port)]
        arguments += ["--credential", self.credential] if self.credential else []
        arguments += ["--sse"] if self._sse else []
        self._child = Child.python(
            "-m",
            "tests.rig.upstream_server",
            *arguments,
            log=self.directory / "upstream.out",
            env=clean_environment(self.directory),
        )
        self.url = self._child.wait_for_file(ready)["url"]
        self._port = int(self.url.rpartition(":")[2].partition("/")[0])
        return self

    @property
    def command(self) -> list[str]:
        """What serves the same upstream over stdio, whatever the caller's environment."""
        program = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
            "from tests.rig.upstream_server import main; main()"
        )
        return [sys.executable, "-c", program, "--stdio", "--database", str(self.database)]

    def executions(self, tool: str | None = None) -> list[dict[str, Any]]:
        """The arguments of every execution, in order, of one tool or of all."""
        query = "select tool, arguments from executions order by number"
        return [
            json.loads(row["arguments"])
            for row in self._rows(query)
            if tool is None or row["tool"] == tool
        ]

    def refunded(self, charge: str) -> float:
        """How much of a charge has been refunded, in dollars."""
        (row,) = self._rows("select refunded_usd from charges where id = ?", charge)
        return float(row["refunded_usd"])

    def credentials_seen(self) -> list[str]:
        """Every Authorization header (HTTP) or credential variable (stdio) it was given."""
        return [row["value"] for row in self._rows("select value from credentials_seen")]

    def tell(self, label: str = "gate", value: str = "go on") -> None:
        """Let `wait_until_told` with this label answer with `value`."""
        self._write("insert or replace into switches values (?, ?)", label, value)

    def redefine(self, tool: str, **change: Any) -> None:
        """List a tool otherwise from now on, or one more: members as the SDK names them."""
        statement = "insert or replace into redefinitions values (?, ?)"
        self._write(statement, tool, json.dumps(change))

    def withdraw(self, tool: str) -> None:
        """List a tool no longer."""
        self._write("insert or replace into redefinitions values (?, 'null')", tool)

    def restore(self, tool: str) -> None:
        """List a tool as it was at first."""
        self._write("delete from redefinitions where tool = ?", tool)

    def add_charge(self, charge: str, amount_usd: float, customer: str = "ada") -> None:
        """Add a charge that can be refunded."""
        self._write("insert into charges values (?, ?, ?, 0)", charge, customer, amount_usd)

    def stop(self) -> None:
        """End the HTTP process; its state stays."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    @property
    def output(self) -> str:
        """What the HTTP process printed."""
        return self._child.output if self._child else ""

    def _prepare(self) -> None:
        from tests.rig.upstream_server import SCHEMA

        with sqlite3.connect(self.database) as connection:
            connection.execute("pragma journal_mode = wal")
            connection.executescript(SCHEMA)
            connection.executemany("insert or ignore into charges values (?, ?, ?, 0)", CHARGES)
        connection.close()

    def _rows(self, query: str, *parameters: object) -> list[sqlite3.Row]:
        connection = sqlite3.connect(self.database, timeout=10)
        try:
            connection.row_factory = sqlite3.Row
            return connection.execute(query, parameters).fetchall()
        finally:
            connection.close()

    def _write(self, statement: str, *parameters: object) -> None:
        connection = sqlite3.connect(self.database, timeout=10)
        try:
            with connection:
                connection.execute(statement, parameters)
        finally:
            connection.close()
