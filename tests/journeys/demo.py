"""The demo as a person gets it: one command, a directory of its own, and what its ledger says."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.rig.caller import Caller
from tests.rig.console import ConsoleDriver
from tests.rig.deadline import eventually
from tests.rig.process import clean_environment
from tests.rig.tmux import Tmux
from watchkeeper.console.place import PLACE_FILE
from watchkeeper.core.places import socket_path
from watchkeeper.demo import fleet
from watchkeeper.demo.agents.profile import PROFILES

COMMANDS = Path(sys.executable).parent
"""Where the installed command is."""
PATIENCE_SECONDS = 90.0
"""How long agents may take to come to the point that a story needs."""
MICROSECONDS_PER_MILLISECOND = 1000
AGENTS = {profile.name for profile in PROFILES}
Event = dict[str, Any]
MakeTerminal = Callable[..., Tmux]


class Ledger:
    """What a plane wrote down, read by its owner."""

    def __init__(self, operator: Caller) -> None:
        self.operator = operator

    @property
    def head(self) -> int:
        """Sequence of the newest event."""
        sequence: int = self.operator.get("/v1/status")["sequence"]
        return sequence

    def events(self, after: int = 0, **filters: str) -> list[Event]:
        """Every event that matches, oldest first."""
        found: list[Event] = []
        while True:
            page = self.operator.get("/v1/events", after=after, limit=500, **filters)
            if not page["rows"]:
                return found
            found += page["rows"]
            after = found[-1]["sequence"]

    def wait(self, after: int = 0, rule: str = "", **filters: str) -> Event:
        """Return the first event that matches, once there is one."""

        def find() -> Event | None:
            events = self.events(after, **filters)
            return next((e for e in events if rule in e["body"].get("rule", "")), None)

        what = f"an event {filters} {rule} after {after}"
        return eventually(find, what, seconds=PATIENCE_SECONDS, every=0.1)

    def pending(self, **wanted: Any) -> dict[str, Any]:
        """Return, of the pending requests with these fields, the one with most time left."""

        def find() -> dict[str, Any] | None:
            status = self.operator.get("/v1/status")
            rows = self.operator.get("/v1/requests", state="pending", limit=200)["rows"]
            fit = [row for row in rows if wanted.items() <= row.items()]
            fresh = [row for row in fit if row["decide_by"] - status["now"] > 30_000_000]
            return max(fresh, key=lambda row: int(row["decide_by"]), default=None)

        return eventually(find, f"a request {wanted}", seconds=PATIENCE_SECONDS, every=0.1)

    def agent(self, name: str) -> dict[str, Any]:
        """Return an agent as the plane describes it."""
        found: dict[str, Any] = self.operator.get(f"/v1/agents/{name}")
        return found


def milliseconds(earlier: Event, later: Event) -> float:
    """Return the time between two events."""
    return round(int(later["at"] - earlier["at"]) / MICROSECONDS_PER_MILLISECOND, 1)


class Demo:
    """A demo fleet that `watchkeeper demo` started, and the terminals that look at it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        path = f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"
        self.environ = clean_environment(directory, WATCHKEEPER_STATE=str(self.state), PATH=path)
        self._operator: Caller | None = None

    def open(
        self, terminal: Tmux, line: str = "watchkeeper demo", *, afresh: bool = True
    ) -> ConsoleDriver:
        """Type the one line into a shell in a terminal; a fleet that runs is joined.

        Afresh, the console starts at its beginning, not where another journey left it.
        """
        if afresh:
            (self.state / PLACE_FILE).unlink(missing_ok=True)
        return ConsoleDriver.start(terminal, line, env=self.environ, cwd=self.directory)

    def run(self, *arguments: str) -> str:
        """Run `watchkeeper` in a plain shell and return what it prints."""
        done = subprocess.run(
            [str(COMMANDS / "watchkeeper"), *arguments],
            env=self.environ,
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def ledger(self) -> Ledger:
        """The plane's ledger."""
        if self._operator is None:
            self._operator = Caller("http://plane", socket=socket_path(self.state))
        return Ledger(self._operator)

    def wait_for_agents(self) -> None:
        """Wait until every agent has its process."""
        what = "a process for each agent"
        eventually(lambda: set(self.agents) == AGENTS, what, seconds=PATIENCE_SECONDS)

    @property
    def agents(self) -> dict[str, int]:
        """Process ids of the agents."""
        return fleet.status(self.state).agents

    def refunds(self) -> dict[str, int]:
        """Cents refunded by charge, as the payments server's own database has it."""
        path = fleet.fleet_directory(self.state) / "payments.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as books:
            return dict(books.execute("SELECT charge, cents FROM refunds").fetchall())

    def stop(self) -> str:
        """End the fleet and its plane as a person would, and check that nothing stays."""
        if self._operator is not None:
            self._operator.close()
            self._operator = None
        said = self.run("demo", "stop")
        wait_until_nothing_runs(self.directory)
        return said


def wait_until_nothing_runs(directory: Path) -> None:
    """Wait until no process names anything under `directory`."""
    try:
        eventually(lambda: not processes_of(directory), "no process is left")
    except AssertionError:
        raise AssertionError(f"still running: {processes_of(directory)}") from None


def processes_of(directory: Path) -> list[str]:
    """Return the living processes with this directory in their command line or environment."""
    listed = subprocess.run(
        ["ps", "axeww", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True
    )
    lines = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return [
        f"{line[0]} {line[2][:120]}"
        for line in lines
        if len(line) == 3 and str(directory) in line[2] and not line[1].startswith("Z")
    ]
