"""One upstream, supervised: connected, checked, connected again after a growing pause."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from watchkeeper.core.clock import Clock
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.tools.upstreams.http import HttpConnection
from watchkeeper.tools.upstreams.model import (
    CallContext,
    Connection,
    Progress,
    Result,
    ToolDefinition,
    UpstreamFailure,
    UpstreamSpec,
)
from watchkeeper.tools.upstreams.stdio import StdioConnection

log = logging.getLogger(__name__)

State = Literal["up", "down", "unknown"]
OnState = Callable[[str, State, str], None]
"""Takes name, state and detail of an upstream whose state has changed."""
OnTools = Callable[[str, Mapping[str, ToolDefinition]], Awaitable[None]]
"""Takes what an upstream lists, before any call is made under it."""

OPENING_SECONDS = 5.0
"""How long a call waits for an upstream that has only just been told of."""
_CHECK_SECONDS = 30.0
_RELIST_SECONDS = 1.0
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 15.0
_HASTY_PAUSE = 2.0
"""The longest pause while somebody waits for the upstream."""
_STEADY_SECONDS = 20.0
_DRAIN_SECONDS = 60.0
_DETAIL = 300


class _Outdated(Exception):
    """A connection holds a credential that has changed: it ends when its calls have."""


class Supervised:
    """One upstream: connects, checks that it lives, connects again after a growing pause."""

    def __init__(
        self,
        spec: UpstreamSpec,
        egress: Egress,
        clock: Clock,
        credentials: Credentials,
        on_state: OnState | None,
        on_tools: OnTools | None,
        home: str = "",
    ) -> None:
        self.spec = spec
        self.tools: Mapping[str, ToolDefinition] = {}
        self.state: State = "unknown"
        self.detail = ""
        self.since = clock.now()
        self._egress = egress
        self._clock = clock
        self._credentials = credentials
        self._on_state = on_state
        self._on_tools = on_tools
        self._home = home
        self._connection: Connection | None = None
        self._calls: Counter[Connection] = Counter()
        self._retiring: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._settled = asyncio.Event()
        self._look_now = asyncio.Event()
        self._listed_at = 0.0
        self._at_once = False
        self._whole = True
        self._task = asyncio.create_task(self._supervise())

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        seconds: float,
        progress: Progress | None,
        context: CallContext | None,
        permitted: str | None,
    ) -> Result:
        """Perform a call, as `Pool.call` does."""
        await self.settle(seconds)
        connection = self._connection
        if connection is None:
            self._look_now.set()
            raise UpstreamFailure(self.detail or "it is not connected", reached=False)
        definition = self.tools.get(tool)
        if definition is None or definition.problem or definition.digest != permitted:
            raise UpstreamFailure(
                f"its definition of {make_safe(tool, limit=80)} is not the one that was permitted",
                reached=False,
            )
        self._calls[connection] += 1
        try:
            return await connection.call(
                tool,
                arguments,
                timeout_seconds=seconds,
                definition=definition,
                progress=progress,
                context=context,
            )
        except UpstreamFailure:
            self._look_now.set()
            raise
        except WatchkeeperError as error:
            raise UpstreamFailure(error.message, reached=False) from None
        finally:
            self._calls[connection] -= 1
            if not self._calls[connection]:
                del self._calls[connection]
                self._idle.set()

    async def settle(self, seconds: float) -> None:
        """Wait a moment for an upstream that has only just been told of."""
        if not self._settled.is_set():
            try:
                async with asyncio.timeout(min(seconds, OPENING_SECONDS)):
                    await self._settled.wait()
            except TimeoutError:
                self.detail = self.detail or "it has not answered yet"

    def look(self) -> None:
        """Look at the upstream now: what it needs may have changed."""
        self._look_now.set()

    async def close(self, *, now: bool = False) -> bool:
        """Let go of every connection; return whether nothing is left of them."""
        self._at_once = now
        self._task.cancel()
        for task in self._retiring:
            task.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._let_go(connection)
        await asyncio.gather(self._task, *self._retiring, return_exceptions=True)
        return self._whole

    async def _supervise(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            connection, retired = self._open(), False
            begun = asyncio.get_running_loop().time()
            try:
                await connection.connect()
                await self._list(connection)
                self._connection = connection
                self._set("up", f"{len(self.tools)} tools")
                await self._watch(connection)
            except _Outdated:
                retired = True
                self._retire(connection)
                continue
            except (UpstreamFailure, WatchkeeperError) as error:
                self._connection = None
                self._set("down", make_safe(error.message, limit=_DETAIL))
            except Exception:
                self._connection = None
                self._set("down", "the connection failed in the plane; its log says why")
                log.exception("upstream %s", self.spec.name)
            finally:
                if self._connection is None and not retired:
                    await self._let_go(connection)
            if asyncio.get_running_loop().time() - begun > _STEADY_SECONDS:
                # what ends soon after it began is not well, though it came up
                pause = _FIRST_PAUSE
            self._look_now.clear()
            await _wait_either(self._look_now.wait(), asyncio.sleep(pause))
            if self._look_now.is_set():
                await asyncio.sleep(min(pause, _HASTY_PAUSE))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _retire(self, connection: Connection) -> None:
        """Take no more calls on a connection, and close it once those that run have ended."""
        self._connection = None
        self._settled.clear()
        log.info("upstream %s: its credential has changed; it is started anew", self.spec.name)
        task = asyncio.create_task(self._drain(connection))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _drain(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self._calls[connection]:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            log.warning("upstream %s: calls of its old credential are cut off", self.spec.name)
        finally:
            await self._let_go(connection)

    async def _list(self, connection: Connection) -> None:
        """Ask what the upstream offers, and tell before anything is called under it."""
        self._listed_at = asyncio.get_running_loop().time()
        self.tools = await connection.list_tools()
        if self._on_tools is not None:
            await self._on_tools(self.spec.name, self.tools)

    async def _let_go(self, connection: Connection) -> None:
        """Close a connection; trouble with that must not end the supervision."""
        try:
            if not await connection.close(now=self._at_once):
                self._whole = False
        except Exception:
            self._whole = False
            log.exception("upstream %s could not be let go", self.spec.name)

    async def _watch(self, connection: Connection) -> None:
        """Return never while the upstream lives; raise `UpstreamFailure` when it does not."""
        while True:
            lost = asyncio.ensure_future(connection.wait_lost())
            changed = asyncio.ensure_future(connection.wait_changed())
            look = asyncio.ensure_future(self._look_now.wait())
            try:
                await asyncio.wait(
                    {lost, changed, look},
                    timeout=_CHECK_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if changed.done():
                    # at once, but for a server that says so all the time
                    spent = asyncio.get_running_loop().time() - self._listed_at
                    await asyncio.wait({lost}, timeout=max(0.0, _RELIST_SECONDS - spent))
                if lost.done():
                    raise UpstreamFailure("its process ended", reached=False)
            finally:
                for waiting in (lost, changed, look):
                    waiting.cancel()
            # before looking: who asks while it looks is not forgotten
            self._look_now.clear()
            if not await connection.is_current():
                raise _Outdated
            await self._list(connection)
            self._set("up", f"{len(self.tools)} tools")

    def _open(self) -> Connection:
        if self.spec.transport == "stdio":
            return StdioConnection(self.spec, self._credentials, self._home)
        return HttpConnection(self.spec, self._egress, self._credentials)

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


async def _wait_either(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
