"""Forgetting secrets that open nothing any more."""

from __future__ import annotations

from sqlalchemy import bindparam, delete

from watchkeeper.identity.tables import credentials, enrolments, person_tokens, run_tokens
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

_PURGES = tuple(
    Statement(delete(table).where(table.c.expires_at < bindparam("before")))
    for table in (run_tokens, enrolments, credentials, person_tokens)
)


def purge_expired(tx: Transaction, before: int) -> int:
    """Delete every token, credential and enrolment secret that expired before a time.

    Returns how many.
    """
    tx.silent("what has expired carries no authority; that it was issued is on record")
    return sum(purge.run(tx, before=before) for purge in _PURGES)
