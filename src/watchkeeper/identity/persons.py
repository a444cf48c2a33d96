"""People's tokens for remote consoles; on the machine itself the socket tells who it is."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from watchkeeper.core import ids
from watchkeeper.core.errors import Unauthenticated
from watchkeeper.identity.model import Person
from watchkeeper.identity.tables import person_tokens
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.plane import Permission

_ADD = Statement(person_tokens.insert())
_FIND = Statement(select(person_tokens).where(person_tokens.c.secret_hash == bindparam("hash_is")))


def issue_token(
    tx: Transaction, person: str, permission: Permission, *, ttl_seconds: int, actor: str
) -> tuple[str, int]:
    """Make a bearer token for a person; return it in clear, once, with its expiry."""
    token = ids.secret("wkp")
    expires_at = tx.now + ttl_seconds * 1_000_000
    _ADD.run(
        tx,
        secret_hash=ids.hash_secret(token),
        person=person,
        permission=permission,
        created_at=tx.now,
        expires_at=expires_at,
        revoked_at=None,
    )
    tx.record(
        "person.token_issued",
        actor=actor,
        subject=f"person/{person}",
        body={"permission": permission, "expires_at": expires_at},
    )
    return token, expires_at


def person_of(tx: Transaction, token: str) -> Person:
    """Return the person a token was issued for; raise `Unauthenticated` otherwise."""
    row = _FIND.first(tx, hash_is=ids.hash_secret(token))
    if row is None or row.revoked_at is not None or tx.now >= row.expires_at:
        raise Unauthenticated(
            "the person token is unknown, revoked or expired",
            rule="identity/person-token",
            remedy="ask the owner of the plane for a new one",
        )
    return Person(row.person, row.permission, "token")
