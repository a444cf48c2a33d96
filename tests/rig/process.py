"""A child process that a test owns: started apart, logged, waited for, and always reaped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Self

from tests.rig.deadline import eventually
from tests.rig.zygote import REPOSITORY, Forked, Zygote
from watchkeeper.cli.main import COMMANDS

ROOT = REPOSITORY
_SERVERS = ("tests.rig.upstream_server", "tests.rig.provider_server", "tests.rig.oidc_server")
_PLANE = (
    "watchkeeper.cli.group",
    "watchkeeper.plane.command",
    "watchkeeper.plane.lifecycle",
    "watchkeeper.plane.log",
    "watchkeeper.store.sqlite_engine",
    "apscheduler.schedulers.asyncio",
)
_zygotes: dict[tuple[str, ...], Zygote] | None = None


@contextlib.contextmanager
def forking() -> Iterator[None]:
    """Fork planes, commands and the rig's servers from processes that have imported them."""
    global _zygotes
    _zygotes = {}
    try:
        yield
    finally:
        made, _zygotes = _zygotes, None
        for zygote in made.values():
            zygote.close()


def _zygote(arguments: Sequence[str], env: Mapping[str, str]) -> Zygote | None:
    """Return what forks `python ARGUMENTS`, where something does."""
    if _zygotes is None or arguments[0] != "-m":
        return None
    modules: tuple[str, ...]
    if arguments[1] in _SERVERS:
        modules = _SERVERS
    elif arguments[1] == "watchkeeper":
        modules = _PLANE if arguments[2:3] == ["serve"] else _commands()
    else:
        return None
    found = _zygotes.get(modules)
    if found is None or not found.running:
        found = _zygotes[modules] = Zygote(*modules)
    return found if found.fits(env) else None


def _commands() -> tuple[str, ...]:
    """Where the command line's own commands live, and what most of them import when they run."""
    places = {place.partition(":")[0] for place in COMMANDS.values()}
    own = sorted(place for place in places if place.startswith("watchkeeper.cli."))
    reached = ("watchkeeper.client.api", "watchkeeper.client.local", "watchkeeper.client.directory")
    return ("watchkeeper.cli.group", *own, *reached, "httpx")


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment for children: ours, without a developer's own Watchkeeper settings.

    Configuration, state and cache directories point into `home`.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WATCHKEEPER_")}
    for name in ("CONFIG", "STATE", "DATA", "CACHE"):
        kept[f"XDG_{name}_HOME"] = str(home / f"xdg-{name.lower()}")
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    kept.update(more)
    return kept


def run_to_end(
    *arguments: str, env: Mapping[str, str], typed: str = "", seconds: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS` to its end with this standard input, and return what it printed."""
    command = [sys.executable, *arguments]
    zygote = _zygote(arguments, env)
    if zygote is None:
        return subprocess.run(
            command,
            env=dict(env),
            input=typed,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    ours, theirs = list[IO[str]](), list[int]()
    for mode in ("w", "r", "r"):
        reading, writing = os.pipe()
        ours.append(os.fdopen(reading if mode == "r" else writing, mode))
        theirs.append(writing if mode == "r" else reading)
    try:
        child = zygote.fork(
            arguments[1:], env=env, files=(theirs[0], theirs[1], theirs[2]), own_session=False
        )
    finally:
        for number in theirs:
            os.close(number)
    with ThreadPoolExecutor(3) as threads, contextlib.ExitStack() as stack:
        for file in ours:
            stack.enter_context(file)
        written = threads.submit(_type, ours[0], typed)
        out, err = (threads.submit(file.read) for file in ours[1:])
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
        written.result()
        return subprocess.CompletedProcess(command, child.poll() or 0, out.result(), err.result())


def _type(file: IO[str], text: str) -> None:
    with contextlib.suppress(BrokenPipeError), file:
        file.write(text)


class Child:
    """One child process in a session of its own, with its output in a file."""

    def __init__(self, command: Sequence[str], *, log: Path, env: Mapping[str, str]) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        zygote = _zygote(command[1:], env) if command[0] == sys.executable else None
        self.process: subprocess.Popen[bytes] | Forked
        with Path(os.devnull).open("rb") as nothing, log.open("ab") as output:
            if zygote is not None:
                files = (nothing.fileno(), output.fileno(), output.fileno())
                self.process = zygote.fork(command[2:], env=env, files=files, own_session=True)
                return
            self.process = subprocess.Popen(
                list(command),
                stdin=nothing,
                stdout=output,
                stderr=output,
                env=dict(env),
                start_new_session=True,
                close_fds=True,
            )

    @classmethod
    def python(cls, *arguments: str, log: Path, env: Mapping[str, str]) -> Self:
        """Start this interpreter with `arguments`."""
        return cls([sys.executable, *arguments], log=log, env=env)

    @property
    def pid(self) -> int:
        """Process id, also its process group."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    @property
    def output(self) -> str:
        """What the process wrote so far."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def wait_for_file(
        self, path: Path, *, seconds: float = 30.0, own_pid: bool = False
    ) -> dict[str, Any]:
        """Wait until the child has written `path` as JSON and return it.

        With `own_pid`, a file that names another process (one that was killed) is passed over.
        Raises `AssertionError` with the child's output when it ends or is too slow.
        """

        def look() -> dict[str, Any] | None:
            if not self.running:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.output}")
            if not path.exists():
                return None
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found if not own_pid or found["pid"] == self.pid else None

        # a file that is still being written is not there yet
        return eventually(
            look,
            f"{path.name} of {self.process.args!r:.200}",
            seconds=seconds,
            tolerate=(json.JSONDecodeError, FileNotFoundError),
        )

    def wait(self, *, seconds: float = 20.0) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(timeout=seconds)

    def kill(self) -> None:
        """End it with SIGKILL, its descendants in the same session too, and reap it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(timeout=20)

    def stop(self, *, seconds: float = 20.0) -> int:
        """Ask it to end (SIGTERM), wait, and return the exit code; SIGKILL when it will not."""
        if self.running:
            self.process.terminate()
        try:
            return self.wait(seconds=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end on SIGTERM:\n{self.output}") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
