"""Key pairs that agents prove themselves with: registered at enrolment (RFC 7523, 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, select

from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Conflict, Invalid, Unauthenticated
from watchkeeper.identity.enrolment import record_enrolled, spend
from watchkeeper.identity.jwt import Claims, PublicKey, import_public, read_key
from watchkeeper.identity.model import Workload
from watchkeeper.identity.tables import agent_keys, assertions
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction

KEY_SECONDS = 365 * 86_400
"""How long a registered key is taken before the agent must be enrolled again."""
ASSERTION_SECONDS = 300
"""How long a client assertion may be valid at most."""
ALGORITHMS = ("EdDSA", "ES256")
_KEPT_SECONDS = 60

_ADD = Statement(agent_keys.insert())
_FIND = Statement(select(agent_keys).where(agent_keys.c.key == bindparam("key_is")))
_OF_AGENT = Statement(
    select(agent_keys).where(
        agent_keys.c.agent == bindparam("agent_is"),
        agent_keys.c.revoked_at.is_(None),
        agent_keys.c.expires_at > bindparam("now"),
    )
)
_TAKE = Statement(
    insert(assertions)
    .values(issuer=bindparam("issuer"), jti=bindparam("jti"), expires_at=bindparam("expires_at"))
    .on_conflict_do_nothing(index_elements=["issuer", "jti"])
)


def check_key(jwk: Mapping[str, Any]) -> tuple[str, PublicKey]:
    """Return a public key with its thumbprint (RFC 7638); raise `Invalid` for any other.

    The library must be loaded (`issuers.load_library`).
    """
    members = {name: jwk[name] for name in ("kty", "crv", "x", "y", "d", "k") if name in jwk}
    try:
        key = read_key(members)
        if key is None or not set(key.algorithms) & set(ALGORITHMS):
            raise Invalid("the key is neither Ed25519 nor P-256")
        return import_public(key).thumbprint(), key
    except Invalid as error:
        raise Invalid(
            error.message,
            where="body: jwk",
            rule="identity/key",
            remedy="send the public half as a JWK: kty OKP with crv Ed25519, or EC with P-256",
        ) from None


def register(tx: Transaction, secret: str, thumbprint: str, key: PublicKey) -> tuple[str, int]:
    """Redeem a one-time secret for a public key; return the agent and the key's expiry."""
    agent = spend(tx, secret)
    if _FIND.first(tx, key_is=thumbprint) is not None:
        raise Conflict(
            "this key was registered before",
            code="key_known",
            rule="identity/key",
            remedy="make a new key pair; the enrolment secret is still good",
        )
    expires_at = tx.now + KEY_SECONDS * MICROSECONDS
    algorithm = next(name for name in ALGORITHMS if name in key.algorithms)
    _ADD.run(
        tx,
        key=thumbprint,
        agent=agent,
        algorithm=algorithm,
        jwk=canonical(dict(key.jwk)).decode(),
        created_at=tx.now,
        expires_at=expires_at,
        revoked_at=None,
    )
    record_enrolled(tx, agent, {"expires_at": expires_at, "key": thumbprint})
    return agent, expires_at


def keys_of(tx: Transaction, agent: str) -> tuple[PublicKey, ...]:
    """Return the keys that an agent may sign with now; each is known by its thumbprint."""
    return tuple(
        PublicKey(row.key, _names(row.algorithm), parse(row.jwk))
        for row in _OF_AGENT.all(tx, agent_is=agent, now=tx.now)
    )


def _names(algorithm: str) -> tuple[str, ...]:
    return ("EdDSA", "Ed25519") if algorithm == "EdDSA" else (algorithm,)


def take_assertion(tx: Transaction, claims: Claims) -> None:
    """Note that an assertion was used; raise `Unauthenticated` if it was used before."""
    if claims.jti is None:
        raise _refused("it has no jti, so nobody could tell when it is used twice")
    taken = _TAKE.run(
        tx,
        issuer=claims.issuer,
        jti=ids.hash_secret(claims.jti),
        expires_at=claims.expires_at + _KEPT_SECONDS * MICROSECONDS,
    )
    if taken != 1:
        raise _refused("it was used before")


def still_valid(tx: Transaction, agent: str, thumbprint: str) -> Workload:
    """Return the agent as its key proves it, in this transaction; raise `Unauthenticated`."""
    row = _FIND.first(tx, key_is=thumbprint)
    if row is None or row.agent != agent or row.revoked_at is not None or tx.now >= row.expires_at:
        raise _refused("its key was revoked")
    return Workload(agent, thumbprint)


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(f"the assertion is refused: {why}", rule="identity/assertion")
