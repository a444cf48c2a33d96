"""An enrolled agent and its runs, as an agent's framework would use them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import mcp
    import openai

    from tests.rig.caller import Caller
    from tests.rig.plane import Plane


@dataclass(frozen=True)
class Agent:
    """An agent that holds its own credential."""

    name: str
    credential: str
    plane: Plane

    @property
    def caller(self) -> Caller:
        """The API with the agent's credential."""
        return self.plane.caller(self.credential)

    def open_run(self, goal: str = "work through one item", **more: Any) -> Run:
        """Open a run; `more` are further fields of the request."""
        opened = self.caller.post("/v1/runs", {"goal": goal, **more})
        return Run(
            id=opened["run"],
            token=opened["token"],
            mcp_url=opened["mcp_url"],
            model_base_url=opened["model_base_url"],
            agent=self,
        )


@dataclass(frozen=True)
class Run:
    """One run with its short-lived token."""

    id: str
    token: str
    mcp_url: str
    model_base_url: str
    agent: Agent

    @property
    def caller(self) -> Caller:
        """The API with the run's token."""
        return self.agent.plane.caller(self.token)

    def decide(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        kind: Literal["tool", "model"] = "tool",
        wait_seconds: float = 0,
        **more: Any,
    ) -> dict[str, Any]:
        """Ask whether one action may happen and return the answer."""
        asked = {"kind": kind, "name": name, "arguments": arguments or {}, **more}
        waiting: dict[str, Any] = {"wait_seconds": wait_seconds} if wait_seconds else {}
        answer: dict[str, Any] = self.caller.post("/v1/decide", asked, **waiting)
        return answer

    def settle(self, decision: str, status: str = "succeeded", **more: Any) -> None:
        """Report how a permitted action ended."""
        self.caller.post(f"/v1/decisions/{decision}/outcome", {"status": status, **more})

    def close(self, outcome: Literal["succeeded", "failed"] = "succeeded") -> dict[str, Any]:
        """End the run."""
        row: dict[str, Any] = self.caller.post(f"/v1/runs/{self.id}/close", {"outcome": outcome})
        return row

    @asynccontextmanager
    async def mcp(self, *, mode: Any = "auto", patience: float = 30) -> AsyncIterator[mcp.Client]:
        """The official MCP client, connected through the plane's gateway.

        `mode` is `auto`, `legacy` (the handshake of 2025) or a protocol revision.
        """
        import httpx2
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        headers = {"authorization": f"Bearer {self.token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=patience, trust_env=False) as http:
            transport = streamable_http_client(self.mcp_url, http_client=http)
            async with Client(transport, mode=mode, read_timeout_seconds=patience) as client:
                yield client

    def openai(self, *, retries: int = 0) -> openai.OpenAI:
        """The official OpenAI client, pointed at the plane's model gateway."""
        import openai

        return openai.OpenAI(
            api_key=self.token, base_url=self.model_base_url, max_retries=retries, timeout=60
        )
