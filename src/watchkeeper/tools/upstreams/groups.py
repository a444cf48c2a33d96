"""Ending a child process with all of its group, and knowing that it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

_PROC = Path("/proc")
_LOOK_SECONDS = 0.02
_LOOKS = 50


def signal_group(group: int, which: signal.Signals) -> None:
    """Signal every process of a group; one that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, which)


async def is_gone(group: int) -> bool:
    """Return whether nothing of a killed group runs any more; waits a moment for its end."""
    for _ in range(_LOOKS):
        if not _answers(group):
            return True
        await asyncio.sleep(_LOOK_SECONDS)
    # the dead stay listed where nobody asks how they ended
    return await asyncio.to_thread(_all_dead, group)


def _answers(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _all_dead(group: int) -> bool:
    if not _PROC.is_dir():
        return False
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # the name may hold anything but ends with the last bracket: then state, parent, group
            state, _, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(its_group) == group and state not in ("Z", "X"):
            return False
    return True
