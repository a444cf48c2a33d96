"""What is said to an upstream in either era, whatever carries it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from watchkeeper import __version__
from watchkeeper.tools.upstreams.model import (
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
    mirrored_parameters,
)

CLIENT = {"name": "watchkeeper", "version": __version__}
_PAGES = 50
_TOOLS = 2000


class _Tool(msgspec.Struct, rename="camel"):
    name: str
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] | None = None


class _ToolPage(msgspec.Struct, rename="camel"):
    tools: list[_Tool]
    next_cursor: str | None = None


class _Agreed(msgspec.Struct, rename="camel"):
    protocol_version: str = ""
    supported_versions: list[str] = []


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


def call_parameters(tool: str, arguments: Mapping[str, Any], token: int | None) -> dict[str, Any]:
    """Return the parameters of ``tools/call``; `token` asks for progress notifications."""
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    if token is not None:
        params["_meta"] = {"progressToken": token}
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
    """Gathers ``tools/list`` over its pages."""

    def __init__(self) -> None:
        self.tools: dict[str, ToolDefinition] = {}
        self.cursor: str | None = None
        self._pages = 0

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that ask for the next page."""
        return {"cursor": self.cursor} if self.cursor is not None else {}

    def add(self, message: Message) -> bool:
        """Take a page; return whether there is another. Raises `UpstreamFailure`."""
        take_result(message)
        try:
            page = _page.decode(message.result)
        except (msgspec.MsgspecError, RecursionError):
            raise UpstreamFailure("its tools/list is malformed", reached=False) from None
        for tool in page.tools:
            self.tools[tool.name] = ToolDefinition(
                tool.name,
                tool.input_schema,
                tool.output_schema,
                mirrored_parameters(tool.input_schema),
            )
        self._pages += 1
        if self._pages > _PAGES or len(self.tools) > _TOOLS:
            raise UpstreamFailure(f"it lists more than {_TOOLS} tools", reached=False)
        self.cursor = page.next_cursor
        return self.cursor is not None
