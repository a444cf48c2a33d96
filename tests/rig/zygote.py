"""A process that has imported what tests start again and again, and forks it in milliseconds.

A plane is a second of imports before it does anything. Here they are done once for a test
worker: each child is a process of its own, forked before anything but imports has happened, in
a session of its own if asked, with the environment, directory and files it is given; it then
runs its module as `python -m` does, and the interpreter ends as it always does.

`Zygote` is the test's side, `_serve` the process's. They talk over a socket: a line of JSON
and three open files ask for a child; `{"reap": pid}` for how it ended.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "MALLOC_")
"""Variables that matter before a forked child can have them (prefixes)."""
POLL_SECONDS = 0.01


class Zygote:
    """One such process, and the children that it forked."""

    def __init__(self, *modules: str) -> None:
        self._ours, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self._environ = _at_start(os.environ)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.rig.zygote", str(theirs.fileno()), *modules],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(_python_path(os.environ))},
                cwd=REPOSITORY,
                pass_fds=[theirs.fileno()],
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def fits(self, env: Mapping[str, str]) -> bool:
        """Whether a child with this environment would start no other way by itself."""
        return self._environ == _at_start(env)

    def fork(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        files: tuple[int, int, int],
        own_session: bool,
    ) -> Forked:
        """Run `python -m ARGUMENTS` with these files as standard input, output and error."""
        order = {
            "arguments": list(arguments),
            "env": dict(env),
            "cwd": str(Path.cwd()),
            "own_session": own_session,
        }
        return Forked(self, self._ask(order, files), [sys.executable, "-m", *arguments])

    def reap(self, pid: int) -> int | None:
        """Return how a child ended, as `subprocess` tells it; None while it runs."""
        code: int | None = self._ask({"reap": pid})
        return code

    def close(self) -> None:
        """End the process; its children go on."""
        self._ours.close()
        self._process.wait(timeout=20)

    def _ask(self, order: Mapping[str, Any], files: Sequence[int] = ()) -> Any:
        with self._lock:
            line = json.dumps(order).encode() + b"\n"
            try:
                sent = socket.send_fds(self._ours, [line], list(files)) if files else 0
                self._ours.sendall(line[sent:])
                return _read(self._ours)[0]
            except (OSError, EOFError) as error:
                raise AssertionError(f"{self._process.args!r:.200} has ended") from error


class Forked:
    """A forked child, handled as a `subprocess.Popen` is."""

    def __init__(self, zygote: Zygote, pid: int, args: list[str]) -> None:
        self.pid = pid
        self.args = args
        self.returncode: int | None = None
        self._zygote = zygote

    def poll(self) -> int | None:
        """Return how it ended, or None."""
        if self.returncode is None:
            self.returncode = self._zygote.reap(self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for its end; raises `subprocess.TimeoutExpired`."""
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while (code := self.poll()) is None:
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(self.args, timeout)
            pause.wait(POLL_SECONDS)
        return code

    def terminate(self) -> None:
        """Send SIGTERM, if it has not ended."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL, if it has not ended."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _at_start(env: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in env.items() if name.startswith(READ_AT_START)}
    return {**kept, "PYTHONPATH": os.pathsep.join(_python_path(env))}


def _python_path(env: Mapping[str, str]) -> list[str]:
    """Where modules are looked for: the repository first, however often it is named."""
    given = env.get("PYTHONPATH", "").split(os.pathsep)
    return [str(REPOSITORY), *(part for part in given if part and part != str(REPOSITORY))]


def _read(control: socket.socket) -> tuple[Any, list[int]]:
    """Read one line and the files with it; raises `EOFError` when the other side has gone."""
    line, files = b"", list[int]()
    while not line.endswith(b"\n"):
        part, more, _, _ = socket.recv_fds(control, 65536, 3)
        if not part:
            raise EOFError
        line, files = line + part, files + more
    return json.loads(line), files


def _serve(control: socket.socket) -> list[str]:
    """Fork until nobody asks any more; return in each child what it is to run."""
    while True:
        try:
            order, files = _read(control)
        except (OSError, EOFError):
            os._exit(0)
        answer: int | None
        if "reap" in order:
            pid, status = os.waitpid(order["reap"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif (answer := os.fork()) == 0:
            control.close()
            return _become(order, files)
        for file in files:
            os.close(file)
        control.sendall(json.dumps(answer).encode() + b"\n")


def _become(order: Mapping[str, Any], files: list[int]) -> list[str]:
    """Turn this process into what was asked for, as a start of the interpreter would."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if order["own_session"]:
        os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.path[0] = order["cwd"]
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        old = getattr(sys, name)
        by_lines = 1 if name == "stderr" else -1
        new = os.fdopen(
            number, mode, by_lines, encoding=old.encoding, errors=old.errors, closefd=False
        )
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
    arguments: list[str] = order["arguments"]
    sys.modules.pop(arguments[0], None)  # it runs as `__main__`
    return arguments


def _main(control: int, modules: Sequence[str]) -> None:
    import gc

    for name in modules:
        importlib.import_module(name)
    assert threading.active_count() == 1, "what has threads cannot be forked"
    tasks = Path("/proc/self/task")
    assert not tasks.exists() or len(list(tasks.iterdir())) == 1, "a library has a thread"
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks it ends it
    sys.argv[1:] = _serve(socket.socket(fileno=control))
    del sys.argv[0]


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
