"""Enrolment: a one-time secret becomes the agent's credential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import bindparam, select, update

from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Unauthenticated
from watchkeeper.identity.model import Workload
from watchkeeper.identity.tables import credentials, enrolments
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

CREDENTIAL_SECONDS = 30 * 86_400
"""How long an agent's credential lives before it must be enrolled again."""

_ADD_ENROLMENT = Statement(enrolments.insert())
_ADD_CREDENTIAL = Statement(credentials.insert())
_REDEEM = Statement(
    update(enrolments)
    .where(
        enrolments.c.secret_hash == bindparam("hash_is"),
        enrolments.c.redeemed_at.is_(None),
        enrolments.c.expires_at > bindparam("now"),
    )
    .values(redeemed_at=bindparam("redeemed"))
)
_ENROLMENT = Statement(
    select(enrolments.c.agent).where(enrolments.c.secret_hash == bindparam("hash_is"))
)
_CREDENTIAL = Statement(
    select(
        credentials.c.agent,
        credentials.c.expires_at,
        credentials.c.revoked_at,
        credentials.c.kind,
    ).where(credentials.c.secret_hash == bindparam("hash_is"))
)


@dataclass(frozen=True, slots=True)
class Issued:
    """A secret in clear, shown once. `expires_at` in microseconds."""

    agent: str
    secret: str
    expires_at: int


def enrol(tx: Transaction, agent: str, *, ttl_seconds: int, actor: str) -> Issued:
    """Make a one-time enrolment secret for an agent."""
    secret = ids.secret("wke")
    expires_at = tx.now + ttl_seconds * MICROSECONDS
    _ADD_ENROLMENT.run(
        tx,
        secret_hash=ids.hash_secret(secret),
        agent=agent,
        created_at=tx.now,
        expires_at=expires_at,
        redeemed_at=None,
    )
    tx.record(
        "agent.enrolment_issued",
        actor=actor,
        subject=f"agent/{agent}",
        agent=agent,
        body={"expires_at": expires_at},
    )
    return Issued(agent, secret, expires_at)


def redeem_enrolment(tx: Transaction, secret: str) -> Issued:
    """Exchange a one-time secret for a credential; raise `Unauthenticated` if it is spent."""
    agent = spend(tx, secret)
    credential = ids.secret("wka")
    expires_at = tx.now + CREDENTIAL_SECONDS * MICROSECONDS
    _ADD_CREDENTIAL.run(
        tx,
        secret_hash=ids.hash_secret(credential),
        agent=agent,
        created_at=tx.now,
        expires_at=expires_at,
        revoked_at=None,
        kind=None,
        parent=None,
    )
    record_enrolled(tx, agent, {"expires_at": expires_at})
    return Issued(agent, credential, expires_at)


def record_enrolled(tx: Transaction, agent: str, body: Mapping[str, object]) -> None:
    """Record that an agent's one-time secret was redeemed."""
    tx.record(
        "agent.enrolled",
        actor=f"agent/{agent}",
        subject=f"agent/{agent}",
        agent=agent,
        body=body,
    )


def spend(tx: Transaction, secret: str) -> str:
    """Take a one-time secret and return its agent; raise `Unauthenticated` if it is spent."""
    hashed = ids.hash_secret(secret)
    if _REDEEM.run(tx, hash_is=hashed, now=tx.now, redeemed=tx.now) != 1:
        raise Unauthenticated(
            "the enrolment secret is unknown, used or expired",
            rule="identity/enrolment",
            remedy="make a new one with `watchkeeper enroll AGENT`",
        )
    return str(_ENROLMENT.scalar(tx, hash_is=hashed))


def agent_of(tx: Transaction, credential: str) -> str:
    """Return the agent a credential belongs to; raise `Unauthenticated` otherwise."""
    return workload_of(tx, credential).agent


def workload_of(tx: Transaction, credential: str, *, enrolled: bool = False) -> Workload:
    """Return the agent that shows a credential or access token; raise `Unauthenticated`.

    With `enrolled` a short-lived access token won't do: it would renew itself for ever.
    """
    hashed = ids.hash_secret(credential)
    row = _CREDENTIAL.first(tx, hash_is=hashed)
    if row is None or row.revoked_at is not None or tx.now >= row.expires_at:
        raise Unauthenticated(
            "the agent credential is unknown, revoked or expired",
            rule="identity/credential",
            remedy="enrol the agent again with `watchkeeper enroll AGENT`",
        )
    if enrolled and row.kind is not None:
        raise Unauthenticated(
            "an access token can't be exchanged for another",
            rule="identity/credential",
            remedy="prove the agent with its credential, its key or its issuer's token",
        )
    return Workload(str(row.agent), hashed)


def issue_access(tx: Transaction, workload: Workload, *, ttl_seconds: int) -> Issued:
    """Issue a short-lived token that opens runs, to an agent that proved itself."""
    token = ids.secret("wka")
    expires_at = tx.now + ttl_seconds * MICROSECONDS
    _ADD_CREDENTIAL.run(
        tx,
        secret_hash=ids.hash_secret(token),
        agent=workload.agent,
        created_at=tx.now,
        expires_at=expires_at,
        revoked_at=None,
        kind="access",
        parent=workload.proof,
    )
    tx.record(
        "agent.token_issued",
        actor=f"agent/{workload.agent}",
        subject=f"agent/{workload.agent}",
        agent=workload.agent,
        body={"expires_at": expires_at},
    )
    return Issued(workload.agent, token, expires_at)
