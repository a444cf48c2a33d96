"""Every upstream of the plane: connected, watched, called by name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from watchkeeper.core.clock import Clock
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.tools.upstreams.http import HttpConnection
from watchkeeper.tools.upstreams.model import (
    Connection,
    Progress,
    Result,
    ToolDefinition,
    UpstreamFailure,
    UpstreamSpec,
)
from watchkeeper.tools.upstreams.stdio import StdioConnection
from watchkeeper.wire.plane import UpstreamRow

log = logging.getLogger(__name__)

State = Literal["up", "down", "unknown"]
OnState = Callable[[str, State, str], None]
"""Takes name, state and detail of an upstream whose state has changed."""

_CHECK_SECONDS = 30.0
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 15.0
_OPENING_SECONDS = 5.0
_DETAIL = 300


class _Supervised:
    """One upstream: connects, checks that it lives, connects again after a growing pause."""

    def __init__(
        self, spec: UpstreamSpec, egress: Egress, clock: Clock, on_state: OnState | None
    ) -> None:
        self.spec = spec
        self.tools: Mapping[str, ToolDefinition] = {}
        self.state: State = "unknown"
        self.detail = ""
        self.since = clock.now()
        self._egress = egress
        self._clock = clock
        self._on_state = on_state
        self._connection: Connection | None = None
        self._settled = asyncio.Event()
        self._look_now = asyncio.Event()
        self._task = asyncio.create_task(self._supervise())

    async def call(
        self, tool: str, arguments: Mapping[str, Any], seconds: float, progress: Progress | None
    ) -> Result:
        if not self._settled.is_set():
            try:
                async with asyncio.timeout(min(seconds, _OPENING_SECONDS)):
                    await self._settled.wait()
            except TimeoutError:
                self.detail = self.detail or "it has not answered yet"
        connection = self._connection
        if connection is None:
            self._look_now.set()
            raise UpstreamFailure(self.detail or "it is not connected", reached=False)
        try:
            return await connection.call(
                tool,
                arguments,
                timeout_seconds=seconds,
                definition=self.tools.get(tool),
                progress=progress,
            )
        except UpstreamFailure:
            self._look_now.set()
            raise
        except WatchkeeperError as error:
            raise UpstreamFailure(error.message, reached=False) from None

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _supervise(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            connection = self._open()
            try:
                await connection.connect()
                self.tools = await connection.list_tools()
                self._connection = connection
                self._set("up", f"{len(self.tools)} tools")
                pause = _FIRST_PAUSE
                await self._watch(connection)
            except (UpstreamFailure, WatchkeeperError) as error:
                self._connection = None
                self._set("down", make_safe(error.message, limit=_DETAIL))
            except Exception:
                self._connection = None
                self._set("down", "the connection failed in the plane; its log says why")
                log.exception("upstream %s", self.spec.name)
            finally:
                if self._connection is None:
                    await self._let_go(connection)
            self._look_now.clear()
            await _wait_either(self._look_now.wait(), asyncio.sleep(pause))
            if self._look_now.is_set():
                await asyncio.sleep(_FIRST_PAUSE)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _let_go(self, connection: Connection) -> None:
        """Close a connection; trouble with that must not end the supervision."""
        try:
            await connection.close()
        except Exception:
            log.exception("upstream %s could not be let go", self.spec.name)

    async def _watch(self, connection: Connection) -> None:
        """Return never while the upstream lives; raise `UpstreamFailure` when it does not."""
        while True:
            self._look_now.clear()
            lost = asyncio.ensure_future(connection.wait_lost())
            try:
                await asyncio.wait(
                    {lost, look := asyncio.ensure_future(self._look_now.wait())},
                    timeout=_CHECK_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                look.cancel()
                if lost.done():
                    raise UpstreamFailure("its process ended", reached=False)
            finally:
                lost.cancel()
            self.tools = await connection.list_tools()
            self._set("up", f"{len(self.tools)} tools")

    def _open(self) -> Connection:
        if self.spec.transport == "stdio":
            return StdioConnection(self.spec)
        return HttpConnection(self.spec, self._egress)

    def _set(self, state: State, detail: str) -> None:
        changed = state != self.state
        self.state, self.detail = state, detail
        self._settled.set()
        if not changed:
            return
        self.since = self._clock.now()
        log.log(
            logging.INFO if state == "up" else logging.WARNING,
            "upstream %s is %s: %s", self.spec.name, state, detail,
        )  # fmt: skip
        if self._on_state is not None:
            self._on_state(self.spec.name, state, detail)


class Pool:
    """The plane's upstreams by name."""

    def __init__(self, egress: Egress, clock: Clock, on_state: OnState | None = None) -> None:
        self._egress = egress
        self._clock = clock
        self._on_state = on_state
        self._upstreams: dict[str, _Supervised] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def apply(self, specs: Iterable[UpstreamSpec]) -> None:
        """Connect what is new or changed and let go of what is gone; returns at once."""
        wanted = {spec.name: spec for spec in specs}
        for name, upstream in list(self._upstreams.items()):
            if wanted.get(name) != upstream.spec:
                del self._upstreams[name]
                task = asyncio.create_task(upstream.close())
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)
        for name, spec in wanted.items():
            if name not in self._upstreams:
                self._upstreams[name] = _Supervised(spec, self._egress, self._clock, self._on_state)

    async def call(
        self,
        upstream: str,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        timeout_seconds: float,
        progress: Progress | None = None,
    ) -> Result:
        """Perform one tool call; raise `UpstreamFailure` when it has no result.

        Cancelling the call aborts the request.
        """
        one = self._upstreams.get(upstream)
        if one is None:
            raise UpstreamFailure("no such upstream is in force", reached=False)
        return await one.call(tool, arguments, timeout_seconds, progress)

    def definition(self, upstream: str, tool: str) -> ToolDefinition | None:
        """Return a tool as its server last described it."""
        one = self._upstreams.get(upstream)
        return one.tools.get(tool) if one else None

    def rows(self) -> list[UpstreamRow]:
        """Return how each upstream does, by name."""
        return [
            UpstreamRow(
                name=name,
                kind="mcp-http" if one.spec.transport == "http" else "mcp-stdio",
                state=one.state,
                tools=len(one.tools),
                detail=one.detail,
                since=one.since,
            )
            for name, one in sorted(self._upstreams.items())
        ]

    async def close(self) -> None:
        """Let go of every upstream; child processes end."""
        self.apply(())
        await asyncio.gather(*self._leaving, return_exceptions=True)


async def _wait_either(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
