"""AuthZEN's draft access-request profile: asking for the approval that an evaluation lacked.

The task is the approval request itself. Idempotency keys are remembered by one plane while it
runs; the request is opened once for an action whatever the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from watchkeeper.api.authzen_exchange import answering, as_json, read_body
from watchkeeper.api.authzen_seeking import Asker, find_asker, may_see, seek
from watchkeeper.api.table import Call, Operation, say_invalid
from watchkeeper.core import ids
from watchkeeper.core.clock import utc_text
from watchkeeper.core.digest import digest
from watchkeeper.core.errors import Conflict, Invalid, NotFound
from watchkeeper.decide.access import InvalidBinding, find_request, request_approval
from watchkeeper.identity.rules import check_token
from watchkeeper.identity.runs import facts_of
from watchkeeper.store.statement import Row
from watchkeeper.wire.authzen import AccessRequest, Task, TaskShown, TaskStatus
from watchkeeper.wire.decisions import Ask

REQUESTS = "/access/v1/requests"
_MOST_KEYS = 10_000
_LONGEST_KEY = 255
_STATUS: Mapping[str, TaskStatus] = {
    "pending": "pending",
    "approved": "approved",
    "redeemed": "approved",
    "succeeded": "approved",
    "failed": "approved",
    "unknown": "approved",
    "denied": "denied",
    "expired": "expired",
    "lapsed": "expired",
    "revoked": "cancelled",
    "cancelled": "cancelled",
    "superseded": "cancelled",
}


@answering
async def submit(call: Call) -> Response:
    """Open the approval request that a denied evaluation needs (bearer: the run's token)."""
    token = call.token
    run = await call.rooms.store.read(lambda tx: check_token(facts_of(tx, token), tx.now))
    body = await read_body(call, AccessRequest)
    bound = call.rooms.bindings.read(body.denial.binding_token)
    key = call.request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= _LONGEST_KEY:
        raise Invalid(
            f"an Idempotency-Key has 1 to {_LONGEST_KEY} characters",
            where="header: idempotency-key",
        )
    known, meant = call.rooms.access_keys, _meant(body)
    place = f"{run.run} {key}"
    if key is not None and known.get(place, meant) != meant:
        raise Conflict(
            "this Idempotency-Key was used for another request", code="duplicate_request"
        )
    sought = await call.rooms.store.read(lambda tx: seek(call, tx, Asker(run.agent, run), body))
    if sought.problem is not None:
        raise InvalidBinding(sought.problem)
    action = sought.action
    try:
        ask = Ask(
            kind=action.kind,
            name=action.name,
            arguments=dict(action.arguments),
            estimate=action.estimate,
            explanation=_words(body.context.get("business_justification")),
            fulfils=action.fulfils,
            traceparent=call.caller.text() if call.caller else None,
        )
    except ValidationError as error:
        raise say_invalid(error) from None
    request = await request_approval(call.rooms.decider, token, ask, bound)
    row = await call.rooms.store.read(lambda tx: find_request(tx, request))
    assert row is not None
    if key is not None:
        known[place] = meant
        if len(known) > _MOST_KEYS:
            del known[next(iter(known))]
    shown = _task(call, row)
    status = 202 if shown.task.status == "pending" else 201
    return as_json(shown, status, {"location": shown.task.status_endpoint})


@answering
async def task(call: Call) -> Response:
    """Show how an access request stands, to its run or its agent."""
    asker = await find_asker(call)
    name = call.path("request")
    row = None
    if ids.is_id(name):
        row = await call.rooms.store.read(lambda tx: find_request(tx, name))
    if row is None or not may_see(call, asker, row):
        raise NotFound("there is no such task, or it is not yours", code="unknown_task")
    return as_json(_task(call, row))


def _task(call: Call, row: Row) -> TaskShown:
    status = _STATUS[row.state]
    result = None
    if status == "approved" and row.grant_expires_at is not None:
        result = {
            "mode": "reevaluate",
            "approval": {
                "id": row.request,
                "approved_at": utc_text(row.decided_at),
                "approved_until": utc_text(row.grant_expires_at),
            },
        }
    return TaskShown(
        task=Task(
            id=row.request,
            status=status,
            status_endpoint=f"{call.rooms.http}{REQUESTS}/{row.request}",
            expires_at=utc_text(row.grant_expires_at or row.decide_by),
            progress={"current_step": row.level, "step_name": row.role}
            if status == "pending"
            else None,
        ),
        result=result,
    )


def _meant(body: AccessRequest) -> str:
    return digest("watchkeeper/access-request/v1", body.model_dump(mode="json"))


def _words(said: Any) -> str | None:
    return said[:2000] if isinstance(said, str) else None


OPERATIONS = (
    Operation(
        "POST",
        REQUESTS,
        "agent",
        submit,
        "AuthZEN (draft profile): ask for the approval that an evaluation lacked.",
        answers=TaskShown,
        reads=AccessRequest,
        status=202,
        tags=("authzen",),
    ),
    Operation(
        "GET",
        REQUESTS + "/{request}",
        "agent",
        task,
        "AuthZEN (draft profile): how an access request stands.",
        answers=TaskShown,
        tags=("authzen",),
    ),
)
