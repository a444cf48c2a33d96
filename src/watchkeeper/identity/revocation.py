"""Taking back: a secret or key with all that was got with it, at once (RFC 7009)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import bindparam, literal, select, union_all, update

from watchkeeper.core import ids
from watchkeeper.identity.tables import agent_keys, credentials, person_tokens, run_tokens, runs
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

Kind = Literal["run", "credential", "person", "key"]


@dataclass(frozen=True, slots=True)
class Known:
    """A secret or key that this plane gave or took: `owner` is a run, an agent or a person."""

    kind: Kind
    name: str
    """Its hash, or the key."""
    owner: str
    revoked_at: int | None


_TABLES = {
    "run": (run_tokens, run_tokens.c.secret_hash, run_tokens.c.run),
    "credential": (credentials, credentials.c.secret_hash, credentials.c.agent),
    "person": (person_tokens, person_tokens.c.secret_hash, person_tokens.c.person),
    "key": (agent_keys, agent_keys.c.key, agent_keys.c.agent),
}
_FIND: dict[Kind, Statement] = {
    kind: Statement(  # type: ignore[misc]
        select(owner.label("owner"), table.c.revoked_at).where(name == bindparam("name_is"))
    )
    for kind, (table, name, owner) in _TABLES.items()
}
_REVOKE: dict[Kind, Statement] = {
    kind: Statement(  # type: ignore[misc]
        update(table)
        .where(name == bindparam("name_is"), table.c.revoked_at.is_(None))
        .values(revoked_at=bindparam("at"))
    )
    for kind, (table, name, _) in _TABLES.items()
}
_GOT_WITH = Statement(
    union_all(
        select(literal("run").label("kind"), run_tokens.c.secret_hash.label("name")).where(
            run_tokens.c.parent == bindparam("name_is")
        ),
        select(literal("credential"), credentials.c.secret_hash).where(
            credentials.c.parent == bindparam("name_is")
        ),
        select(literal("run"), run_tokens.c.secret_hash)
        .select_from(run_tokens.join(runs, runs.c.run == run_tokens.c.run))
        .where(runs.c.proof_hash == bindparam("name_is")),
    )
)
_PREFIXES: dict[str, Kind] = {"wkr_": "run", "wka_": "credential", "wkp_": "person"}


def find_token(tx: Transaction, token: str) -> Known | None:
    """Return what a token in clear is, or None if no such token is kept."""
    kind = _PREFIXES.get(token[:4])
    return None if kind is None else find_known(tx, kind, ids.hash_secret(token))


def find_known(tx: Transaction, kind: Kind, name: str) -> Known | None:
    """Return a secret by its hash, or a key by its thumbprint; None if it is not kept."""
    row = _FIND[kind].first(tx, name_is=name)
    return None if row is None else Known(kind, name, row.owner, row.revoked_at)


def is_revoked(tx: Transaction, name: str, kind: Kind = "person") -> bool:
    """Tell whether a token that a run was opened with was revoked.

    A person's that is not kept any more counts as revoked: nobody can tell.
    """
    found = find_known(tx, kind, name)
    if found is None:
        return kind == "person"
    return found.revoked_at is not None


def revoke(tx: Transaction, known: Known, *, actor: str, reason: str | None = None) -> int:
    """Revoke a secret or key and all that was got with it; return how many were valid.

    Nothing is recorded where nothing was valid.
    """
    tx.silent("what was revoked before, or was got with nothing, changes nothing")
    count = take_back(tx, known.kind, known.name)
    if count:
        _record(tx, known, count, actor, reason)
    return count


def take_back(tx: Transaction, kind: Kind, name: str) -> int:
    """Revoke what :class:`Known` names and all that was got with it; return how many were valid.

    The caller records it.
    """
    done: set[tuple[Kind, str]] = set()
    ahead: list[tuple[Kind, str]] = [(kind, name)]
    count = 0
    while ahead:
        one = ahead.pop()
        if one in done:
            continue
        done.add(one)
        kind, name = one
        count += _REVOKE[kind].run(tx, name_is=name, at=tx.now)
        ahead += [(row.kind, row.name) for row in _GOT_WITH.all(tx, name_is=name)]
    return count


def _record(tx: Transaction, known: Known, count: int, actor: str, reason: str | None) -> None:
    subject = {"run": "run", "person": "person"}.get(known.kind, "agent")
    agent = known.owner if subject == "agent" else None
    tx.record(
        f"{subject}.{'key' if known.kind == 'key' else 'token'}_revoked",
        actor=actor,
        subject=f"{subject}/{known.owner}",
        agent=agent,
        run=known.owner if known.kind == "run" else None,
        body={"kind": known.kind, "id": public_id(known.kind, known.name), "revoked": count,
              **({"reason": reason} if reason else {})},
    )  # fmt: skip


def public_id(kind: Kind, name: str) -> str:
    """Return what a secret or key is called on screens: never enough to use it."""
    return f"key_{name}" if kind == "key" else f"{kind[:3]}_{name[:16]}"
