"""Logging in with an SSH key: a challenge that is signed once, and becomes a token."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select

from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Unauthenticated
from watchkeeper.identity.tables import login_challenges
from watchkeeper.store.journal import events
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

CHALLENGE_SECONDS = 60

_ADD = Statement(login_challenges.insert())
_TAKE = Statement(
    delete(login_challenges).where(
        login_challenges.c.nonce_hash == bindparam("hash_is"),
        login_challenges.c.person == bindparam("person_is"),
        login_challenges.c.expires_at > bindparam("now"),
    )
)
_FIRST = Statement(select(events.c.chain_hash).order_by(events.c.sequence).limit(1))


def plane_id(tx: Transaction) -> str:
    """Return what tells this plane's ledger from every other: the hash of its first entry."""
    return f"plane-{str(_FIRST.scalar(tx) or '')[:32]}"


def make_challenge(tx: Transaction, person: str) -> tuple[str, int]:
    """Return a nonce for somebody to sign, and when it expires, in microseconds.

    Nothing tells whether there is such a person.
    """
    nonce = ids.secret("wkn")
    expires_at = tx.now + CHALLENGE_SECONDS * MICROSECONDS
    _ADD.run(tx, nonce_hash=ids.hash_secret(nonce), person=person, expires_at=expires_at)
    tx.silent("a challenge grants nothing; what is made of it is recorded")
    return nonce, expires_at


def take_challenge(tx: Transaction, person: str, nonce: str) -> bool:
    """Use up a challenge; tell whether it was this person's and still good."""
    tx.silent("the login that follows is recorded")
    return _TAKE.run(tx, hash_is=ids.hash_secret(nonce), person_is=person, now=tx.now) == 1


def refused() -> Unauthenticated:
    """Return the one answer to every login that fails, whatever was wrong."""
    return Unauthenticated(
        "the login is refused",
        rule="identity/login",
        remedy="ask whether your document names this key or account; with --ssh say who you are "
        "with --as NAME where your account here has another name",
    )
