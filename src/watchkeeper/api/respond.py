"""Answers: models as JSON, errors as problems (RFC 9457)."""

from __future__ import annotations

import logging
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from watchkeeper.core import ids
from watchkeeper.core.clock import SystemClock
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.wire.base import Problem

_LOG = logging.getLogger("watchkeeper.api")
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
