"""Forking processes that end when their parent does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from watchkeeper.core.errors import WatchkeeperError

log = logging.getLogger("watchkeeper.demo")


@dataclass(frozen=True, slots=True)
class Lifeline:
    """A pipe whose writing end only the parent holds: its end of file means the parent is gone."""

    reading: int
    writing: int

    @classmethod
    def make(cls) -> Lifeline:
        """Open the pipe."""
        return cls(*os.pipe())


def fork_task(
    name: str, make: Callable[[], Coroutine[Any, Any, object]], lifeline: Lifeline, close: list[int]
) -> int:
    """Run a coroutine in a forked process and return its id.

    Call it while the parent has neither threads nor an event loop. The child closes the
    descriptors in `close`, ends with 0 when the coroutine returns or is told to end, with 1
    when it fails, and is told to end when the parent is gone.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    _run_child(name, make, lifeline, close)


def _run_child(
    name: str, make: Callable[[], Coroutine[Any, Any, object]], lifeline: Lifeline, close: list[int]
) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in (lifeline.writing, *close):
            os.close(descriptor)
        _show_name(name)
        asyncio.run(_until_orphaned(make(), lifeline.reading))
        code = 0
    except (asyncio.CancelledError, KeyboardInterrupt):
        code = 0
    except WatchkeeperError as error:
        log.error("%s failed: %s", name, error)
    except BaseException:
        log.error("%s failed:\n%s", name, traceback.format_exc())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit: what the parent would do at its exit is not the child's to do.
        os._exit(code)


async def _until_orphaned(work: Coroutine[Any, Any, object], lifeline: int) -> None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    loop.add_signal_handler(signal.SIGINT, task.cancel)
    loop.add_reader(lifeline, task.cancel)
    try:
        await task
    finally:
        loop.remove_reader(lifeline)


def fork_question(
    name: str, make: Callable[[], Coroutine[Any, Any, object]], lifeline: Lifeline, close: list[int]
) -> tuple[int, int]:
    """Fork a process that answers with one JSON value; return its id and the pipe to read.

    No answer before the pipe ends means that it failed; its log says why.
    """
    reading, writing = os.pipe()

    async def answer() -> None:
        value = await make()
        with os.fdopen(writing, "w") as pipe:
            json.dump(value, pipe)

    pid = fork_task(name, answer, lifeline, [reading, *close])
    os.close(writing)
    return pid, reading


def end_processes(pids: list[int], seconds: float) -> None:
    """Tell children to end and wait for them; after `seconds` end them without asking."""
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + seconds
    left = set(pids)
    while left:
        for pid in list(left):
            if os.waitpid(pid, os.WNOHANG)[0]:
                left.discard(pid)
        if left and time.monotonic() > end:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            end = float("inf")
        time.sleep(0.02)


def _show_name(name: str) -> None:
    """Let `ps` and `top` tell the fleet's processes apart, where the system allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name[:15], encoding="utf-8")
