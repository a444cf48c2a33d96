"""A workflow server: one workflow that asks before it refunds, one that waits within a step,
one that asks two things at once, and one that is slow."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path

import uvicorn
from llama_agents.server import WorkflowServer
from workflows import Context, Workflow, step
from workflows.events import HumanResponseEvent, InputRequiredEvent, StartEvent, StopEvent

HOUR = 3600.0
"""With no timeout the server's tasks hold only each other: Python collects a workflow that waits,
and its handler says `running` for ever, whatever is done about it."""


class Ask(InputRequiredEvent):
    prefix: str
    charge: str


class Answer(HumanResponseEvent):
    response: str


class Refund(Workflow):
    @step
    async def ask(self, event: StartEvent) -> Ask:
        return Ask(prefix="Refund this charge?", charge=str(event.get("charge", "")))

    @step
    async def done(self, event: Answer) -> StopEvent:
        return StopEvent(result=event.response)


class Within(Workflow):
    @step
    async def ask(self, context: Context, event: StartEvent) -> StopEvent:
        asked = Ask(prefix="Within?", charge="")
        answer = await context.wait_for_event(Answer, waiter_event=asked)
        return StopEvent(result=answer.response)


class Twice(Workflow):
    @step
    async def ask(self, context: Context, event: StartEvent) -> Ask | None:
        context.send_event(Ask(prefix="first?", charge=""))
        context.write_event_to_stream(Ask(prefix="second?", charge=""))
        return Ask(prefix="third?", charge="")

    @step
    async def done(self, event: Answer) -> StopEvent:
        return StopEvent(result=event.response)


class Slow(Workflow):
    @step
    async def work(self, event: StartEvent) -> StopEvent:
        await asyncio.Event().wait()
        return StopEvent(result="never")


def main() -> None:
    server = WorkflowServer()
    server.add_workflow("refund", Refund(timeout=HOUR))
    server.add_workflow("within", Within(timeout=HOUR), additional_events=[Answer])
    server.add_workflow("twice", Twice(timeout=HOUR))
    server.add_workflow("slow", Slow(timeout=HOUR))
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    Path(sys.argv[1]).write_text(json.dumps({"url": url}), encoding="utf-8")
    uvicorn.Server(uvicorn.Config(server.app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
