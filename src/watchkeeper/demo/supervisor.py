"""The fleet's parent: imports once, forks a process per server and agent, restarts the fallen."""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import select
import signal
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.demo import settings as files
from watchkeeper.demo.children import Lifeline, end_processes, fork_question, fork_task
from watchkeeper.demo.credentials import ensure_credential
from watchkeeper.demo.hold import FleetLock
from watchkeeper.demo.http import listen
from watchkeeper.demo.preparation import PORTS, prepare
from watchkeeper.demo.settings import FleetSettings, load_settings

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 20.0
"""A process that lived this long starts again without a longer pause."""
STOP_SECONDS = 4.0
SERVER_NAMES = ("models", "payments", "tickets", "cloud", "catalogue")
SHARED_MODULES = (
    "watchkeeper.demo.agents.process",
    "watchkeeper.demo.serving",
    # What the libraries themselves import only when the first request is made:
    "anyio._backends._asyncio",
    "httpcore",
    "httpcore2",
    "httptools",
    "httpx",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.auto",
)
log = logging.getLogger("watchkeeper.demo")
Make = Callable[[], Coroutine[Any, Any, object]]


@dataclass(slots=True)
class Child:
    """A process of the fleet and when it may start again."""

    name: str
    pid: int = 0
    started: float = 0.0
    pause: float = FIRST_PAUSE / 2
    due: float | None = None
    restarts: int = 0


def supervise(directory: Path) -> int:
    """Run a fleet by its saved settings in a process of its own, detached from any terminal.

    Returns 0 as soon as that process holds the fleet's directory, 1 if it can't; the process
    itself goes on until it is told to end.
    """
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        return 0 if os.read(reading, 1) else 1
    os.close(reading)
    os.setsid()
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(message)s")
    for noisy in ("httpx", "httpx2", "mcp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        settings = load_settings(directory.resolve())
        with FleetLock(settings.path) as lock:
            os.write(writing, b"1")
            os.close(writing)
            Supervisor(settings, lock.descriptor).run()
    except WatchkeeperError as error:
        log.error("%s", error)
        return 1
    return 0


@dataclass
class Supervisor:
    """Starts and watches the processes of one fleet; single-threaded, so that it can fork."""

    settings: FleetSettings
    lock: int
    _lifeline: Lifeline = field(default_factory=Lifeline.make)
    _sockets: dict[str, socket.socket] = field(default_factory=dict)
    _servers: dict[str, Child] = field(default_factory=dict)
    _agents: dict[str, Child] = field(default_factory=dict)
    _answers: dict[int, tuple[int, list[str]]] = field(default_factory=dict)
    _applied: bool = False
    _ending: bool = False
    _wake: tuple[int, int] = (-1, -1)
    _context: ssl.SSLContext | None = None

    def run(self) -> None:
        """Start everything, then restart what falls until SIGTERM or SIGINT."""
        from watchkeeper.demo.agents.profile import PROFILES

        self._listen_for_signals()
        for name in SERVER_NAMES:
            self._sockets[name] = listen(PORTS[name])
            ensure_credential(self.settings.path, name)
        ensure_credential(self.settings.path, "documents")
        chosen = [p.name for p in PROFILES if p.name in (self.settings.agents or [p.name])]
        self._agents = {name: Child(name) for name in chosen}
        # The plane is prepared in a process of its own while this one imports the libraries.
        self._enrol(chosen)
        _import_libraries()
        self._context = ssl.create_default_context()
        for name in SERVER_NAMES:
            self._servers[name] = Child(name)
            self._start_server(self._servers[name])
        self._note()
        while not self._ending:
            self._wait()
            self._read_answers()
            self._reap()
            self._start_due()
        self._stop()

    def _listen_for_signals(self) -> None:
        self._wake = os.pipe()
        for descriptor in self._wake:
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)

        def end(*_: object) -> None:
            self._ending = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _start_server(self, child: Child) -> None:
        from watchkeeper.demo.serving import serve_model, serve_tools

        token = ensure_credential(self.settings.path, child.name)
        bound = self._sockets[child.name]
        if child.name == "models":

            async def serve() -> None:
                await serve_model(bound, token, self.settings)
        else:

            async def serve() -> None:
                await serve_tools(child.name, bound, token, self.settings.path)

        self._fork(child, serve)

    def _start_agent(self, child: Child, secret: str) -> None:
        from watchkeeper.demo.agents.process import run_agent
        from watchkeeper.demo.agents.profile import PROFILES

        profile = next(p for p in PROFILES if p.name == child.name)
        notes = self.settings.path / "progress"
        notes.mkdir(mode=0o700, exist_ok=True)

        async def work() -> None:
            await run_agent(
                profile,
                url=self.settings.url,
                secret=secret,
                notes=notes / child.name,
                pace=self.settings.pace,
                seed=self.settings.seed,
                context=self._context,
            )

        self._fork(child, work)

    def _fork(self, child: Child, make: Make) -> None:
        child.pid = fork_task(child.name, make, self._lifeline, self._foreign(child.name))
        child.started, child.due = time.monotonic(), None

    def _foreign(self, name: str) -> list[int]:
        """Return the descriptors that a child of that name has no business with."""
        sockets = [s.fileno() for key, s in self._sockets.items() if key != name]
        return [self.lock, *self._wake, *self._answers, *sockets]

    def _enrol(self, agents: list[str]) -> None:
        """Ask, in a process of its own, for the secrets of these agents."""
        ports = {name: bound.getsockname()[1] for name, bound in self._sockets.items()}

        async def ask() -> dict[str, str]:
            return await prepare(self.settings, None if self._applied else ports, agents)

        pid, pipe = fork_question("prepare", ask, self._lifeline, self._foreign(""))
        self._answers[pipe] = (pid, agents)

    def _wait(self) -> None:
        now = time.monotonic()
        due = [c.due for c in (*self._servers.values(), *self._agents.values()) if c.due]
        timeout = max(0.0, min(due) - now) if due else None
        ready, _, _ = select.select([self._wake[0], *self._answers], [], [], timeout)
        if self._wake[0] in ready:
            try:
                os.read(self._wake[0], 4096)
            except BlockingIOError:
                return

    def _read_answers(self) -> None:
        ready, _, _ = select.select(list(self._answers), [], [], 0)
        for pipe in ready:
            pid, agents = self._answers.pop(pipe)
            with os.fdopen(pipe, encoding="utf-8") as stream:
                text = stream.read()
            os.waitpid(pid, 0)
            if not text:
                self._later([self._agents[name] for name in agents])
                continue
            self._applied = True
            for name, secret in json.loads(text).items():
                self._start_agent(self._agents[name], secret)
            log.info("agents at work: %s", ", ".join(agents))
            self._note()

    def _reap(self) -> None:
        questions = {pid for pid, _ in self._answers.values()}
        fallen = []
        for child in (*self._servers.values(), *self._agents.values()):
            if child.pid and child.pid not in questions:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                if pid:
                    log.info("%s ended (%s)", child.name, os.waitstatus_to_exitcode(status))
                    child.pid = 0
                    fallen.append(child)
        if fallen:
            self._later(fallen if self.settings.restart else [])
            self._note()

    def _later(self, children: list[Child]) -> None:
        now = time.monotonic()
        for child in children:
            steady = child.started and now - child.started > STEADY_SECONDS
            child.pause = FIRST_PAUSE if steady else min(LONGEST_PAUSE, child.pause * 2)
            child.due = now + child.pause
            child.restarts += 1

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._servers.values():
            if child.due and child.due <= now:
                self._start_server(child)
                self._note()
        due = [child for child in self._agents.values() if child.due and child.due <= now]
        for child in due:
            child.due = None
        if due and not self._ending:
            self._enrol([child.name for child in due])

    def _note(self) -> None:
        """Write down who runs, for people and tests."""
        everyone = {**self._servers, **self._agents}
        note = {
            "fleet": os.getpid(),
            "addresses": {
                name: f"http://127.0.0.1:{bound.getsockname()[1]}"
                for name, bound in self._sockets.items()
            },
            "processes": {name: child.pid for name, child in everyone.items() if child.pid},
            "restarts": sum(child.restarts for child in everyone.values()),
        }
        files.write_private(self.settings.path / files.PROCESSES_FILE, json.dumps(note))

    def _stop(self) -> None:
        """End agents before the servers they lean on."""
        for group in (self._agents, self._servers):
            pids = [child.pid for child in group.values() if child.pid]
            end_processes(pids, STOP_SECONDS)
        end_processes([pid for pid, _ in self._answers.values()], 0)
        (self.settings.path / files.PROCESSES_FILE).unlink(missing_ok=True)
        log.info("the fleet has ended")


def _import_libraries() -> None:
    """Import once what every process needs, and keep it in memory that they share."""
    for module in SHARED_MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
