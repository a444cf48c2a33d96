"""Every upstream of the plane: connected, watched, called by name."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from watchkeeper.core.clock import Clock
from watchkeeper.tools.upstreams.children import end_left_over
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.tools.upstreams.model import (
    CallContext,
    Progress,
    Result,
    UpstreamFailure,
    UpstreamSpec,
)
from watchkeeper.tools.upstreams.supervision import (
    OPENING_SECONDS,
    OnState,
    OnTools,
    Supervised,
)
from watchkeeper.wire.plane import UpstreamRow

_KINDS: Mapping[str, Literal["mcp-http", "mcp-stdio"]] = {"http": "mcp-http", "stdio": "mcp-stdio"}


class Pool:
    """The plane's upstreams by name."""

    def __init__(
        self,
        egress: Egress,
        clock: Clock,
        credentials: Credentials,
        on_state: OnState | None = None,
        on_tools: OnTools | None = None,
        home: str = "",
    ) -> None:
        self._egress = egress
        self._clock = clock
        self._credentials = credentials
        self._on_state = on_state
        self._on_tools = on_tools
        self._home = home
        """What names the plane to its own children; nothing: none is looked for."""
        self._upstreams: dict[str, Supervised] = {}
        self._specs: Mapping[str, UpstreamSpec] = {}
        self._shut: Mapping[str, str] = {}
        self._shut_at: dict[str, int] = {}
        self._leaving: dict[asyncio.Task[bool], str] = {}
        self._left_over: set[str] = set()
        """Of which something may be left that was to end."""
        self._ended_here: set[str] = set()

    @property
    def shut(self) -> Mapping[str, str]:
        """The upstreams that nothing is asked of, and why."""
        return self._shut

    def shut_off(self, shut: Mapping[str, str]) -> None:
        """End the connections of these upstreams at once and make none, until they are not named
        any more; returns at once.
        """
        self._shut = dict(shut)
        now = self._clock.now()
        self._shut_at = {name: self._shut_at.get(name, now) for name in shut}
        self._left_over &= shut.keys()
        self._ended_here &= shut.keys()
        self.apply(self._specs.values())

    async def ended(self, name: str) -> bool:
        """Wait until the connections of an upstream that is shut off have ended; return whether
        nothing of them is left.
        """
        going = [task for task, left in self._leaving.items() if left == name]
        if going:
            await asyncio.wait(going)
        return name not in self._left_over and name not in self._upstreams

    def ended_here(self, name: str) -> bool:
        """Tell whether an upstream that is shut off was connected by this plane before."""
        return name in self._ended_here

    def transport_of(self, name: str) -> Literal["http", "stdio"] | None:
        """Return how an upstream in force is called, be it shut off or not."""
        spec = self._specs.get(name)
        return spec.transport if spec else None

    async def end_left_over(self) -> None:
        """End what a plane of the same home left that was killed; before anything is connected."""
        if self._home:
            await end_left_over(self._home)

    def apply(self, specs: Iterable[UpstreamSpec]) -> None:
        """Connect what is new or changed and let go of what is gone; returns at once."""
        self._specs = {spec.name: spec for spec in specs}
        wanted = {name: spec for name, spec in self._specs.items() if name not in self._shut}
        for name, upstream in list(self._upstreams.items()):
            if wanted.get(name) != upstream.spec:
                del self._upstreams[name]
                task = asyncio.create_task(upstream.close(now=name in self._shut))
                self._leaving[task] = name
                task.add_done_callback(self._left)
        for name, spec in wanted.items():
            if name not in self._upstreams:
                self._upstreams[name] = Supervised(
                    spec,
                    self._egress,
                    self._clock,
                    self._credentials,
                    self._on_state,
                    self._on_tools,
                    self._home,
                )

    def look(self, sources: Collection[str]) -> None:
        """Look now at the upstreams whose credential comes from one of these references."""
        for one in self._upstreams.values():
            if one.spec.credential is not None and one.spec.credential.source in sources:
                one.look()

    async def call(
        self,
        upstream: str,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        timeout_seconds: float,
        permitted: str | None,
        progress: Progress | None = None,
        context: CallContext | None = None,
    ) -> Result:
        """Perform one tool call; raise `UpstreamFailure` when it has no result.

        `permitted` is the digest of the definition it was permitted under: under another, or
        under none, nothing is sent. `context` says for which decision; a minted token carries
        it. Cancelling the call aborts the request.
        """
        one = self._upstreams.get(upstream)
        if one is None:
            why = self._shut.get(upstream)
            said = f"it is shut off by {why}" if why else "no such upstream is in force"
            raise UpstreamFailure(said, reached=False)
        return await one.call(tool, arguments, timeout_seconds, progress, context, permitted)

    async def settle(self, upstream: str) -> None:
        """Wait a moment for an upstream that was told of just now and has not answered yet."""
        one = self._upstreams.get(upstream)
        if one is not None:
            await one.settle(OPENING_SECONDS)

    def rows(self) -> list[UpstreamRow]:
        """Return how each upstream does, by name."""
        found = [
            UpstreamRow(
                name=name,
                kind=_KINDS[one.spec.transport],
                state=one.state,
                tools=len(one.tools),
                detail=one.detail,
                since=one.since,
            )
            for name, one in self._upstreams.items()
        ]
        found += [
            UpstreamRow(
                name=name,
                kind=_KINDS[self._specs[name].transport],
                state="unknown",
                tools=0,
                detail=f"shut off by {why}",
                since=self._shut_at[name],
            )
            for name, why in self._shut.items()
            if name in self._specs
        ]
        return sorted(found, key=lambda row: row.name)

    async def close(self) -> None:
        """Let go of every upstream; child processes end."""
        self.apply(())
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def _left(self, task: asyncio.Task[bool]) -> None:
        name = self._leaving.pop(task)
        if name in self._shut:
            self._ended_here.add(name)
        if name in self._shut and (task.cancelled() or task.exception() or not task.result()):
            self._left_over.add(name)
