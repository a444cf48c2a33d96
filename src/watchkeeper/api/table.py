"""The route table: what each route needs, takes and answers, stated once.

Routing, permission checks, input checks and the OpenAPI description all follow from it, so
that a route without a stated permission cannot exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from watchkeeper.api.callers import bearer_of, find_person
from watchkeeper.api.respond import (
    MethodNotAllowed,
    answer,
    refuse,
    send_problem,
    unexpected,
)
from watchkeeper.api.rooms import Rooms
from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Forbidden, Invalid, Unauthenticated, WatchkeeperError
from watchkeeper.identity.model import Person
from watchkeeper.oncall.model import ANYONE
from watchkeeper.wire.plane import Permission

Needs = Literal["anyone", "agent", "viewer", "approver", "responder", "admin", "owner"]
"""Who may call. `agent`: any bearer, which the route itself checks; `owner`: the account that
runs the plane, over its socket; the others are a person's permissions in rising order."""

MOST_ROWS = 500
USUAL_ROWS = 100
Model = TypeVar("Model", bound=BaseModel)


@dataclass(slots=True)
class Call:
    """One request, checked: who calls and what was sent."""

    rooms: Rooms
    request: Request
    bearer: str | None
    person: Person | None = None
    body: Any = None

    @property
    def who(self) -> Person:
        """The person who calls; only where the route needs one."""
        if self.person is None:
            raise Unauthenticated("this needs a person")
        return self.person

    @property
    def actor(self) -> str:
        """The person as events name it."""
        return f"person/{self.who.name}"

    @property
    def roles(self) -> frozenset[str]:
        """The roles the person holds now; `*` stands for every role, which the owner holds."""
        held = self.rooms.view.now.roles_of(self.who.name, owner=self.who.owner)
        return held | {ANYONE} if self.who.owner else held

    @property
    def token(self) -> str:
        """The bearer token; raises `Unauthenticated` if none was sent."""
        if self.bearer is None:
            raise Unauthenticated(
                "no bearer token was given", remedy="send `Authorization: Bearer …`"
            )
        return self.bearer

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def text(self, name: str) -> str | None:
        """A query parameter, or None where absent or empty."""
        return self.request.query_params.get(name) or None

    def one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        """A query parameter out of a list; the first is the default."""
        value = self.text(name) or allowed[0]
        if value not in allowed:
            raise Invalid(f"{name} must be one of {', '.join(allowed)}", where=f"query: {name}")
        return value

    def whole(self, name: str) -> int | None:
        """A query parameter that is a whole number, zero or more."""
        value = self.text(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) < 19):
            raise Invalid(f"{name} must be a whole number", where=f"query: {name}")
        return int(value)

    def limit(self) -> int:
        """How many rows to return at most."""
        asked = self.whole("limit")
        return USUAL_ROWS if asked is None else max(1, min(asked, MOST_ROWS))


Handler = Callable[[Call], Awaitable[BaseModel | Response | None]]


@dataclass(frozen=True)
class Operation:
    """One route."""

    method: Literal["GET", "POST"]
    path: str
    needs: Needs
    handle: Handler
    does: str
    answers: Any = None
    takes: type[BaseModel] | None = None
    query: tuple[str, ...] = ()
    status: int = 200
    tags: tuple[str, ...] = field(default=())


def route(operation: Operation, rooms: Rooms) -> Route:
    """Return the Starlette route of an operation."""

    async def endpoint(request: Request) -> Response:
        try:
            call = await _check(operation, request, rooms)
            result = await operation.handle(call)
        except WatchkeeperError as error:
            return refuse(error)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            return refuse(unexpected(error))
        return result if isinstance(result, Response) else answer(result, operation.status)

    return ProblemRoute(operation.path, endpoint, methods=[operation.method])


class ProblemRoute(Route):
    """A route that refuses another method with a problem."""

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the method it has; HEAD is GET without a body."""
        if scope["method"] in (self.methods or ()):
            await self.app(scope, receive, send)
        else:
            await send_problem(send, MethodNotAllowed(f"{scope['path']} has no {scope['method']}"))


async def _check(operation: Operation, request: Request, rooms: Rooms) -> Call:
    call = Call(rooms, request, bearer_of(request.scope["headers"]))
    if operation.needs not in ("anyone", "agent"):
        call.person = await find_person(rooms.store, request.scope, call.bearer)
        check_permission(operation.needs, call.person)
    unknown = set(request.query_params) - set(operation.query)
    if unknown:
        raise Invalid(
            f"unknown query parameter: {min(unknown)!r:.60}",
            where="query",
            remedy="known here: " + (", ".join(operation.query) or "none"),
        )
    if operation.takes is not None:
        call.body = read_body(operation.takes, await request.body())
    return call


def check_permission(needs: Needs, person: Person) -> None:
    """Raise `Forbidden` unless the person may use a route that needs this."""
    allowed = person.owner if needs == "owner" else person.may(_as_permission(needs))
    if not allowed:
        raise Forbidden(
            f"this needs {needs}; {person.name} is {person.permission}",
            rule=f"permission/{needs}",
            remedy="ask the owner of the plane for a token with that permission",
        )


def _as_permission(needs: Needs) -> Permission:
    if needs in ("viewer", "approver", "responder", "admin"):
        return needs
    raise Forbidden("this route admits no people", rule=f"permission/{needs}")


def read_body(model: type[Model], raw: bytes) -> Model:
    """Read strict JSON as a model; raise `Invalid` that names the field."""
    value = parse(raw) if raw.strip() else {}
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise say_invalid(error) from None


def say_invalid(error: ValidationError) -> Invalid:
    """Say in words what is wrong with a body; what was sent is not repeated."""
    problems: list[Mapping[str, Any]] = list(
        error.errors(include_url=False, include_input=False, include_context=False)
    )
    sentences = [
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: "
        + ("no such field" if problem["type"] == "extra_forbidden" else str(problem["msg"]))
        for problem in problems[:5]
    ]
    where = ".".join(str(part) for part in problems[0]["loc"])
    return Invalid("; ".join(sentences), where=f"body: {where}" if where else "body")
