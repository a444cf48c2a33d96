"""What the plane knows of an upstream: where it is, what it offers, how a call of it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec

Progress = Callable[[Mapping[str, Any]], None]
"""Takes the parameters of each progress notification of a call."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret by reference (``env:NAME`` or ``file:PATH``) and where it is injected."""

    source: str
    header: str = "Authorization"
    prefix: str = "Bearer "
    environment: str | None = None
    """For a child process: the variable it gets the secret in."""


@dataclass(frozen=True, slots=True)
class UpstreamSpec:
    """Where an MCP server is and how to reach it."""

    name: str
    transport: Literal["http", "stdio"]
    url: str | None = None
    command: tuple[str, ...] = ()
    credential: Credential | None = None


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as its server describes it; the words are the server's own, so not to be trusted."""

    name: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = None
    mirrored: Mapping[tuple[str, ...], str] = field(default_factory=dict)


Result = dict[str, msgspec.Raw]
"""The members of a result, each the bytes the server sent."""


class UpstreamFailure(Exception):
    """A call had no result.

    `reached` tells whether the server may have acted: then the outcome is unknown, not failed.
    """

    def __init__(self, message: str, *, reached: bool) -> None:
        super().__init__(message)
        self.message = message
        self.reached = reached


_NEVER_RAN = frozenset({-32700, -32600, -32601, -32602, -32020, -32021, -32022})


class Refused(UpstreamFailure):
    """The server answered with a protocol error: most say that it did not act."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, reached=code not in _NEVER_RAN)
        self.code = code


class Connection(Protocol):
    """One way to one upstream."""

    async def connect(self) -> None:
        """Agree on a protocol version; raise `UpstreamFailure` when that fails."""

    async def list_tools(self) -> dict[str, ToolDefinition]:
        """Return what the server offers; raise `UpstreamFailure` when it does not answer."""

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        timeout_seconds: float,
        definition: ToolDefinition | None,
        progress: Progress | None,
    ) -> Result:
        """Perform one tool call; raise `UpstreamFailure` when it has no result."""

    async def wait_lost(self) -> None:
        """Return when the connection is gone; never, where each call connects anew."""

    async def close(self) -> None:
        """Let go of it; a second call does nothing."""
