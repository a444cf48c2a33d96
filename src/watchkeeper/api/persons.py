"""People's tokens for remote consoles."""

from __future__ import annotations

from watchkeeper.api.table import Call, Operation
from watchkeeper.identity.persons import issue_token
from watchkeeper.wire.plane import IssueToken, PersonToken


async def issue(call: Call) -> PersonToken:
    """Issue a bearer token for a person; it is shown once."""
    body: IssueToken = call.body
    token, expires_at = await call.rooms.store.write(
        lambda tx: issue_token(
            tx,
            body.person,
            body.permission,
            ttl_seconds=body.ttl_seconds,
            actor=call.actor,
        )
    )
    return PersonToken(person=body.person, token=token, expires_at=expires_at)


OPERATIONS = (
    Operation(
        "POST",
        "/v1/persons/tokens",
        "owner",
        issue,
        "Issue a bearer token for a person's remote console.",
        answers=PersonToken,
        takes=IssueToken,
        tags=("people",),
    ),
)
