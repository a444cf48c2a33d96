"""The summary of a shift until now, generated from one snapshot of the plane."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

from watchkeeper.budgets.model import Cap
from watchkeeper.core.digest import digest
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.people.handover.requests import (
    alone_requests,
    decided_requests,
    ended_requests,
    open_requests,
)
from watchkeeper.decide.people.handover.scope import find_scope
from watchkeeper.decide.people.handover.surroundings import (
    budgets_of,
    coverage_of,
    deliveries_of,
    locks_of,
    tools_of,
    watch_out,
)
from watchkeeper.decide.people.handover.text import write_text
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.handover import HandoverDraft


def draft(
    tx: Transaction,
    catalogue: Catalogue,
    *,
    person: str,
    names: Set[str],
    owner: bool,
    role: str | None,
    schedule: str | None,
    caps: Sequence[Cap],
    sequence: int,
    agents: frozenset[str] | None = None,
) -> HandoverDraft:
    """Generate what a person, called by any of `names`, hands over.

    `caps` are the budgets in force, `sequence` is the newest event that is taken in, `agents`,
    where given, are the only ones whose requests are told of. Raises as `find_scope`. Takes a
    while where there is much: not for a unit of work that others wait behind.
    """
    scope = replace(
        find_scope(
            tx,
            catalogue,
            person=person,
            names=names,
            owner=owner,
            role=role,
            schedule=schedule,
        ),
        agents=agents,
    )
    sections = (
        open_requests(tx, scope),
        decided_requests(tx, scope),
        alone_requests(tx, scope),
        ended_requests(tx, scope),
        locks_of(tx, scope),
        budgets_of(tx, caps),
        tools_of(catalogue),
        deliveries_of(tx),
        coverage_of(scope, tx.now),
        watch_out(tx, scope),
    )
    text = write_text(
        scope.name,
        by=person,
        since=scope.since,
        until=tx.now,
        due_at=scope.due_at,
        next_people=scope.next,
        sections=sections,
    )
    return HandoverDraft(
        role=scope.role,
        schedule=scope.schedule,
        since=scope.since,
        until=tx.now,
        sequence=sequence,
        by=person,
        next=scope.next,
        due_at=scope.due_at,
        sections=sections,
        text=text,
        digest=text_digest(text),
    )


def text_digest(text: str) -> str:
    """Return the digest of a hand-over's text; blank ends do not count."""
    return digest("watchkeeper/handover-text/v1", text.strip())
