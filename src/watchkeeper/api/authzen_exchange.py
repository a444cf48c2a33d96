"""How AuthZEN's routes take bodies and answer: its errors, and `X-Request-ID` on everything."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.responses import JSONResponse, Response

from watchkeeper.api.respond import PROBLEM_TYPE, refuse
from watchkeeper.api.table import Call, say_invalid
from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid, WatchkeeperError

_PROBLEM = "urn:openid:authzen:access-request:error:"
_PROBLEMS = frozenset(
    {
        "not_requestable",
        "expired_denial",
        "invalid_denial_binding",
        "duplicate_request",
        "unknown_task",
    }
)
"""Codes that the access-request profile names as problem types."""
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,200}")
Body = TypeVar("Body", bound=BaseModel)


def answering(
    handle: Callable[[Call], Awaitable[Response]],
) -> Callable[[Call], Awaitable[Response]]:
    """Echo `X-Request-ID` on whatever is answered, refusals too."""

    async def answer(call: Call) -> Response:
        try:
            response = await handle(call)
        except WatchkeeperError as error:
            response = _refuse(error)
        given = call.request.headers.get("x-request-id", "")
        if _REQUEST_ID.fullmatch(given):
            response.headers["x-request-id"] = given
        return response

    return answer


async def read_body(call: Call, model: type[Body]) -> Body:
    """Return the body; raise `Invalid` for another type, no JSON, or a missing field."""
    kind = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    raw = await call.request.body()
    if kind != "application/json":
        raise Invalid("the body must be application/json", where="header: content-type")
    return _as_model(model, parse(raw))


def _as_model(model: type[Body], value: Any) -> Body:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise say_invalid(error) from None


def as_json(
    value: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Answer with what has a value."""
    return JSONResponse(value.model_dump(mode="json", exclude_none=True), status, headers)


def _refuse(error: WatchkeeperError) -> Response:
    """Refuse as the profile has it where it names the problem, as everywhere otherwise."""
    if error.code not in _PROBLEMS:
        return refuse(error)
    body = {
        "type": _PROBLEM + error.code,
        "title": error.code.replace("_", " "),
        "status": error.status,
        "detail": error.message,
        **({"remedy": error.remedy} if error.remedy else {}),
        **({"rule": error.rule} if error.rule else {}),
    }
    return JSONResponse(body, error.status, media_type=PROBLEM_TYPE)
