"""Which processes this machine runs, and which of them belong to a launch.

On Linux from /proc, elsewhere from `ps`. A process is known by its number and when it started, so
that one which got the number of another later is never taken for it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

MARK = "WATCHKEEPER_PROCESS"
"""The variable of a child's environment that names its launch; its children inherit it."""
_PROC = Path("/proc")
HAS_PROC = (_PROC / "self" / "stat").exists()
_LARGEST_ENVIRONMENT = 256 * 1024
_PS = ("ps", "-A", "-o", "pid=,ppid=,pgid=,stat=,lstart=")
_PS_SECONDS = 5
_GONE = frozenset("ZX")
_HELD = frozenset("Tt")

Identity = tuple[int, str]
"""A process's number, and when it started in the system's own words."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process; `session` is 0 where the system does not tell."""

    pid: int
    parent: int
    group: int
    session: int
    state: str
    """One letter, as in ps: T is held, Z has ended."""
    started: str

    @property
    def identity(self) -> Identity:
        """What it is known by."""
        return self.pid, self.started

    @property
    def held(self) -> bool:
        """Whether it is stopped where it is (SIGSTOP)."""
        return self.state in _HELD


def read_table() -> dict[int, Process]:
    """Return every process that has not ended, by number; reads files, so not on the loop."""
    if HAS_PROC:
        boot = _read(_PROC / "sys/kernel/random/boot_id").decode("ascii", "replace").strip()
        numbers = (int(name) for name in os.listdir(_PROC) if name.isdigit())
        found = [one for pid in numbers if (one := _from_stat(pid, boot)) is not None]
    else:
        found = _from_ps(_ask_ps())
    return {one.pid: one for one in found if one.state not in _GONE}


def read_process(pid: int) -> Process | None:
    """Return one process, or None if it has ended."""
    if HAS_PROC:
        boot = _read(_PROC / "sys/kernel/random/boot_id").decode("ascii", "replace").strip()
        one = _from_stat(pid, boot)
        return one if one is not None and one.state not in _GONE else None
    return read_table().get(pid)


def family(
    table: Mapping[int, Process], leader: Identity, mark: str, known: Iterable[Identity]
) -> list[Process]:
    """Return the processes of a launch that live: the leader, and whatever came of it.

    A process belongs to it that was seen to before, carries the launch's mark, shares the living
    leader's group or session, or has a parent that belongs to it. Missed is what left both, lost
    its parent and wiped its environment before it was ever seen (and, without /proc, what left
    the group and lost its parent).
    """
    first = table.get(leader[0])
    leads = first is not None and first.identity == leader
    remembered = frozenset(known)
    belongs = {
        one.pid
        for one in table.values()
        if one.identity == leader
        or one.identity in remembered
        or (leads and leader[0] in (one.group, one.session))
        or _carries(one.pid, mark)
    }
    children: dict[int, list[int]] = {}
    for one in table.values():
        children.setdefault(one.parent, []).append(one.pid)
    left = list(belongs)
    while left:
        for child in children.get(left.pop(), ()):
            if child not in belongs:
                belongs.add(child)
                left.append(child)
    return [table[pid] for pid in sorted(belongs - {os.getpid()})]


def marked(table: Mapping[int, Process], beginning: str) -> list[Process]:
    """Return the processes that were started with a mark that begins so."""
    wanted = f"\0{MARK}={beginning}".encode()
    return [one for pid, one in sorted(table.items()) if wanted in _environment(pid)]


def _carries(pid: int, mark: str) -> bool:
    """Whether a process was started with this mark; one whose environment is closed to us: no."""
    return f"\0{MARK}={mark}\0".encode() in _environment(pid)


def _environment(pid: int) -> bytes:
    """Return what a process was started with, each variable between zeros, as far as is told."""
    return b"\0" + _read(_PROC / str(pid) / "environ") if HAS_PROC else b""


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            return opened.read(_LARGEST_ENVIRONMENT)
    except OSError:
        return b""


def _from_stat(pid: int, boot: str) -> Process | None:
    """Read proc_pid_stat(5); the name in brackets may hold anything, brackets too."""
    fields = _read(_PROC / str(pid) / "stat").rpartition(b")")[2].split()
    try:
        return Process(
            pid=pid,
            state=fields[0].decode(),
            parent=int(fields[1]),
            group=int(fields[2]),
            session=int(fields[3]),
            started=f"{boot} {int(fields[19])}",
        )
    except (IndexError, ValueError):
        return None  # it has ended meanwhile


def _ask_ps() -> str:
    """Return what ps tells in words that do not depend on a language."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    done = subprocess.run(
        _PS, capture_output=True, text=True, timeout=_PS_SECONDS, check=True, env=environment
    )
    return done.stdout


def _from_ps(text: str) -> list[Process]:
    found = []
    for line in text.splitlines():
        fields = line.split(None, 4)
        if len(fields) == 5 and fields[0].isdigit():
            pid, parent, group = (int(field) for field in fields[:3])
            state = fields[3][0]
            found.append(Process(pid, parent, group, 0, state, " ".join(fields[4].split())))
    return found
