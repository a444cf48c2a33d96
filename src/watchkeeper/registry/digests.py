"""Digests of documents that were applied, whether or not they still are in force."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from watchkeeper.registry.tables import documents
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

_d = documents.c
_OF = Statement(
    select(_d.digest).where(
        _d.kind == bindparam("kind_is"),
        _d.name == bindparam("name_is"),
        _d.version == bindparam("version_is"),
    )
)
_APPLIED = Statement(
    select(_d.name, _d.version, _d.digest)
    .where(_d.kind == bindparam("kind_is"), _d.applied_at <= bindparam("at"))
    .order_by(_d.name, _d.version)
)


def digest_of(tx: Transaction, kind: str, name: str, version: int | None) -> str | None:
    """Return the digest of one version of a document; None where there is none."""
    found = _OF.scalar(tx, kind_is=kind, name_is=name, version_is=version)
    return None if found is None else str(found)


def applied_by(tx: Transaction, kind: str, at: int) -> dict[str, str]:
    """Return the digest of each document of a kind, in the version applied last by a time."""
    return {row.name: row.digest for row in _APPLIED.all(tx, kind_is=kind, at=at)}
