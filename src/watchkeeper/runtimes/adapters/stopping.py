"""Stopping what runs in a runtime: told, then read back, within a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from watchkeeper.runtimes.model import RemoteRun, Stopping
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import ENDED

LOOK_SECONDS = 3.0
"""How long a run may take to say that it has ended, once it was told to."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5

Tell = Callable[[], Awaitable[bool]]
"""Tells a run to stop; returns whether the runtime took that."""
Look = Callable[[], Awaitable[RemoteRun | None]]


async def stop_and_look(tell: Tell, look: Look) -> Stopping:
    """Tell a run to stop, and report what is read back of it, not what the runtime promised.

    A request to stop that got no answer may have worked: only looking tells. Raises
    `UpstreamFailure` where neither request was answered.
    """
    failure: UpstreamFailure | None = None
    took = False
    try:
        took = await tell()
    except UpstreamFailure as error:
        failure = error
    try:
        run = await look_until(look, _has_ended, LOOK_SECONDS if took or failure else 0)
    except UpstreamFailure as error:
        if failure is not None or not took:
            raise failure or error from None
        return Stopping("unconfirmed", f"it took the stop, and then {error.message}")
    return _judge(run, took, failure)


def _judge(run: RemoteRun | None, took: bool, failure: UpstreamFailure | None) -> Stopping:
    if run is None:
        detail = "the runtime knows no such run" if not took else "the runtime has dropped the run"
        return Stopping("done" if took else "already done", detail)
    if run.state in ENDED:
        ours = (took or failure is not None) and run.state != "done"
        detail = f"the runtime says {run.said or run.state}"
        return Stopping("done" if ours else "already done", detail, run.state)
    told = "it took the stop" if took else failure.message if failure else "it refused the stop"
    return Stopping("unconfirmed", f"{told}; the runtime says {run.said or run.state}", run.state)


async def hold_and_look(tell: Tell, look: Look, *, paused: bool) -> Stopping:
    """Pause or resume a run, and report what is read back; `done` where it is so."""
    took = await tell()

    def is_so(run: RemoteRun | None) -> bool:
        return run is None or run.state in ENDED or (run.state == "paused") == paused

    run = await look_until(look, is_so, LOOK_SECONDS if took else 0)
    if run is None:
        return Stopping("already done", "the runtime knows no such run")
    detail = f"the runtime says {run.said or run.state}"
    if run.state in ENDED:
        return Stopping("already done", detail, run.state)
    return Stopping("done" if is_so(run) else "unconfirmed", detail, run.state)


async def look_until(
    look: Look, enough: Callable[[RemoteRun | None], bool], seconds: float | None = None
) -> RemoteRun | None:
    """Look until it is enough or the time is over (`LOOK_SECONDS`); the last look counts."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (LOOK_SECONDS if seconds is None else seconds)
    pause = _FIRST_PAUSE
    while True:
        run = await look()
        if enough(run) or loop.time() >= deadline:
            return run
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _has_ended(run: RemoteRun | None) -> bool:
    return run is None or run.state in ENDED
