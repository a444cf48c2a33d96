"""Forgetting secrets that open nothing any more."""

from __future__ import annotations

from sqlalchemy import bindparam, delete

from watchkeeper.identity.tables import (
    agent_keys,
    agent_of,
    assertions,
    credentials,
    enrolments,
    login_challenges,
    person_tokens,
    run_tokens,
    signing_keys,
    token_uses,
)
from watchkeeper.store.retention import is_held
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

_PURGES = (
    *(
        Statement(delete(table).where(table.c.expires_at < bindparam("before")))
        for table in (assertions, token_uses, person_tokens, login_challenges)
    ),
    *(
        Statement(
            delete(table).where(
                table.c.expires_at < bindparam("before"), ~is_held(agent=table.c.agent)
            )
        )
        for table in (enrolments, credentials, agent_keys)
    ),
    Statement(
        delete(run_tokens).where(
            run_tokens.c.expires_at < bindparam("before"),
            ~is_held(run=run_tokens.c.run, agent=agent_of(run_tokens)),
        )
    ),
)
_PURGE_KEYS = Statement(
    delete(signing_keys).where(signing_keys.c.published_until < bindparam("before"))
)


def purge_expired(tx: Transaction, before: int) -> int:
    """Delete every token, credential and enrolment secret that expired before a time.

    What is held of an agent or a run stays, and opens nothing. Returns how many.
    """
    tx.silent("what has expired carries no authority; that it was issued is on record")
    _PURGE_KEYS.run(tx, before=before)
    return sum(purge.run(tx, before=before) for purge in _PURGES)
