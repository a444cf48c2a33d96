"""ADK's API server with one app, whose model always wants to refund what it is asked to."""

from __future__ import annotations

import json
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import uvicorn
from google.adk.agents import Agent
from google.adk.cli.fast_api import get_fast_api_app
from google.adk.cli.utils.base_agent_loader import BaseAgentLoader
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.tools import FunctionTool
from google.genai import types


class Stub(BaseLlm):
    """Calls the tool once, then tells what came of it."""

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        parts = [part for content in llm_request.contents for part in content.parts or []]
        results = [part.function_response for part in parts if part.function_response]
        refunds = [one.response for one in results if one.name == "refund"]
        if refunds and "requires confirmation" not in str(refunds[-1]):
            part = types.Part.from_text(text=f"told: {json.dumps(refunds[-1])}")
        else:
            part = types.Part.from_function_call(name="refund", args={"charge": "ch_3"})
        yield LlmResponse(content=types.Content(role="model", parts=[part]))


def refund(charge: str) -> dict[str, str]:
    """Refund a charge."""
    return {"refunded": charge}


AGENT = Agent(
    name="support",
    model=Stub(model="stub"),
    tools=[FunctionTool(refund, require_confirmation=True)],
)


class Loader(BaseAgentLoader):
    """The one app."""

    def load_agent(self, agent_name: str) -> Agent:
        if agent_name != "support":
            raise ValueError(agent_name)
        return AGENT

    def list_agents(self) -> list[str]:
        return ["support"]


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as nothing:
        app = get_fast_api_app(
            agents_dir=nothing,
            agent_loader=Loader(),
            session_service_uri="memory://",
            artifact_service_uri="memory://",
            use_local_storage=False,
            web=False,
        )
        Path(sys.argv[1]).write_text(json.dumps({"url": url}), encoding="utf-8")
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
