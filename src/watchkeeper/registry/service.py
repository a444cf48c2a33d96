"""Applying documents and reading what is in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from sqlalchemy import bindparam, func, select, update

from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.registry.documents import KINDS
from watchkeeper.registry.rules import Change, InForce, Key, plan, plan_digest
from watchkeeper.registry.source import Sourced
from watchkeeper.registry.tables import documents
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

_CURRENT = Statement(
    select(documents).where(documents.c.current == 1).order_by(documents.c.kind, documents.c.name)
)
_NEWEST_VERSION = Statement(
    select(func.max(documents.c.version)).where(
        documents.c.kind == bindparam("kind_is"),
        documents.c.name == bindparam("name_is"),
    )
)
_RETIRE = Statement(
    update(documents)
    .where(
        documents.c.kind == bindparam("kind_is"),
        documents.c.name == bindparam("name_is"),
        documents.c.current == 1,
    )
    .values(current=0)
)
_VERSIONS = Statement(
    select(documents).where(
        documents.c.kind == bindparam("kind_is"), documents.c.name == bindparam("name_is")
    )
)
_INSERT = Statement(documents.insert())


def read_standing(tx: Transaction) -> dict[Key, InForce]:
    """Return every document in force.

    Raises `Conflict` for one that this program does not take: to leave it out could open what
    it closed.
    """
    standing: dict[Key, InForce] = {}
    for row in _CURRENT.all(tx):
        try:
            document = KINDS[row.kind].model_validate(parse(row.body))
        except (KeyError, ValidationError) as error:
            problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "unknown"
            raise Conflict(
                f"{row.kind} {row.name!r} was applied by another version of Watchkeeper and does "
                f"not hold here: {problem}",
                code="document_refused",
                where=row.path,
                remedy="start the version that applied it, correct the document there, apply it",
            ) from None
        standing[(row.kind, row.name)] = InForce(
            row.kind, row.name, row.version, row.digest, row.path, row.text, document
        )
    return standing


def apply(
    tx: Transaction,
    wanted: Sequence[Sourced],
    *,
    actor: str,
    prune: bool = False,
    seen_plan: str | None = None,
) -> list[Change]:
    """Put documents in force and return what changed.

    `seen_plan` is the digest of the plan a person saw: raises `Conflict` if the plan has
    changed since.
    """
    standing = read_standing(tx)
    changes = plan(wanted, standing, prune=prune)
    if seen_plan is not None and plan_digest(changes) != seen_plan:
        raise Conflict(
            "the plan has changed since it was shown",
            code="plan_changed",
            remedy="plan again and look at the difference",
        )
    for change in changes:
        if change.change != "unchanged":
            _put_in_force(tx, change, standing, actor)
    return changes


def find_version(
    tx: Transaction, kind: str, name: str, *, to: int | None, seen: int
) -> tuple[Sourced, int]:
    """Return an earlier version of a document in force, as its file was read, and its number.

    `to` is the one before the version in force when None. Raises `NotFound` for a document or
    version that there is not; `Conflict` if `seen` is not in force any more, or `to` means
    what is in force already.
    """
    rows = {row.version: row for row in _VERSIONS.all(tx, kind_is=kind, name_is=name)}
    current = next((row for row in rows.values() if row.current), None)
    if current is None:
        raise NotFound(f"no {kind} {name!r:.80} is in force")
    if current.version != seen:
        raise Conflict(
            f"version {current.version} is in force, not {seen}",
            code="version_changed",
            remedy="look at it again before you go back",
        )
    earlier = [version for version in rows if version < current.version]
    wanted = to if to is not None else max(earlier, default=None)
    if wanted is None or wanted not in rows:
        raise NotFound(
            f"{kind} {name!r} has no version {wanted}" if wanted else "there is no earlier version",
            remedy=f"versions: {', '.join(map(str, sorted(rows)))}"[:400],
        )
    row = rows[wanted]
    if row.digest == current.digest:
        raise Conflict(
            f"version {wanted} says what is in force already",
            code="unchanged",
            remedy="go back to a version that says something else",
        )
    body = parse(row.body)
    document = KINDS[kind].model_validate(body)
    return Sourced(kind, name, row.path, row.text, body, document), wanted


def _put_in_force(
    tx: Transaction, change: Change, standing: Mapping[Key, InForce], actor: str
) -> None:
    newest = _NEWEST_VERSION.scalar(tx, kind_is=change.kind, name_is=change.name) or 0
    _RETIRE.run(tx, kind_is=change.kind, name_is=change.name)
    version = newest
    if change.wanted is not None:
        version = newest + 1
        _INSERT.run(
            tx,
            kind=change.kind,
            name=change.name,
            version=version,
            digest=change.digest,
            path=change.path,
            text=change.wanted.text,
            body=canonical(change.wanted.body).decode(),
            current=1,
            applied_at=tx.now,
            applied_by=actor,
        )
    tx.record(
        f"{change.kind}.{'removed' if change.change == 'delete' else 'applied'}",
        actor=actor,
        subject=f"{change.kind}/{change.name}",
        agent=change.name if change.kind == "agent" else None,
        body={
            "change": change.change,
            "version": version,
            "digest": change.digest,
            "replaces": old.digest if (old := standing.get((change.kind, change.name))) else None,
        },
    )
