"""Answers: models as JSON, errors as problems (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import BaseModel
from starlette.responses import Response

from watchkeeper.core import ids
from watchkeeper.core.clock import SystemClock
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.wire.base import Problem

_LOG = logging.getLogger("watchkeeper.api")
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
"""The headers of every answer that may hold a token (RFC 6749, 5.1)."""
PROBLEM_TYPE = "application/problem+json"


class MethodNotAllowed(WatchkeeperError):
    """The route exists, but not for this method."""

    status = 405
    default_code = "method_not_allowed"


def answer(value: BaseModel | None, status: int = 200) -> Response:
    """Return a model as JSON; nothing at all as 204."""
    if value is None:
        return Response(status_code=204)
    return Response(value.model_dump_json(), status, media_type="application/json")


def problem_bytes(error: WatchkeeperError) -> bytes:
    """Return the body of a refusal."""
    return (
        Problem(
            code=error.code,
            message=error.message,
            remedy=error.remedy,
            rule=error.rule,
            where=error.where,
            status=error.status,
        )
        .model_dump_json(exclude_none=True)
        .encode()
    )


def refuse(error: WatchkeeperError) -> Response:
    """Return an error as its problem."""
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else None
    return Response(problem_bytes(error), error.status, headers, PROBLEM_TYPE)


_OAUTH_CODES = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_token_type",
        "invalid_scope",
        "invalid_target",
        "invalid_authorization_details",
    }
)


def refuse_oauth(error: WatchkeeperError, headers: Mapping[str, str]) -> Response:
    """Return an error as OAuth writes it (RFC 6749, 5.2; RFC 8693, 2.2.2), with the rule."""
    if error.code in _OAUTH_CODES:
        code = error.code
    elif error.status == 401:
        code = "invalid_client"
    else:
        code = "temporarily_unavailable" if error.status >= 500 else "invalid_request"
    said = f"{error.message}; {error.remedy}" if error.remedy else error.message
    body = {"error": code, "error_description": _plain(said)}
    if error.rule:
        body["rule"] = _plain(error.rule)
    status = 401 if code == "invalid_client" else 400
    if error.status >= 500:
        status = error.status
    challenge = {}
    if status == 401:
        scheme = headers.get("authorization", "").partition(" ")[0].lower()
        challenge = {"www-authenticate": "Bearer" if scheme == "bearer" else "Basic"}
    return Response(
        msgspec.json.encode(body),
        status,
        {**NO_STORE, **challenge},
        "application/json",
    )


def _plain(text: str) -> str:
    """Return text in the characters that an error description may have."""
    kept = "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in text)
    return kept[:500]


def unexpected(error: Exception) -> WatchkeeperError:
    """Log what nobody foresaw and return an error that names the log entry, nothing more."""
    entry = ids.new("err", SystemClock())
    _LOG.error("%s: a request failed unexpectedly", entry, exc_info=error)
    return WatchkeeperError(
        "the plane failed to do this; nothing was acknowledged",
        remedy=f"look for {entry} in the plane's log",
    )


async def send_bytes(
    send: Any, status: int, body: bytes, kind: bytes = b"application/json"
) -> None:
    """Answer over plain ASGI, for the paths where speed counts."""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_problem(send: Any, error: WatchkeeperError) -> None:
    """Refuse over plain ASGI."""
    await send_bytes(send, error.status, problem_bytes(error), PROBLEM_TYPE.encode())
