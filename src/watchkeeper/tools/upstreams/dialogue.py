"""What is said to an upstream in either era, whatever carries it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from watchkeeper import __version__
from watchkeeper.core.tracing import TRACEPARENT
from watchkeeper.tools.upstreams.definitions import hash_of, read_definition, twice
from watchkeeper.tools.upstreams.model import (
    CallContext,
    Progress,
    Refused,
    Result,
    ToolDefinition,
    UpstreamFailure,
)
from watchkeeper.tools.upstreams.protocol import (
    CAPABILITIES_KEY,
    CLIENT_KEY,
    HANDSHAKE_VERSIONS,
    LATEST_HANDSHAKE,
    MODERN_VERSION,
    VERSION_KEY,
    Message,
)

CLIENT = {"name": "watchkeeper", "version": __version__}
_PAGES = 50
_TOOLS = 2000
_LISTING = 16 * 1024 * 1024
_LONG = 32 * 1024


class _ToolPage(msgspec.Struct, rename="camel"):
    tools: list[msgspec.Raw]
    next_cursor: str | None = None


class _Agreed(msgspec.Struct, rename="camel"):
    protocol_version: str = ""
    supported_versions: list[str] = []
    capabilities: dict[str, Any] = {}


_members = msgspec.json.Decoder(Result)
_params = msgspec.json.Decoder(dict[str, Any])
_page = msgspec.json.Decoder(_ToolPage)
_agreed = msgspec.json.Decoder(_Agreed)


def request(number: int, method: str, params: Mapping[str, Any], *, modern: bool) -> dict[str, Any]:
    """Return a JSON-RPC request; in the modern era with the envelope in its ``_meta``."""
    params = dict(params)
    if modern:
        params["_meta"] = {
            **params.get("_meta", {}),
            VERSION_KEY: MODERN_VERSION,
            CLIENT_KEY: CLIENT,
            CAPABILITIES_KEY: {},
        }
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def notification(method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a JSON-RPC notification."""
    return {"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})}


def opening() -> dict[str, Any]:
    """Return the parameters of ``initialize``."""
    return {"protocolVersion": LATEST_HANDSHAKE, "capabilities": {}, "clientInfo": CLIENT}


def call_parameters(
    tool: str,
    arguments: Mapping[str, Any],
    token: int | None,
    context: CallContext | None = None,
) -> dict[str, Any]:
    """Return the parameters of ``tools/call``; `token` asks for progress notifications."""
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    meta: dict[str, Any] = {} if token is None else {"progressToken": token}
    if context is not None and context.traceparent is not None:
        meta[TRACEPARENT] = context.traceparent
    if meta:
        params["_meta"] = meta
    return params


def take_result(message: Message) -> Result:
    """Return the members of an answer's result.

    Raises `Refused` for an error answer, `UpstreamFailure` for one that is no result: the
    server has answered, so what it did cannot be known from that.
    """
    if message.error is not None:
        raise Refused(message.error.message or f"error {message.error.code}", message.error.code)
    try:
        return _members.decode(message.result)
    except (msgspec.MsgspecError, RecursionError):
        raise UpstreamFailure("its answer holds no result object", reached=True) from None


def take_call_result(message: Message) -> Result:
    """Return the result of a tool call; raises as :func:`take_result`."""
    result = take_result(message)
    kind = bytes(result.get("resultType", b'"complete"'))
    if kind != b'"complete"':
        raise UpstreamFailure(
            "it asks for more input, which a governed call cannot give", reached=True
        )
    return result


def take_versions(message: Message) -> list[str]:
    """Return the versions that ``server/discover`` names; none for what is no such answer."""
    try:
        return _agreed.decode(message.result).supported_versions
    except (msgspec.MsgspecError, RecursionError):
        return []


def announces_changes(message: Message) -> bool:
    """Whether ``server/discover`` offers word of it when tools change."""
    try:
        tools = _agreed.decode(message.result).capabilities.get("tools")
    except (msgspec.MsgspecError, RecursionError):
        return False
    return isinstance(tools, dict) and tools.get("listChanged") is True


def take_agreed_version(message: Message) -> str:
    """Return the version that ``initialize`` agreed on; raise `UpstreamFailure` if unknown."""
    if message.error is not None:
        raise Refused(message.error.message or f"error {message.error.code}", message.error.code)
    try:
        version = _agreed.decode(message.result).protocol_version
    except (msgspec.MsgspecError, RecursionError):
        version = ""
    if version not in HANDSHAKE_VERSIONS:
        raise UpstreamFailure("it speaks no version of MCP that the plane knows", reached=False)
    return version


def report_progress(message: Message, progress: Progress | None) -> None:
    """Hand on a progress notification; everything else an upstream says unasked is dropped."""
    if progress is None or message.method != "notifications/progress":
        return
    try:
        params = _params.decode(message.params)
    except (msgspec.MsgspecError, RecursionError):
        return
    progress(params)


class Listing:
    """Gathers ``tools/list`` over its pages; what an earlier listing had is not read again."""

    def __init__(self, earlier: Listing | None = None) -> None:
        self.cursor: str | None = None
        self.known: dict[bytes, ToolDefinition] = {}
        self._earlier = earlier.known if earlier is not None else {}
        self._raw: list[tuple[bytes, bytes]] = []
        self._pages = 0
        self._bytes = 0

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that ask for the next page."""
        return {"cursor": self.cursor} if self.cursor is not None else {}

    def add(self, message: Message) -> bool:
        """Take a page; return whether there is another. Raises `UpstreamFailure`."""
        take_result(message)
        try:
            page = _page.decode(message.result)
        except (msgspec.MsgspecError, RecursionError):
            raise _malformed() from None
        self._raw += [(hash_of(tool), bytes(tool)) for tool in page.tools]
        self._pages += 1
        self._bytes += len(message.result)
        if self._pages > _PAGES or len(self._raw) > _TOOLS:
            raise UpstreamFailure(f"it lists more than {_TOOLS} tools", reached=False)
        if self._bytes > _LISTING:
            raise UpstreamFailure("its tools/list is too large", reached=False)
        self.cursor = page.next_cursor
        return self.cursor is not None

    async def tools(self) -> dict[str, ToolDefinition]:
        """Return what is listed, by name; raise `UpstreamFailure` for an entry without a name."""
        fresh = sum(len(raw) for key, raw in self._raw if key not in self._earlier)
        # a long list that is new takes a while to read: the loop goes on meanwhile
        return await asyncio.to_thread(self._read) if fresh > _LONG else self._read()

    def _read(self) -> dict[str, ToolDefinition]:
        tools: dict[str, ToolDefinition] = {}
        for key, raw in self._raw:
            found = self._earlier.get(key)
            try:
                one = self.known[key] = found if found is not None else read_definition(raw)
            except (msgspec.MsgspecError, RecursionError):
                raise _malformed() from None
            tools[one.name] = twice(tools[one.name], one) if one.name in tools else one
        self._raw.clear()
        return tools


def _malformed() -> UpstreamFailure:
    return UpstreamFailure("its tools/list is malformed", reached=False)
