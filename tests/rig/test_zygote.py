"""A forked child is what a started one is: same words, same ends, a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.deadline import eventually
from tests.rig.process import Child, clean_environment, run_to_end
from tests.rig.zygote import Forked, Zygote

PROBE = "tests.rig.zygote_probe"
COMMANDS = [
    ["--version"],
    ["nonsense"],
    ["status", "--state", "nowhere"],
    ["agents", "--help"],
]


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    made = Zygote("json", "asyncio")
    yield made
    made.close()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_says_and_ends_as_when_started(words: list[str], tmp_path: Path) -> None:
    env = clean_environment(tmp_path)
    forked = run_to_end("-m", "watchkeeper", *words, env=env)
    started = subprocess.run(
        [sys.executable, "-m", "watchkeeper", *words],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        started.returncode,
        started.stdout,
        started.stderr,
    )


def test_it_reads_what_is_typed(tmp_path: Path) -> None:
    many = "{" * 200_000  # more than a pipe holds
    words = ("-m", "watchkeeper", "submit", "-", "--state", str(tmp_path))
    env = clean_environment(tmp_path)
    assert run_to_end(*words, env=env, typed=many).returncode != 0


def probe(zygote: Zygote, log: Path, what: str, **env: str) -> Forked:
    with Path(os.devnull).open("rb") as nothing, log.open("wb") as output:
        files = (nothing.fileno(), output.fileno(), output.fileno())
        arguments = [PROBE, what]
        return zygote.fork(arguments, env={**os.environ, **env}, files=files, own_session=True)


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("returns", 0, "at its end\n"),
        ("exits", 3, "at its end\n"),
        ("complains", 1, "not today\nat its end\n"),
        ("raises", 1, "ValueError: as it was asked to\nat its end\n"),
        ("aborts", -signal.SIGABRT, ""),
    ],
)
def test_ends_are_the_interpreters_own(
    zygote: Zygote, tmp_path: Path, what: str, code: int, said: str
) -> None:
    child = probe(zygote, tmp_path / "log", what)
    assert child.wait(20) == code
    assert child.wait(20) == code, "it remembers"
    assert (tmp_path / "log").read_text().endswith(said)


def test_it_is_a_process_of_its_own(
    zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    child = probe(zygote, tmp_path / "log", "describes", MINE="yes")
    assert child.wait(20) == 0
    told = dict(line.split("=", 1) for line in (tmp_path / "log").read_text().splitlines())
    assert told == {
        "pid": str(child.pid),
        "session": str(child.pid),
        "directory": str(tmp_path),
        "path": str(tmp_path),
        "mine": "yes",
        "arguments": "['describes']",
        "name": "__main__",
        "files": "[0, 1, 2]",
        "modules": "True",
    }


def test_signals_reach_it_and_a_dead_child_waits_to_be_asked_about(
    zygote: Zygote, tmp_path: Path
) -> None:
    child = probe(zygote, tmp_path / "log", "waits")
    eventually(lambda: "ready" in (tmp_path / "log").read_text())
    assert child.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.01)
    child.terminate()
    assert child.wait(20) == -signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)
    child.kill()  # and no other process is hit


def test_another_way_to_start_is_no_fork(zygote: Zygote) -> None:
    assert zygote.fits(os.environ)
    assert zygote.fits({**os.environ, "NO_COLOR": "1"})
    assert not zygote.fits({**os.environ, "LC_ALL": "tlh"})
    assert not zygote.fits({**os.environ, "PYTHONSAFEPATH": "1"})


def test_planes_are_forked(tmp_path: Path) -> None:
    command = ("-m", "watchkeeper", "serve", "--help")
    child = Child.python(*command, log=tmp_path / "log", env=clean_environment(tmp_path))
    assert isinstance(child.process, Forked)
    assert child.wait() == 0
    assert child.output.startswith("Usage: watchkeeper serve")
