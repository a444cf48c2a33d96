"""Virtual environments of the agent runtimes that tests run against, each from its own lock.

None of them is a dependency of the product or of its tests, so each lives apart, in the user's
cache directory: made once by whoever needs it first, and kept until its lock changes. Run
`python -m tests.rig.environments` after changing `REQUIREMENTS` (add `--upgrade` to move
versions), and with a name to make that environment and print its Python.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import platformdirs
import pytest

LOCKS = Path(__file__).resolve().parents[1] / "runtimes" / "locks"
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "a2a": ("a2a-sdk[http-server]", "uvicorn"),
    "adk": ("google-adk",),
    "claude": ("claude-agent-sdk",),
    "langgraph": ("langgraph-cli[inmem]",),
    "llamaindex": ("llama-agents-server",),
}
PATIENCE_SECONDS = 300
_OUT_OF_REACH = re.compile(
    r"dns error|name resolution|error sending request|failed to (fetch|download|establish)"
    r"|could not (connect|find a version)|connection (refused|reset|error|aborted|timed out)"
    r"|network is unreachable|network connectivity is disabled|timed out|tunnel",
    re.IGNORECASE,
)
_failed: dict[str, str] = {}


def environment(name: str) -> Path:
    """Return the Python of the environment `name`, made if need be.

    Skips the test, saying so, where it has to be made and the package registry is out of reach.
    """
    if name in _failed:
        pytest.skip(_failed[name])
    place = _place(name)
    with _alone(place):
        if not _complete(place).exists():
            try:
                _make(place, LOCKS / f"{name}.lock")
            except ConnectionError as error:
                _failed[name] = f"no registry to install the runtime {name} from: {error}"
                pytest.skip(_failed[name])
        _forget_older(place)
    return place / "bin" / "python"


def _place(name: str) -> Path:
    """Return where the environment belongs: one for each lock and interpreter."""
    lock = (LOCKS / f"{name}.lock").read_bytes()
    digest = hashlib.sha256(lock + sys.version.encode() + sys.base_prefix.encode()).hexdigest()
    return platformdirs.user_cache_path("watchkeeper-tests") / "runtimes" / f"{name}-{digest[:16]}"


def _complete(place: Path) -> Path:
    return place / "complete"


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Let one process of this machine at a time make or remove the environment."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _make(place: Path, lock: Path) -> None:
    """Install what is locked, by uv or else pip; what was left half-made is thrown away first.

    Raises `ConnectionError` where the registry is out of reach, and `RuntimeError` for anything
    else that fails, such as a hash that does not match.
    """
    python = str(place / "bin" / "python")
    wanted = ["install", "--quiet", "--require-hashes", "-r", str(lock)]
    by_uv = [sys.executable, "-m", "uv"]
    ways = (
        ([*by_uv, "venv", "--quiet", "--python", sys.executable, str(place)],
         [*by_uv, "pip", *wanted, "--python", python]),
        ([sys.executable, "-m", "venv", str(place)], [python, "-m", "pip", *wanted]),
    )  # fmt: skip
    problem = ""
    for commands in ways:
        shutil.rmtree(place, ignore_errors=True)
        problem = next(filter(None, (_run(command) for command in commands)), "")
        if not problem:
            _complete(place).touch()
            return
        shutil.rmtree(place, ignore_errors=True)
        if not _OUT_OF_REACH.search(problem):
            raise RuntimeError(f"{lock.name} does not install: {problem}")
    raise ConnectionError(" ".join(problem.split())[-300:])


def _run(command: Sequence[str]) -> str:
    """Return what a command complained of if it failed, and nothing if it did not."""
    # an environment of this test run must not be installed into by mistake
    kept = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=PATIENCE_SECONDS, env=kept
        )
    except subprocess.TimeoutExpired:
        return f"timed out after {PATIENCE_SECONDS} s"
    return "" if done.returncode == 0 else (done.stderr or done.stdout or "it failed")


def _forget_older(place: Path) -> None:
    """Remove environments of this name from locks that nobody has used for a month."""
    os.utime(place)
    month_ago = place.stat().st_mtime - 30 * 24 * 3600
    for other in place.parent.glob(place.name.rpartition("-")[0] + "-*"):
        if other != place and other.is_dir() and other.stat().st_mtime < month_ago:
            with _alone(other):
                shutil.rmtree(other, ignore_errors=True)


def write_lock(name: str, *, upgrade: bool) -> None:
    """Resolve one environment's requirements for every platform, with hashes and without hosts."""
    lock = LOCKS / f"{name}.lock"
    with tempfile.TemporaryDirectory() as scratch:
        wanted, output = Path(scratch, "in.txt"), Path(scratch, "out.txt")
        wanted.write_text("\n".join(REQUIREMENTS[name]), encoding="utf-8")
        if lock.exists() and not upgrade:
            shutil.copy(lock, output)
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", str(wanted)]
        command += ["--universal", "--python-version", "3.11", "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        subprocess.run([*command, "--output-file", str(output)], check=True)
        LOCKS.mkdir(parents=True, exist_ok=True)
        lock.write_text(output.read_text(encoding="utf-8"), encoding="utf-8")


if __name__ == "__main__":
    named = [one for one in sys.argv[1:] if not one.startswith("-")]
    for one in named:
        print(environment(one))  # noqa: T201
    if not named:
        for one in REQUIREMENTS:
            write_lock(one, upgrade="--upgrade" in sys.argv[1:])
