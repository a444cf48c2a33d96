"""Starting a process that waits until it is on record, and its bounded log."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from watchkeeper.registry.runtimes import SupervisedProcess
from watchkeeper.tools.processes.table import MARK
from watchkeeper.tools.upstreams.model import UpstreamFailure

LARGEST_LOG = 1024 * 1024
"""Of the file that the process writes to; as much of what came before is kept beside it."""
_GATE = 'read -r _ || exit 125; exec "$@" </dev/null'
"""Nothing of the command runs until the plane has put the process on record: a plane that dies
between the two leaves a shell behind that reads the end of its input, and goes."""
_INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER")


def spawn(
    described: SupervisedProcess, log: Path, mark: str, given: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start the command behind its gate, in a session and process group of its own.

    It gets little of the plane's environment, then what its document and `given` say. Raises
    `UpstreamFailure` where it can't be started.
    """
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= {**described.environment, **given, MARK: mark}
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", _GATE, "watchkeeper-process", *described.command],
            stdin=subprocess.PIPE,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            cwd=described.directory,
            env=environment,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the command is not usable"
        raise UpstreamFailure(
            f"{described.command[0]!r} did not start ({reason})", reached=False
        ) from None
    finally:
        os.close(descriptor)


def open_gate(child: subprocess.Popen[bytes]) -> None:
    """Let the command begin."""
    assert child.stdin is not None
    try:
        child.stdin.write(b"\n")
        child.stdin.close()
    except OSError:
        raise UpstreamFailure("it ended before it began", reached=False) from None


def trim(log: Path) -> None:
    """Keep a log within bounds: what is too much is put aside, in place of what was before."""
    try:
        if log.stat().st_size <= LARGEST_LOG:
            return
        with log.open("r+b") as opened:
            opened.seek(-LARGEST_LOG, os.SEEK_END)
            log.with_suffix(".log.1").write_bytes(opened.read(LARGEST_LOG))
            # the process appends, so that it goes on at the beginning
            opened.truncate(0)
    except OSError:
        return
