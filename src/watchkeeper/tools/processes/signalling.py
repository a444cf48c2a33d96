"""Signals to all processes of a launch, and to no others."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence

from watchkeeper.tools.processes.table import Process, read_process


def signal_all(group: int, processes: Sequence[Process], number: signal.Signals) -> list[int]:
    """Send a signal to the process group at once, and to each process that is not in it.

    The group is that of the first process. Each of the others is signalled only if it still is
    the one it was; the group only while one of these processes is in it, as its number can't
    pass to another group before. Returns the numbers of those that this plane may not signal.
    """
    if any(one.group == group for one in processes):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
    return [one.pid for one in processes if one.group != group and not _signal(one, number)]


def _signal(process: Process, number: signal.Signals) -> bool:
    descriptor = _take_hold(process.pid)
    try:
        # once it is held, its number can't pass to another while it is looked at
        now = read_process(process.pid)
        if now is None or now.identity != process.identity:
            return True
        if descriptor is None:
            os.kill(process.pid, number)
        else:
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return True


def _take_hold(pid: int) -> int | None:
    """Return a descriptor of a process where the system has such; None where not."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
