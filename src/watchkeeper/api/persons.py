"""People's tokens: issuing, listing and ending them; who has a document."""

from __future__ import annotations

from watchkeeper.api.callers import roles_in_words
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import Invalid
from watchkeeper.identity import persons
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.pages import Page
from watchkeeper.wire.people import IssueToken, PersonRow, PersonToken, RevokeToken, TokenRow


async def issue(call: Call) -> PersonToken:
    """Issue a bearer token for a person; it is shown once."""
    body: IssueToken = call.body
    known = call.rooms.view.now.operator_roles
    if body.permission not in known:
        raise Invalid(
            f"there is no operator role {body.permission!r:.70}",
            where="body: permission",
            remedy="known here: " + ", ".join(sorted(known)),
        )
    issued = await call.rooms.store.write(
        lambda tx: persons.issue_token(
            tx,
            body.person,
            body.permission,
            ttl_seconds=body.ttl_seconds,
            actor=call.actor,
        )
    )
    return show_issued(body.person, issued)


def show_issued(person: str, issued: persons.IssuedToken) -> PersonToken:
    """Return a token in clear, as its bearer sees it once."""
    return PersonToken(
        person=person, token=issued.secret, expires_at=issued.expires_at, id=issued.id
    )


async def list_tokens(call: Call) -> Page[TokenRow]:
    """List the tokens that open something, newest first."""
    head = call.rooms.store.head
    rows = await call.rooms.store.read(persons.list_tokens)
    shown = tuple(_show(row, call.who.token) for row in rows)
    return Page[TokenRow](rows=shown, total=len(shown), sequence=head)


def _show(row: Row, current: str | None) -> TokenRow:
    return TokenRow(
        id=row.id or "",
        person=row.person,
        role=row.permission,
        via=row.via or "token",
        created_at=row.created_at,
        expires_at=row.expires_at,
        current=row.id is not None and row.id == current,
    )


async def revoke(call: Call) -> None:
    """End a token; from this answer on it opens nothing."""
    body: RevokeToken = call.body
    await call.rooms.store.write(lambda tx: persons.revoke_token(tx, body.id, actor=call.actor))


async def log_out(call: Call) -> None:
    """End the token that this call was made with."""
    token = call.who.token
    if token is None:
        raise Invalid(
            "the socket needs no login, so there is none to end",
            remedy="log out of a remote plane: `watchkeeper --connect URL logout`",
        )
    await call.rooms.store.write(lambda tx: persons.revoke_token(tx, token, actor=call.actor))


async def list_people(call: Call) -> Page[PersonRow]:
    """List the people who have a document, by name."""
    catalogue, head = call.rooms.view.now, call.rooms.store.head

    def query(tx: Transaction) -> dict[str, int]:
        counts: dict[str, int] = {}
        for row in persons.list_tokens(tx):
            counts[row.person] = counts.get(row.person, 0) + 1
        return counts

    tokens = await call.rooms.store.read(query)
    rows = []
    for name, document in sorted(catalogue.people.items()):
        held = catalogue.permissions_of(name)
        rows.append(
            PersonRow(
                name=name,
                roles=roles_in_words(catalogue, name),
                permissions=tuple(sorted(held.anywhere())) if held else (),
                ssh_keys=len(document.ssh_keys),
                oidc=tuple(one.issuer for one in document.oidc),
                tokens=tokens.get(name, 0),
            )
        )
    return Page[PersonRow](rows=tuple(rows), total=len(rows), sequence=head)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/persons",
        "tokens",
        list_people,
        "List the people who have a document, and what it lets them do.",
        answers=Page[PersonRow],
        tags=("people",),
    ),
    Operation(
        "POST",
        "/v1/persons/tokens",
        "issue-tokens",
        issue,
        "Issue a bearer token for a person's remote console.",
        answers=PersonToken,
        takes=IssueToken,
        tags=("people",),
    ),
    Operation(
        "GET",
        "/v1/persons/tokens",
        "tokens",
        list_tokens,
        "List people's tokens that are neither expired nor revoked.",
        answers=Page[TokenRow],
        tags=("people",),
    ),
    Operation(
        "POST",
        "/v1/persons/tokens/revoke",
        "tokens",
        revoke,
        "End a person's token at once.",
        takes=RevokeToken,
        tags=("people",),
    ),
    Operation(
        "POST",
        "/v1/logout",
        "person",
        log_out,
        "End the token that this call is made with.",
        looks_only=True,
        tags=("people",),
    ),
)
