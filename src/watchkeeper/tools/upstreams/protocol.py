"""The Model Context Protocol as both sides of the gateway need it: names, versions, envelopes.

Two eras share one URL. In the modern era (2026-07-28) each request stands alone: its version,
client and capabilities travel in ``params._meta`` and are mirrored in headers. In the handshake
era a connection opens with ``initialize``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

MODERN_VERSION = "2026-07-28"
HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
LATEST_HANDSHAKE = HANDSHAKE_VERSIONS[-1]
KNOWN_VERSIONS = (MODERN_VERSION, *reversed(HANDSHAKE_VERSIONS))

VERSION_HEADER = "mcp-protocol-version"
METHOD_HEADER = "mcp-method"
NAME_HEADER = "mcp-name"
SESSION_HEADER = "mcp-session-id"

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CLIENT_KEY = "io.modelcontextprotocol/clientInfo"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
SERVER_KEY = "io.modelcontextprotocol/serverInfo"
TASKS_EXTENSION = "io.modelcontextprotocol/tasks"
SUBSCRIPTION_KEY = "io.modelcontextprotocol/subscriptionId"

TOOLS_CHANGED = "notifications/tools/list_changed"

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022
MISSING_CAPABILITY = -32021
UNAUTHENTICATED = -32010
INSUFFICIENT_SCOPE = -32011
"""These two are ours, from the band that the protocol leaves to implementations."""

NAMED_PARAMETER: Mapping[str, str] = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Method → the parameter that the Mcp-Name header repeats."""

_PARAMETER_HEADER = "x-mcp-header"
_SENTINEL = re.compile(r"^=\?base64\?(?P<payload>.*)\?=$")
_PLAIN = re.compile(r"^[\x20-\x7E]*$")


class RpcError(msgspec.Struct):
    """The error member of a JSON-RPC answer."""

    code: int = INTERNAL_ERROR
    message: str = ""
    data: Any = None


class Message(msgspec.Struct):
    """One JSON-RPC message from an upstream; results stay the bytes they were."""

    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    error: RpcError | None = None


_message = msgspec.json.Decoder(Message)


def read_message(data: bytes) -> Message:
    """Decode one message; raise ValueError for what is no JSON-RPC message in UTF-8."""
    data.decode()
    try:
        return _message.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a JSON-RPC message: {error}") from None


def encode_header(value: str) -> str:
    """Write a value so that it survives an HTTP header, as the protocol lays down."""
    if _PLAIN.fullmatch(value) and value == value.strip() and not _SENTINEL.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def decode_header(value: str | None) -> str | None:
    """Read what :func:`encode_header` wrote; None for what is malformed or absent."""
    found = _SENTINEL.fullmatch(value) if value is not None else None
    if found is None:
        return value
    payload = found.group("payload")
    try:
        decoded = base64.b64decode(payload, validate=True)
        if base64.b64encode(decoded).decode() != payload:
            return None
        return decoded.decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def mirrored_parameters(schema: Any) -> dict[tuple[str, ...], str]:
    """Return the arguments that an upstream wants repeated in headers: path → header suffix."""
    return {
        path: node[_PARAMETER_HEADER]
        for path, node in _properties(schema, ())
        if isinstance(node.get(_PARAMETER_HEADER), str)
    }


def parameter_headers(
    mirrored: Mapping[tuple[str, ...], str], arguments: Mapping[str, Any]
) -> dict[str, str]:
    """Return the ``Mcp-Param-*`` headers of one call."""
    headers = {}
    for path, suffix in mirrored.items():
        value: Any = arguments
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, bool):
            headers[f"Mcp-Param-{suffix}"] = "true" if value else "false"
        elif isinstance(value, str | int | float):
            headers[f"Mcp-Param-{suffix}"] = encode_header(str(value))
    return headers


def without_mirrors(schema: Any) -> Any:
    """Return a schema whose callers need not repeat any argument in a header."""
    if isinstance(schema, dict):
        return {
            key: without_mirrors(value)
            for key, value in schema.items()
            if key != _PARAMETER_HEADER or not isinstance(value, str)
        }
    if isinstance(schema, list):
        return [without_mirrors(item) for item in schema]
    return schema


def _properties(
    schema: Any, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        return
    for name, node in properties.items():
        if isinstance(node, dict):
            yield (*path, name), node
            yield from _properties(node, (*path, name))
