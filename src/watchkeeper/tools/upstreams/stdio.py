"""An upstream that is a child process: JSON-RPC, one message a line, over its pipes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
from collections.abc import Mapping
from typing import Any

import msgspec

from watchkeeper.core.errors import Unavailable
from watchkeeper.core.text import make_safe
from watchkeeper.tools.inspection.redaction import redact_text
from watchkeeper.tools.inspection.rules import SECRETS
from watchkeeper.tools.processes.table import MARK
from watchkeeper.tools.upstreams.children import GRACE_SECONDS, Child
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.dialogue import (
    Listing,
    call_parameters,
    notification,
    opening,
    report_progress,
    request,
    take_agreed_version,
    take_call_result,
    take_versions,
)
from watchkeeper.tools.upstreams.model import (
    CallContext,
    Progress,
    Refused,
    Result,
    ToolDefinition,
    UpstreamFailure,
    UpstreamSpec,
)
from watchkeeper.tools.upstreams.protocol import (
    METHOD_NOT_FOUND,
    MODERN_VERSION,
    TOOLS_CHANGED,
    UNSUPPORTED_VERSION,
    Message,
    read_message,
)

log = logging.getLogger(__name__)

_LONGEST_LINE = 16 * 1024 * 1024
_OPENING_SECONDS = 20.0
_LEAVE_SECONDS = 2.0
_LOG_LINES = 200
_LOG_CHARACTERS = 500
_LONGEST_SHOWN = 8 * 1024
_LONGEST_LOG_LINE = 64 * 1024
_MOST_UNREAD = 64 * 1024
"""Bytes that a child may leave unread; what is only polite to say is not said to one that does."""
_INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")


class StdioConnection:
    """One child process; when it ends, a new connection has to be made."""

    def __init__(self, spec: UpstreamSpec, credentials: Credentials, home: str = "") -> None:
        self._spec = spec
        self._credentials = credentials
        self._child = Child(home)
        self._given: str | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._progress: dict[int, Progress] = {}
        self._readers: list[asyncio.Task[None]] = []
        self._lost = asyncio.Event()
        self._changed = asyncio.Event()
        self._modern = False
        self._listing: Listing | None = None

    async def connect(self) -> None:
        """Start the process and agree on a version; raise `UpstreamFailure` when that fails."""
        await self._start()
        try:
            await self._agree()
        except UpstreamFailure:
            await self.close()
            raise

    async def _start(self) -> None:
        try:
            environment = await self._environment()
            self._process = await asyncio.create_subprocess_exec(
                *self._spec.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                limit=_LONGEST_LINE,
                start_new_session=True,
            )
        except Unavailable as error:
            raise UpstreamFailure(error.message, reached=False) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "the command is not usable"
            raise UpstreamFailure(
                f"{self._spec.command[0]!r} did not start ({reason})", reached=False
            ) from None
        self._readers = [
            asyncio.create_task(self._read_answers(self._process)),
            asyncio.create_task(self._read_log(self._process)),
        ]
        await self._child.begun(self._process.pid)

    async def _agree(self) -> None:
        """Shake hands; a server that knows only the modern era says so."""
        try:
            answer = await self._ask("initialize", opening(), seconds=_OPENING_SECONDS)
            take_agreed_version(answer)
        except Refused as error:
            if error.code not in (UNSUPPORTED_VERSION, METHOD_NOT_FOUND):
                raise
            self._modern = True
            answer = await self._ask("server/discover", {}, seconds=_OPENING_SECONDS)
            if MODERN_VERSION not in take_versions(answer):
                raise
            return
        await self._write(notification("notifications/initialized"))

    async def list_tools(self) -> dict[str, ToolDefinition]:
        """Return what the server offers; raise `UpstreamFailure` when it does not answer."""
        listing = Listing(self._listing)
        while listing.add(
            await self._ask("tools/list", listing.parameters(), seconds=_OPENING_SECONDS)
        ):
            pass
        tools = await listing.tools()
        self._listing = listing
        return tools

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
        number = next(self._numbers)
        params = call_parameters(tool, arguments, number if progress else None, context)
        if progress:
            self._progress[number] = progress
        try:
            answer = await self._ask("tools/call", params, seconds=timeout_seconds, number=number)
        finally:
            self._progress.pop(number, None)
        return take_call_result(answer)

    async def wait_lost(self) -> None:
        """Return when the process has ended or closed its output."""
        await self._lost.wait()

    async def is_current(self) -> bool:
        """Return whether the child still has the credential it would be given now.

        One that cannot be read just now changes nothing; one that is gone does.
        """
        if self._spec.credential is None:
            return True
        try:
            return await self._credentials.value(self._spec.credential) == self._given
        except Unavailable as error:
            return error.code != "credential_missing"

    async def _environment(self) -> dict[str, str]:
        """Return the little that a child gets: nothing of the plane's own secrets."""
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment[MARK] = self._child.mark
        credential = self._spec.credential
        if credential is not None:
            name = credential.environment
            if name is None and credential.source and credential.source.startswith("env:"):
                name = credential.source.removeprefix("env:")
            if name is None:
                raise Unavailable("its credential names no environment variable to be given in")
            environment[name] = self._given = await self._credentials.value(credential)
        return environment

    async def wait_changed(self) -> None:
        """Return when the server says that its tools have changed."""
        await self._changed.wait()
        self._changed.clear()

    async def _ask(
        self, method: str, params: dict[str, Any], *, seconds: float, number: int | None = None
    ) -> Message:
        number = next(self._numbers) if number is None else number
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            # a child that does not read holds up the writing already
            async with asyncio.timeout(seconds):
                await self._write(request(number, method, params, modern=self._modern))
                return await answer
        except TimeoutError:
            self._withdraw(number, method)
            raise UpstreamFailure(f"it did not answer in {seconds:g} s", reached=True) from None
        except asyncio.CancelledError:
            self._withdraw(number, method)
            raise
        finally:
            self._waiting.pop(number, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen: the process may end before anybody waits

    def _withdraw(self, number: int, method: str) -> None:
        if method == "tools/call":
            self._mention(notification("notifications/cancelled", {"requestId": number}))

    def _mention(self, message: Mapping[str, Any]) -> None:
        """Write what nobody waits for, unless the child leaves unread what it was told."""
        process = self._process
        if process is None or process.stdin is None or self._lost.is_set():
            return
        if process.stdin.transport.get_write_buffer_size() < _MOST_UNREAD:
            with contextlib.suppress(OSError, RuntimeError):
                process.stdin.write(msgspec.json.encode(message) + b"\n")

    async def _write(self, message: Mapping[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None or self._lost.is_set():
            raise UpstreamFailure("its process is not running", reached=False)
        try:
            process.stdin.write(msgspec.json.encode(message) + b"\n")
            await process.stdin.drain()
        except (OSError, RuntimeError):
            raise UpstreamFailure("its process closed its input", reached=True) from None

    async def _read_answers(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                self._take_line(line)
                await asyncio.sleep(0)  # who says a lot is not listened to alone
        except ValueError:
            log.warning("upstream %s wrote a line that is too long", self._spec.name)
        finally:
            self._lost.set()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(
                        UpstreamFailure("its process ended before it answered", reached=True)
                    )

    def _take_line(self, line: bytes) -> None:
        line = self._credentials.known.redact_known(line)
        try:
            message = read_message(line)
        except ValueError:
            log.warning("upstream %s wrote what is no message: %s", self._spec.name, _shown(line))
            return
        if message.method is None and isinstance(message.id, int):
            waiting = self._waiting.get(message.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        elif message.method is not None and message.id is not None:
            self._refuse(message)
        else:
            self._report(message)

    def _report(self, message: Message) -> None:
        if message.method == TOOLS_CHANGED:
            self._changed.set()
            return

        def take(params: Mapping[str, Any]) -> None:
            token = params.get("progressToken")
            progress = self._progress.get(token) if isinstance(token, int) else None
            if progress is not None:
                progress(params)

        report_progress(message, take)

    def _refuse(self, message: Message) -> None:
        """A server may ask nothing of the plane: no sampling, no roots, no forms."""
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message.id}
        if message.method == "ping":
            answer["result"] = {}
        else:
            answer["error"] = {"code": METHOD_NOT_FOUND, "message": "not offered to servers"}
        self._mention(answer)

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        """Copy what the child complains about to the log: bounded, and made safe."""
        assert process.stderr is not None
        written, kept = 0, b""
        while piece := await process.stderr.read(4096):
            # whole lines: half a credential would not be recognised
            *lines, kept = (kept + piece).split(b"\n")
            if len(kept) > _LONGEST_LOG_LINE:
                lines, kept = [*lines, b"(a line that is too long)"], b""
            for line in lines:
                written += 1
                if written <= _LOG_LINES:
                    shown = _shown(self._credentials.known.redact_known(line))
                    log.info("upstream %s: %s", self._spec.name, shown)
                elif written == _LOG_LINES + 1:
                    log.info("upstream %s: further output is left out", self._spec.name)
        if kept and written < _LOG_LINES:
            shown = _shown(self._credentials.known.redact_known(kept))
            log.info("upstream %s: %s", self._spec.name, shown)

    async def close(self, *, now: bool = False) -> bool:
        """End the process: close its input, then ask, then insist; a second call does nothing.

        `now`: ask at once. Returns whether nothing of what it started runs any more.
        """
        process, self._process = self._process, None
        if process is None:
            return True
        if process.stdin is not None:
            process.stdin.close()
        steps: tuple[tuple[signal.Signals | None, float], ...] = (
            (None, 0.0 if now else _LEAVE_SECONDS),
            (signal.SIGTERM, GRACE_SECONDS if now else _LEAVE_SECONDS),
            (signal.SIGKILL, _LEAVE_SECONDS),
        )
        for which, seconds in steps:
            if which is not None:
                await self._child.signal(which)
            try:
                async with asyncio.timeout(seconds):
                    await process.wait()
                break
            except TimeoutError:
                continue
        gone = await self._child.kill()  # whatever it started and left behind
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        return gone


def _shown(line: bytes) -> str:
    # a child may be given secrets by others than the plane, and complain of them
    words = redact_text(line[:_LONGEST_SHOWN].decode("utf-8", "replace"), SECRETS)
    return make_safe(words, limit=_LOG_CHARACTERS)
