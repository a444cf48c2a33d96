"""The route table: what each route needs, takes and answers, stated once.

Routing, permission checks, input checks and the OpenAPI description all follow from it, so
that a route without a stated permission cannot exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from watchkeeper.api.callers import bearer_of, find_person
from watchkeeper.api.respond import (
    MethodNotAllowed,
    answer,
    refuse,
    refuse_oauth,
    send_problem,
    unexpected,
)
from watchkeeper.api.rooms import Rooms
from watchkeeper.core.digest import parse
from watchkeeper.core.errors import (
    Forbidden,
    Invalid,
    TooLarge,
    Unauthenticated,
    WatchkeeperError,
)
from watchkeeper.core.tracing import TRACEPARENT, TraceContext, read_traceparent
from watchkeeper.decide.kill.locks import check_operator
from watchkeeper.decide.people.directory import PeopleInForce
from watchkeeper.decide.people.rota import Rota
from watchkeeper.identity.model import Person
from watchkeeper.kill.model import LockInForce
from watchkeeper.kill.service import locks_in_force
from watchkeeper.oncall.model import ANYONE, OWNER
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.base import problem_words
from watchkeeper.wire.permissions import Permission

Needs = Literal["anyone", "agent", "person"] | Permission
"""Who may call. `agent`: any bearer, which the route itself checks; `person`: whoever the plane
knows as a person; the others are a permission that the person must have."""

LONGEST_FORM = 64 * 1024
MOST_ROWS = 500
USUAL_ROWS = 100
_UNKNOWN = "extra_forbidden"
"""How a model's checker calls a field that there is not."""
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
        return self._held(self.rooms.view.now.rota, self.rooms.clock.now())

    def roles_in(self, tx: Transaction) -> frozenset[str]:
        """Return the roles the person holds as a transaction sees it: for what decides by them.

        Raises `Forbidden` where a lock is on the person by then.
        """
        self.check_unlocked(locks_in_force(tx))
        return self._held(self.rooms.view.now.rota.now(tx), tx.now)

    def check_unlocked(self, locks: Sequence[LockInForce] | None = None) -> None:
        """Raise `Forbidden` where one of the locks in force is on the person who calls."""
        known = self.rooms.decider.locks if locks is None else locks
        check_operator(self.rooms.view.now, known, self.who.name, owner=self.who.owner)

    def people(self, tx: Transaction) -> PeopleInForce:
        """Return who is who, and who votes for whom, as a transaction sees it."""
        return PeopleInForce(tx, self.rooms.view.now)

    def _held(self, rota: Rota, at: int) -> frozenset[str]:
        held = rota.roles_of(self.who.name, owner=self.who.owner, at=at)
        return held | {OWNER, ANYONE} if self.who.owner else held

    def check_team(self, needed: Permission, team: str) -> None:
        """Raise `Forbidden` unless the person has the permission in a team (empty: in all)."""
        allowed = self.who.permissions.teams(needed)
        if allowed is None or team in allowed:
            return
        where = f"in team {team}" if team else "in every team"
        raise Forbidden(
            f"this needs {needed} {where}; {self.who.name} has it in "
            + (", ".join(sorted(allowed)) or "none"),
            rule=f"permission/{needed}",
            remedy="ask somebody whose role counts there",
        )

    def check_agent(self, needed: Permission, agent: str) -> None:
        """Raise `Forbidden` unless the person has the permission in an agent's team."""
        self.check_team(needed, self.rooms.view.now.team_of(agent))

    def agents_seen(self) -> frozenset[str] | None:
        """Return the agents of the teams the person may read; None: of every team."""
        return self._agents_of("read")

    def agents_decided(self) -> frozenset[str] | None:
        """Return the agents of the teams the person may decide for; None: of every team."""
        return self._agents_of("decide")

    def _agents_of(self, needed: Permission) -> frozenset[str] | None:
        teams = self.who.permissions.teams(needed)
        return None if teams is None else frozenset(self.rooms.view.now.seen_in(teams).agents)

    @property
    def token(self) -> str:
        """The bearer token; raises `Unauthenticated` if none was sent."""
        if self.bearer is None:
            raise Unauthenticated(
                "no bearer token was given", remedy="send `Authorization: Bearer …`"
            )
        return self.bearer

    @property
    def caller(self) -> TraceContext | None:
        """The W3C trace context that came with the request."""
        return read_traceparent(self.request.headers.get(TRACEPARENT))

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

    def option(self, name: str, allowed: tuple[str, ...]) -> Any:
        """A query parameter out of a list, or None where absent or empty."""
        return self.one_of(name, allowed) if self.text(name) else None

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
    reads: type[BaseModel] | None = None
    """The body, where the route reads it itself; for the description."""
    query: tuple[str, ...] = ()
    status: int = 200
    form: bool = False
    """The body is a form, and errors have the shape of OAuth (RFC 6749, 5.2)."""
    tags: tuple[str, ...] = field(default=())
    by_team: bool = False
    """The route itself checks in which team the permission is held (`Call.check_team`). Where it
    does not, everything but reading needs it in every team."""
    looks_only: bool = False
    """A POST that changes nothing, or ends what the caller may: a locked person may send it too."""
    always_for_owner: bool = False
    """The account that runs the plane may use it while a lock is on that person, too."""

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET" and not self.looks_only


def route(operation: Operation, rooms: Rooms) -> Route:
    """Return the Starlette route of an operation."""

    async def endpoint(request: Request) -> Response:
        try:
            call = await _check(operation, request, rooms)
            result = await operation.handle(call)
        except WatchkeeperError as error:
            return refuse_oauth(error, request.headers) if operation.form else refuse(error)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            found = unexpected(error)
            return refuse_oauth(found, request.headers) if operation.form else refuse(found)
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
        call.person = await find_person(rooms.store, rooms.view.now, request.scope, call.bearer)
        check_permission(operation, call.person)
        if operation.changes and not (operation.always_for_owner and call.person.owner):
            call.check_unlocked()
    unknown = set(request.query_params) - set(operation.query)
    if unknown:
        raise Invalid(
            f"unknown query parameter: {min(unknown)!r:.60}",
            where="query",
            remedy="known here: " + (", ".join(operation.query) or "none"),
        )
    if operation.takes is not None:
        read = read_form if operation.form else read_body
        call.body = read(operation.takes, await request.body())
    return call


def check_permission(operation: Operation, person: Person) -> None:
    """Raise `Forbidden` unless the person may use a route."""
    if operation.needs == "person":
        return
    if operation.needs == "anyone" or operation.needs == "agent":
        raise Forbidden("this route admits no people", rule=f"permission/{operation.needs}")
    needed = operation.needs
    teams = person.permissions.teams(needed)
    if teams is None or (teams and (needed == "read" or operation.by_team)):
        return
    held = ", ".join(person.roles) or "no role"
    raise Forbidden(
        f"this needs {needed}{' in every team' if teams else ''}; {person.name} has {held}",
        rule=f"permission/{needed}",
        remedy="ask somebody who may, or the owner of the plane for a role that may",
    )


def read_body(model: type[Model], raw: bytes) -> Model:
    """Read strict JSON as a model; raise `Invalid` that names the field."""
    value = parse(raw) if raw.strip() else {}
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise say_invalid(error) from None


def read_form(model: type[Model], raw: bytes) -> Model:
    """Read `application/x-www-form-urlencoded` as a model; raise `Invalid` that names the field.

    As OAuth has it (RFC 6749, 3.2): no parameter comes twice, an empty one is left out, an
    unknown one is passed over.
    """
    if len(raw) > LONGEST_FORM:
        raise TooLarge(f"a form has at most {LONGEST_FORM:,} bytes")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50
        )
    except ValueError:
        raise Invalid("the body is no form", where="body") from None
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Invalid(f"{twice!a:.60} comes more than once", where="body")
    try:
        return model.model_validate({name: value for name, value in pairs if value})
    except ValidationError as error:
        raise say_invalid(error) from None


def say_invalid(error: ValidationError) -> Invalid:
    """Say in words what is wrong with a body; what was sent is not repeated."""
    problems: list[Mapping[str, Any]] = list(
        error.errors(include_url=False, include_input=False, include_context=False)
    )
    sentences = [
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: "
        + (problem_words(problem["msg"]) if problem["type"] != _UNKNOWN else "no such field")
        for problem in problems[:5]
    ]
    where = ".".join(str(part) for part in problems[0]["loc"])
    return Invalid("; ".join(sentences), where=f"body: {where}" if where else "body")
