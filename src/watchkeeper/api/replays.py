"""Looking at a run again: its steps, and forks of it. Decided again it is in `policy`."""

from __future__ import annotations

from watchkeeper.api.runs import agent_of
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.replay.steps import list_steps, read_step
from watchkeeper.wire.replays import Fork, ForkResult, RunSteps, StepDetail

_LONGEST = 7


async def steps(call: Call) -> RunSteps:
    """List the steps of a run, oldest first."""
    run, after, limit = call.path("run"), call.whole("after") or 0, call.limit()
    call.check_agent("read", await agent_of(call, run))
    return await call.rooms.store.scan(lambda tx: list_steps(tx, run, after=after, limit=limit))


async def step(call: Call) -> StepDetail:
    """Show a step of a run with what was known at it."""
    run, at, catalogue = call.path("run"), call.path("step"), call.rooms.view.now
    if at.isdecimal() and len(at) > _LONGEST:
        raise Invalid("no run has so many steps", where="step")
    call.check_agent("read", await agent_of(call, run))
    return await call.rooms.store.scan(lambda tx: read_step(tx, run, at, catalogue))


async def fork(call: Call) -> ForkResult:
    """Send a recorded model call once more, with another result of a tool in it."""
    run, body = call.path("run"), call.body
    call.check_agent("replay", await agent_of(call, run))
    return await call.rooms.fork(run, body, by=call.actor)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/runs/{run}/steps",
        "read",
        steps,
        "List the steps of a run, oldest first, with what it had used before each.",
        answers=RunSteps,
        query=("after", "limit"),
        tags=("replays",),
    ),
    Operation(
        "GET",
        "/v1/runs/{run}/steps/{step}",
        "read",
        step,
        "Show a step of a run with what was known at it: its number, or its decision.",
        answers=StepDetail,
        tags=("replays",),
    ),
    Operation(
        "POST",
        "/v1/runs/{run}/forks",
        "replay",
        fork,
        "Ask a model once more what it was asked in a run, with another result of a tool.",
        answers=ForkResult,
        takes=Fork,
        by_team=True,
        tags=("replays",),
    ),
)
