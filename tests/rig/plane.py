"""A real plane: its own process, state directory and clock that the test drives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.rig.agent import Agent
from tests.rig.caller import Caller
from tests.rig.process import Child, clean_environment
from watchkeeper.core.places import socket_path


class Plane:
    """One plane on one state directory; it can be killed and started again on the same state.

    `clock` is `running` (real time that can be advanced), `frozen` (stands still but for the
    test) or None (real time only).
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: str | None = "running",
        database: str | None = None,
        arguments: tuple[str, ...] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.log = directory / "plane.out"
        self.environ = clean_environment(directory, **(environ or {}))
        self.child: Child | None = None
        self._clock = clock
        self._options = [*arguments, *(("--database", database) if database else ())]
        self._described: dict[str, Any] = {}
        self._port = 0
        self._callers: dict[str | None, Caller] = {}

    def start(self, *, seconds: float = 30.0) -> Plane:
        """Start the process and return when it says it is ready."""
        assert self.child is None or not self.child.running, "the plane runs already"
        command = ["-m", "watchkeeper", "serve", "--state", str(self.state)]
        command += ["--port", str(self._port)]
        if self._clock:
            command += ["--rehearsal-clock", self._clock]
        self.child = Child.python(*command, *self._options, log=self.log, env=self.environ)
        announced = self.state / "plane.json"
        self._described = self.child.wait_for_file(announced, seconds=seconds, own_pid=True)
        self._port = int(self.url.rpartition(":")[2])
        self.operator.wait_ready(seconds=seconds)
        return self

    @property
    def url(self) -> str:
        """Address for agents and remote consoles, on 127.0.0.1."""
        return str(self._described["http"]).rstrip("/")

    @property
    def socket(self) -> Path:
        """The Unix socket of people on this machine."""
        return socket_path(self.state)

    @property
    def operator(self) -> Caller:
        """The API as this machine's owner sees it, over the Unix socket."""
        return self._caller("socket", "http://plane", socket=self.socket)

    def caller(self, token: str | None = None) -> Caller:
        """The API over TCP with this bearer token, or with none."""
        return self._caller(token, self.url, token=token)

    def advance(self, seconds: float) -> None:
        """Move the plane's clock forward; the sweeper then finds what has become due."""
        self.operator.post("/v1/rehearsal/clock", {"advance_seconds": seconds})

    def apply(self, *texts: str, **files: str) -> dict[str, Any]:
        """Apply YAML documents (`texts`), and `files` by name with `__` for the dot.

        `apply(agent_yaml, refunds__cedar=policy)` sends `document-0.yaml` and `refunds.cedar`.
        """
        sent = [{"path": f"document-{n}.yaml", "text": text} for n, text in enumerate(texts)]
        sent += [{"path": n.replace("__", "."), "text": text} for n, text in files.items()]
        plan: dict[str, Any] = self.operator.post("/v1/apply", {"files": sent})
        return plan

    def apply_directory(self, directory: Path) -> dict[str, Any]:
        """Apply every YAML and Cedar file under `directory`."""
        paths = sorted(p for p in directory.rglob("*") if p.suffix in {".yaml", ".yml", ".cedar"})
        sent = [{"path": str(p.relative_to(directory)), "text": p.read_text()} for p in paths]
        plan: dict[str, Any] = self.operator.post("/v1/apply", {"files": sent})
        return plan

    def enrol(self, agent: str, *, ttl_seconds: int = 900) -> Agent:
        """Enrol `agent` and redeem its one-time secret; it can open runs then."""
        asked = {"agent": agent, "ttl_seconds": ttl_seconds}
        secret = self.operator.post("/v1/enrolments", asked)["secret"]
        redeemed = self.caller().post("/v1/enrolments/redeem", {"secret": secret})
        return Agent(name=agent, credential=redeemed["credential"], plane=self)

    def events(self, **filters: str | int) -> list[dict[str, Any]]:
        """Every event that matches, oldest first."""
        found: list[dict[str, Any]] = []
        after = 0
        while True:
            page = self.operator.get("/v1/events", after=after, limit=200, **filters)
            found += page["rows"]
            if not page["rows"] or not page.get("next"):
                return found
            after = page["rows"][-1]["sequence"]

    def issue_token(self, person: str) -> str:
        """A person's bearer token for a remote console."""
        token: str = self.operator.post("/v1/persons/tokens", {"person": person})["token"]
        return token

    def kill(self) -> None:
        """End the process as a power cut would (SIGKILL)."""
        assert self.child is not None
        self.child.kill()
        self._forget()

    def stop(self) -> int:
        """End the process in order (SIGTERM) and return its exit code."""
        assert self.child is not None
        self._forget()
        return self.child.stop()

    def restart(self) -> Plane:
        """Start again on the same state and port, after a kill or a stop."""
        return self.start()

    def close(self) -> None:
        """End whatever still runs; for fixtures."""
        self._forget()
        if self.child is not None and self.child.running:
            self.child.kill()

    @property
    def output(self) -> str:
        """What the process printed, and its log."""
        log = self.state / "plane.log"
        printed = self.child.output if self.child else ""
        return printed + (log.read_text(errors="replace") if log.exists() else "")

    def described(self) -> dict[str, Any]:
        """What plane.json says now."""
        found: dict[str, Any] = json.loads((self.state / "plane.json").read_text())
        return found

    def _caller(self, key: str | None, base: str, **options: Any) -> Caller:
        if key not in self._callers:
            self._callers[key] = Caller(base, **options)
        return self._callers[key]

    def _forget(self) -> None:
        while self._callers:
            self._callers.popitem()[1].close()
