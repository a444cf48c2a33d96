"""Looking at a run again: its steps, forks, agents played to. Decided again: in `policy`."""

from __future__ import annotations

from watchkeeper.api.runs import agent_of
from watchkeeper.api.table import Call, Operation
from watchkeeper.api.workloads import run_opened
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.replay.steps import list_steps, read_step
from watchkeeper.wire.replays import (
    Fork,
    ForkResult,
    Play,
    Playback,
    PlaybackOpened,
    RunSteps,
    StepDetail,
)

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


async def play(call: Call) -> PlaybackOpened:
    """Open a replay of a run for its agent."""
    run, body = call.path("run"), call.body
    agent = await agent_of(call, run)
    call.check_agent("replay", agent)
    begun = await call.rooms.playbacks.open(run, body, by=call.actor)
    return PlaybackOpened(
        **run_opened(call, agent, begun.issued).model_dump(),
        of_run=run,
        steps=begun.steps,
        missing=begun.missing,
        notes=begun.notes,
    )


async def playback(call: Call) -> Playback:
    """Show what an agent did in a replay."""
    run = call.path("run")
    call.check_agent("read", await agent_of(call, run))
    return call.rooms.playbacks.read(run)


async def end_playback(call: Call) -> Playback:
    """End a replay of an agent."""
    run = call.path("run")
    call.check_agent("replay", await agent_of(call, run))
    return await call.rooms.playbacks.end(run, by=call.actor)


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
    Operation(
        "POST",
        "/v1/runs/{run}/playbacks",
        "replay",
        play,
        "Open a replay of a run for its agent: its token opens nothing but the recording.",
        answers=PlaybackOpened,
        takes=Play,
        by_team=True,
        tags=("replays",),
    ),
    Operation(
        "GET",
        "/v1/runs/{run}/playback",
        "read",
        playback,
        "Show what an agent did in a replay, and what each call would be decided as.",
        answers=Playback,
        tags=("replays",),
    ),
    Operation(
        "POST",
        "/v1/runs/{run}/playback/end",
        "replay",
        end_playback,
        "End a replay of an agent, and say what came of it.",
        answers=Playback,
        by_team=True,
        tags=("replays",),
    ),
)
