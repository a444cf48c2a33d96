"""What can be done to a run in its runtime: adopt, stop, pause, resume."""

from __future__ import annotations

from watchkeeper.console.blocks import Blank, Prose
from watchkeeper.console.desk import Desk, Field, Question
from watchkeeper.console.views.runtimes import RuntimeLine, blocks
from watchkeeper.wire.runtimes import Adopt, RemoteRunRow, StopRemote, TellRemote


def why_not(line: RuntimeLine | None, verb: str) -> str | None:
    """Say why a run can't be told something; None where it can."""
    if line is None or line.run is None:
        return "the cursor is not on a run"
    if line.run.ended_at is not None:
        return "it has ended"
    if verb == "stop" and verb not in line.runtime.can and "stop all" in line.runtime.can:
        return f"it can only stop all that runs there: kill runtime/{line.runtime.runtime}"
    if verb not in line.runtime.can:
        return f"{line.runtime.kind} can't {verb}; kill its agent instead"
    return None


def why_not_adopt(line: RuntimeLine | None) -> str | None:
    """Say why a run can't be adopted; None where it can."""
    if line is None or line.run is None:
        return "the cursor is not on a run"
    return None if line.run.standing == "rogue" else "it is not rogue"


async def adopt(desk: Desk, line: RuntimeLine) -> None:
    """Ask whose it is, and take it over."""
    run = _run(line)
    reply = await desk.ask(
        Question(
            title="Adopt this run?",
            body=[
                *blocks(line, desk.moment()),
                Blank(),
                Prose("It becomes that agent's: its contract, budgets and locks hold for it."),
            ],
            confirm="Adopt",
            reason="required",
            fields=(Field("agent", "Whose it is", value=run.agent or ""),),
        )
    )
    if not reply.confirmed:
        return
    body = Adopt(agent=reply.values["agent"].strip(), reason=reply.reason or "")
    row = await desk.client.adopt_run(run.runtime, run.id, body)
    desk.say(f"adopted: {row.id} is {row.agent}'s", "good")
    desk.mark_dirty()


async def stop(desk: Desk, line: RuntimeLine) -> None:
    """Ask, stop the run in its runtime, and say what came of it."""
    run = _run(line)
    reply = await desk.ask(
        Question(
            title="Stop this run in its runtime?",
            body=[
                *blocks(line, desk.moment()),
                Blank(),
                Prose(
                    "Only this run is stopped, there. To refuse its agent's calls as well: ^x.",
                    "quiet",
                ),
            ],
            confirm="Stop",
            danger=True,
            reason="required",
        )
    )
    if not reply.confirmed:
        return
    came = await desk.client.stop_remote(run.runtime, run.id, StopRemote(reason=reply.reason or ""))
    desk.say(f"{came.result}: {came.detail}", "good" if came.result == "done" else "warning")
    desk.mark_dirty()


async def pause(desk: Desk, line: RuntimeLine) -> None:
    """Pause a run, or let one that is paused go on."""
    run = _run(line)
    paused = run.state == "paused"
    verb = "Resume" if paused else "Pause"
    reply = await desk.ask(
        Question(
            title=f"{verb} this run in its runtime?",
            body=blocks(line, desk.moment()),
            confirm=verb,
            reason="required",
        )
    )
    if not reply.confirmed:
        return
    tell = desk.client.resume_remote if paused else desk.client.pause_remote
    came = await tell(run.runtime, run.id, TellRemote(reason=reply.reason or ""))
    desk.say(f"{came.result}: {came.detail}")
    desk.mark_dirty()


def _run(line: RuntimeLine) -> RemoteRunRow:
    assert line.run is not None, "its action is offered on runs alone"
    return line.run
