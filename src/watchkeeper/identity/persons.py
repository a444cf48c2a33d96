"""People's tokens for remote consoles; on the machine itself the socket tells who it is."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select

from watchkeeper.core import ids
from watchkeeper.core.errors import NotFound, Unauthenticated
from watchkeeper.identity.revocation import take_back
from watchkeeper.identity.tables import person_tokens
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.people import Via

OWN_ROLES = "*"
"""Instead of a role: the token carries whatever the person's document grants."""
MOST_LISTED = 500

_ADD = Statement(person_tokens.insert())
_FIND = Statement(select(person_tokens).where(person_tokens.c.secret_hash == bindparam("hash_is")))
_BY_ID = Statement(select(person_tokens).where(person_tokens.c.id == bindparam("id_is")))
_LIVE = Statement(
    select(person_tokens)
    .where(person_tokens.c.expires_at > bindparam("now"), person_tokens.c.revoked_at.is_(None))
    .order_by(person_tokens.c.created_at.desc())
    .limit(MOST_LISTED)
)
_OF_PERSON = Statement(
    select(person_tokens.c.secret_hash).where(
        person_tokens.c.person == bindparam("person_is"), person_tokens.c.revoked_at.is_(None)
    )
)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token in clear: shown once, hashed at rest. `expires_at` in microseconds."""

    id: str
    secret: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a live token says of its bearer."""

    id: str | None
    person: str
    role: str
    via: Via
    proof: str | None
    """Digest of the key or subject that the person logged in with."""
    expires_at: int


def issue_token(
    tx: Transaction,
    person: str,
    role: str,
    *,
    ttl_seconds: int,
    actor: str,
    via: Via = "token",
    proof: str | None = None,
) -> IssuedToken:
    """Make a bearer token for a person that carries an operator role, or `OWN_ROLES`."""
    secret, token = ids.secret("wkp"), tx.new_id("ptk")
    expires_at = tx.now + ttl_seconds * 1_000_000
    _ADD.run(
        tx,
        secret_hash=ids.hash_secret(secret),
        person=person,
        permission=role,
        created_at=tx.now,
        expires_at=expires_at,
        revoked_at=None,
        id=token,
        via=via,
        proof=proof,
    )
    tx.record(
        "person.token_issued" if via == "token" else "person.logged_in",
        actor=actor,
        subject=f"person/{person}",
        body={"permission": role, "expires_at": expires_at, "token": token, "via": via},
    )
    return IssuedToken(token, secret, expires_at)


def facts_of_token(tx: Transaction, secret: str) -> TokenFacts:
    """Return what a person's token says; raise `Unauthenticated` if it opens nothing."""
    row = _FIND.first(tx, hash_is=ids.hash_secret(secret))
    if row is None or row.revoked_at is not None or tx.now >= row.expires_at:
        raise Unauthenticated(
            "the person token is unknown, revoked or expired",
            rule="identity/person-token",
            remedy="log in again with `watchkeeper login`, or ask the owner for a new token",
        )
    return TokenFacts(
        row.id, row.person, row.permission, row.via or "token", row.proof, row.expires_at
    )


def list_tokens(tx: Transaction) -> list[Row]:
    """Return the tokens that are neither revoked nor expired, newest first; at most 500."""
    return _LIVE.all(tx, now=tx.now)


def revoke_token(tx: Transaction, token: str, *, actor: str) -> None:
    """End a token and what was got with it at once; again, it changes nothing.

    Raises `NotFound` for no such id.
    """
    row = _BY_ID.first(tx, id_is=token)
    if row is None:
        raise NotFound(f"there is no token {token!r:.60}", remedy="see `watchkeeper tokens list`")
    if take_back(tx, "person", row.secret_hash) == 0:
        tx.silent("it was revoked before")
        return
    tx.record(
        "person.token_revoked",
        actor=actor,
        subject=f"person/{row.person}",
        body={"token": token, "via": row.via},
    )


def revoke_tokens_of(tx: Transaction, person: str, *, actor: str) -> int:
    """End every token of a person with what was got with them; return how many the person had."""
    tokens = _OF_PERSON.all(tx, person_is=person)
    for row in tokens:
        take_back(tx, "person", row.secret_hash)
    ended = len(tokens)
    if ended:
        tx.record(
            "person.tokens_revoked",
            actor=actor,
            subject=f"person/{person}",
            body={"tokens": ended},
        )
    return ended
