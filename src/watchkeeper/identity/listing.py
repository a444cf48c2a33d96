"""The ways in which an agent may prove itself, as people see them."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from watchkeeper.core.errors import NotFound
from watchkeeper.identity.revocation import Known, public_id
from watchkeeper.identity.tables import agent_keys, credentials
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.agents import CredentialRow

_MOST = 200
_KEYS = Statement(
    select(agent_keys)
    .where(agent_keys.c.agent == bindparam("agent_is"))
    .order_by(agent_keys.c.created_at.desc())
    .limit(_MOST)
)
_SECRETS = Statement(
    select(credentials)
    .where(
        credentials.c.agent == bindparam("agent_is"), credentials.c.expires_at > bindparam("now")
    )
    .order_by(credentials.c.created_at.desc())
    .limit(_MOST)
)
_KEY = Statement(select(agent_keys).where(agent_keys.c.key == bindparam("key_is")))
_SECRET = Statement(
    select(credentials).where(
        credentials.c.secret_hash >= bindparam("first"),
        credentials.c.secret_hash < bindparam("last"),
    )
)
_HASH_PART = 16


def list_credentials(tx: Transaction, agent: str) -> list[CredentialRow]:
    """Return an agent's keys, credentials and access tokens that have not expired."""
    rows = [
        CredentialRow(
            id=public_id("key", row.key),
            agent=row.agent,
            kind="key",
            algorithm=row.algorithm,
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
        )
        for row in _KEYS.all(tx, agent_is=agent)
    ]
    rows += [
        CredentialRow(
            id=public_id("credential", row.secret_hash),
            agent=row.agent,
            kind="secret" if row.kind is None else "access token",
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
        )
        for row in _SECRETS.all(tx, agent_is=agent, now=tx.now)
    ]
    return rows


def find_listed(tx: Transaction, listed: str) -> Known:
    """Return what an id of the list stands for; raise `NotFound` if it stands for nothing."""
    kind, _, name = listed.partition("_")
    if kind == "key" and (row := _KEY.first(tx, key_is=name)) is not None:
        return Known("key", row.key, row.agent, row.revoked_at)
    if kind == public_id("credential", "")[:3] and len(name) == _HASH_PART:
        rows = _SECRET.all(tx, first=name, last=name + "g")
        if len(rows) == 1:
            return Known("credential", rows[0].secret_hash, rows[0].agent, rows[0].revoked_at)
    raise NotFound(
        f"there is no credential {listed!a:.80}", remedy="see `watchkeeper identity list AGENT`"
    )
