"""Turn what a plane answers into values or into the errors of `core`."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from watchkeeper.client.transport import Reply
from watchkeeper.core import errors
from watchkeeper.wire.base import Problem

Model = TypeVar("Model", bound=BaseModel)

_KINDS: dict[int, type[errors.WatchkeeperError]] = {
    400: errors.Invalid,
    401: errors.Unauthenticated,
    402: errors.BudgetExceeded,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.TooLarge,
    422: errors.Invalid,
    429: errors.TooMany,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
}


def error_of(reply: Reply) -> errors.WatchkeeperError:
    """Build the error that a refused request stands for, with its code, rule and remedy."""
    kind = _KINDS.get(reply.status, errors.WatchkeeperError)
    try:
        problem = Problem.model_validate_json(reply.body)
    except ValidationError:
        return kind(
            f"the plane answered {reply.status} without saying why",
            remedy="look into the plane's log",
        )
    return kind(
        problem.message,
        code=problem.code,
        remedy=problem.remedy,
        rule=problem.rule,
        where=problem.where,
    )


def read(reply: Reply, model: type[Model]) -> Model:
    """Return the answer as `model`; raise the error it stands for if it is one."""
    if reply.status >= 400:
        raise error_of(reply)
    try:
        return model.model_validate_json(reply.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise errors.WatchkeeperError(
            f"the plane answered something that is no {model.__name__}: {where}: {first['msg']}",
            code="answer_not_understood",
            remedy="use a plane and a console of the same version",
        ) from None
