"""An A2A agent that does as a message says: works on, asks, wants to be authorised, or ends."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path

import uvicorn
from a2a.helpers import new_task_from_user_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Part
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

NEVER = asyncio.Event()


class Executor(AgentExecutor):
    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        task = context.current_task or new_task_from_user_message(context.message)
        if context.current_task is None:
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        text = context.get_user_input()

        def says(words: str) -> object:
            return updater.new_agent_message([Part(text=words)])

        if text == "work":
            await updater.start_work()
            await NEVER.wait()
        elif text == "ask":
            await updater.requires_input(says("Refund charge ch_3?"))
        elif text == "authorise":
            await updater.requires_auth(says("Authorise me."))
        else:
            await updater.complete(says(f"told: {text}"))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        if context.current_task is None or context.task_id is None:
            return
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.cancel()


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    card = AgentCard(
        name="refunds",
        description="Refunds.",
        version="3.2.1",
        capabilities=AgentCapabilities(),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="refund", name="Refund", description="Refunds.", tags=["refund"])],
        supported_interfaces=[
            AgentInterface(url=f"{url}/rpc", protocol_binding="JSONRPC", protocol_version="1.0")
        ],
    )
    handler = DefaultRequestHandler(
        agent_executor=Executor(), task_store=InMemoryTaskStore(), agent_card=card
    )
    routes = [
        *create_agent_card_routes(card),
        *create_jsonrpc_routes(handler, "/rpc"),
        *create_jsonrpc_routes(handler, "/old", enable_v0_3_compat=True),
    ]
    old = {"name": "refunds", "version": "2", "protocolVersion": "0.3.0", "url": f"{url}/old"}

    async def old_card(_request: Request) -> JSONResponse:
        return JSONResponse(old)

    routes.append(Route("/old/.well-known/agent.json", old_card))
    Path(sys.argv[1]).write_text(json.dumps({"url": url}), encoding="utf-8")
    app = Starlette(routes=routes)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
