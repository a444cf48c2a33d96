"""Reading one POST: which era, which method, and whether it agrees with itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid
from watchkeeper.core.tracing import TRACEPARENT, read_traceparent
from watchkeeper.tools.upstreams.protocol import (
    CAPABILITIES_KEY,
    HANDSHAKE_VERSIONS,
    HEADER_MISMATCH,
    INSUFFICIENT_SCOPE,
    INVALID_PARAMS,
    INVALID_REQUEST,
    KNOWN_VERSIONS,
    LATEST_HANDSHAKE,
    METHOD_HEADER,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    MODERN_VERSION,
    NAME_HEADER,
    NAMED_PARAMETER,
    PARSE_ERROR,
    UNAUTHENTICATED,
    UNSUPPORTED_VERSION,
    VERSION_HEADER,
    VERSION_KEY,
    decode_header,
)

ROUTING_HEADERS = (VERSION_HEADER, METHOD_HEADER, NAME_HEADER)
_STATUS = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    UNSUPPORTED_VERSION: 400,
    METHOD_NOT_FOUND: 404,
    MISSING_CAPABILITY: 400,
    UNAUTHENTICATED: 401,
    INSUFFICIENT_SCOPE: 403,
}
_ALWAYS = frozenset(
    {
        PARSE_ERROR,
        INVALID_REQUEST,
        HEADER_MISMATCH,
        UNSUPPORTED_VERSION,
        UNAUTHENTICATED,
        INSUFFICIENT_SCOPE,
    }
)
"""Codes that have their HTTP status in both eras."""

RequestId = int | str


class Rejected(Exception):
    """A request that is answered with a JSON-RPC error."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        id: RequestId | None = None,
        data: Any = None,
        challenge: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.challenge = challenge or {}
        """What the challenge of a 401 or 403 says beside the resource (RFC 6750, 3)."""
        self.code = code
        self.message = message
        self.id = id
        self.data = data

    def status(self, *, modern: bool) -> int:
        """Return the HTTP status; the handshake era carries most errors on 200."""
        return _STATUS.get(self.code, 200) if modern or self.code in _ALWAYS else 200


@dataclass(frozen=True, slots=True)
class Request:
    """One JSON-RPC message from an agent; `id` is None for what wants no answer."""

    modern: bool
    version: str
    id: RequestId | None
    method: str
    params: Mapping[str, Any]
    meta: Mapping[str, Any]
    traceparent: str | None = None
    """The caller's trace context: of the message, else of the HTTP request."""


def read_request(body: bytes, headers: Mapping[str, str]) -> Request | None:
    """Return the message in a POST; None for an answer to a question nobody asked.

    Raises `Rejected`.
    """
    try:
        message = parse(body)
    except Invalid as error:
        raise Rejected(PARSE_ERROR, f"Parse error: {error.message}") from None
    if isinstance(message, list):
        raise Rejected(INVALID_REQUEST, "Batches are not taken: send one message a request")
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise Rejected(INVALID_REQUEST, "The body is not a JSON-RPC 2.0 message")
    identifier = _read_id(message)
    method = message.get("method")
    if "method" not in message and ("result" in message or "error" in message):
        return None
    if not isinstance(method, str):
        raise Rejected(INVALID_REQUEST, "method must be text", id=identifier)
    params = message.get("params", {})
    if not isinstance(params, dict):
        raise Rejected(INVALID_PARAMS, "params must be an object", id=identifier)
    meta = params.get("_meta", {})
    version = headers.get(VERSION_HEADER)
    enveloped = isinstance(meta, dict) and VERSION_KEY in meta and method != "initialize"
    modern = enveloped or (version is not None and version not in HANDSHAKE_VERSIONS)
    request = Request(
        modern=modern,
        version=MODERN_VERSION if modern else version or LATEST_HANDSHAKE,
        id=identifier,
        method=method,
        params=params,
        meta=meta if isinstance(meta, dict) else {},
        traceparent=_read_context(meta, headers),
    )
    if modern:
        _check_envelope(request, meta, headers)
    elif not isinstance(meta, dict):
        raise Rejected(INVALID_PARAMS, "params._meta must be an object", id=identifier)
    return request


def _read_id(message: Mapping[str, Any]) -> RequestId | None:
    if "id" not in message:
        return None
    identifier = message["id"]
    if isinstance(identifier, bool) or not isinstance(identifier, int | str):
        raise Rejected(INVALID_REQUEST, "id must be an integer or text")
    return identifier


def _read_context(meta: Any, headers: Mapping[str, str]) -> str | None:
    given = meta.get(TRACEPARENT) if isinstance(meta, dict) else None
    context = read_traceparent(given) or read_traceparent(headers.get(TRACEPARENT))
    return None if context is None else context.text()


def _check_envelope(request: Request, meta: Any, headers: Mapping[str, str]) -> None:
    """Check what the modern era asks of each request; the headers must repeat the body."""
    header_version = headers.get(VERSION_HEADER)
    if request.id is None:
        if header_version != MODERN_VERSION:
            raise _unsupported(header_version, None)
        return
    if not isinstance(meta, dict) or not {VERSION_KEY, CAPABILITIES_KEY} <= meta.keys():
        if header_version not in (None, MODERN_VERSION):
            raise _unsupported(header_version, request.id)
        raise Rejected(
            INVALID_PARAMS,
            f"params._meta must hold {VERSION_KEY!r} and {CAPABILITIES_KEY!r}",
            id=request.id,
        )
    version = meta[VERSION_KEY]
    if header_version is None or header_version != version:
        raise _mismatch("MCP-Protocol-Version", "params._meta", request)
    if headers.get(METHOD_HEADER) != request.method:
        raise _mismatch("Mcp-Method", "method", request)
    named = NAMED_PARAMETER.get(request.method)
    if named is not None:
        value = request.params.get(named)
        if value is not None and decode_header(headers.get(NAME_HEADER)) != value:
            raise _mismatch("Mcp-Name", f"params.{named}", request)
    if version != MODERN_VERSION:
        raise _unsupported(version, request.id)


def _mismatch(header: str, field: str, request: Request) -> Rejected:
    return Rejected(
        HEADER_MISMATCH, f"the {header} header does not repeat the body's {field}", id=request.id
    )


def _unsupported(version: Any, identifier: RequestId | None) -> Rejected:
    return Rejected(
        UNSUPPORTED_VERSION,
        "Unsupported protocol version",
        id=identifier,
        data={"supported": list(KNOWN_VERSIONS), "requested": str(version)},
    )
