"""What the plane knows of an upstream: where it is, what it offers, how a call of it ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec

Progress = Callable[[Mapping[str, Any]], None]
"""Takes the parameters of each progress notification of a call."""


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A client of the plane's own that fetches tokens for an upstream (RFC 6749, 4.4)."""

    token_url: str
    client_id: str
    client_secret: str
    """By reference."""
    scope: str | None = None
    resource: str | None = None
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Minting:
    """A token that the plane signs itself, for one audience."""

    audience: str
    ttl_seconds: int


@dataclass(frozen=True, slots=True)
class CallContext:
    """For which decision an upstream is called; a minted token says so."""

    decision: str
    run: str
    agent: str
    tool: str
    on_behalf_of: str | None = None
    traceparent: str | None = None
    """The trace context that the upstream is given: the action's own span."""


Mint = Callable[[str, int, CallContext | None], Awaitable[str]]
"""Takes audience, life in seconds and the call (None: the plane's own errand, such as listing
tools); returns a signed token. Raises `Unavailable`."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret by reference, an OAuth client or a minted token, and where it is injected."""

    source: str | None
    header: str = "Authorization"
    prefix: str = "Bearer "
    environment: str | None = None
    """For a child process: the variable it gets the secret in."""
    oauth: OAuthClient | None = None
    minted: Minting | None = None


@dataclass(frozen=True, slots=True)
class UpstreamSpec:
    """Where an MCP server is and how to reach it."""

    name: str
    transport: Literal["http", "stdio"]
    url: str | None = None
    command: tuple[str, ...] = ()
    credential: Credential | None = None
    allow_private: bool = False
    """Whether its host name may lead inside a private network."""


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as its server describes it; the words are the server's own, so not to be trusted.

    `text` is its canonical form (name, title, description, schemas, annotations) and `digest`
    is over that. With a `problem` it can't be trusted whatever a person says of it; then the
    digest is over the bytes that were sent.
    """

    name: str
    input_schema: dict[str, Any] = field(default_factory=dict)
    output_schema: dict[str, Any] | None = None
    mirrored: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    title: str | None = None
    description: str | None = None
    annotations: dict[str, Any] | None = None
    text: str = ""
    digest: str = ""
    problem: str | None = None


Result = dict[str, msgspec.Raw]
"""The members of a result, each the bytes the server sent."""


@dataclass(slots=True)
class Sending:
    """How far a request got."""

    sent: bool = False


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
        context: CallContext | None,
    ) -> Result:
        """Perform one tool call; raise `UpstreamFailure` when it has no result."""

    async def wait_lost(self) -> None:
        """Return when the connection is gone; never, where each call connects anew."""

    async def wait_changed(self) -> None:
        """Return when the server says that its tools have changed; never, where it can't."""

    async def is_current(self) -> bool:
        """Return whether the credential that it was opened with is still the one to use."""

    async def close(self, *, now: bool = False) -> bool:
        """Let go of it, `now` without waiting for it to end by itself; return whether nothing of
        it is left. A second call does nothing.
        """
        ...
