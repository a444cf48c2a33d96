"""A child process that a test owns: started apart, logged, waited for, and always reaped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.rig.deadline import eventually

ROOT = Path(__file__).resolve().parents[2]


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


class Child:
    """One child process in a session of its own, with its output in a file."""

    def __init__(self, command: Sequence[str], *, log: Path, env: Mapping[str, str]) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
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
