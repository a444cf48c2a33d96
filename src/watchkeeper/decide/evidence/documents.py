"""The documents that decisions were made under, as they were then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select

from watchkeeper.core.digest import canonical, digest, parse
from watchkeeper.core.errors import Invalid
from watchkeeper.policy.stages import sets_digest
from watchkeeper.registry.documents import KINDS
from watchkeeper.registry.rules import meaning_of
from watchkeeper.registry.tables import documents
from watchkeeper.store.journal import Event, event_from_row, events
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.policy import Stage


@dataclass(slots=True)
class Wanted:
    """What the entries of a bundle rest on, gathered while they are read."""

    versions: set[tuple[str, int]] = field(default_factory=set)
    """Agents with the version of their contract."""
    tools: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Tools, with the first and the last entry that asks for one."""
    policies: dict[str, int] = field(default_factory=dict)
    """Digests of policy sets in force, with the first entry that names one."""

    def hear(self, event: Event, body: Mapping[str, Any]) -> None:
        """Gather from a decision."""
        if event.agent and body.get("version"):
            self.versions.add((event.agent, int(body["version"])))
        if body.get("kind") == "tool":
            first, _ = self.tools.get(body["name"], (event.sequence, 0))
            self.tools[body["name"]] = (first, event.sequence)
        if "policies" in body:
            self.policies.setdefault(body["policies"], event.sequence)


@dataclass(slots=True)
class Snapshots:
    """Documents by kind and digest, sets of policies by digest, and the entries that applied them.

    `missing` says in words what is not there, and why.
    """

    documents: dict[tuple[str, str], bytes] = field(default_factory=dict)
    policies: dict[str, bytes] = field(default_factory=dict)
    applied: set[int] = field(default_factory=set)
    missing: list[tuple[str, str]] = field(default_factory=list)


def take_snapshots(tx: Transaction, wanted: Wanted, upto: int) -> Snapshots:
    """Return what was in force when the decisions were made, of the first `upto` entries."""
    found = Snapshots()
    for agent, version in sorted(wanted.versions):
        _keep(tx, found, "agent", agent, [
            event for event in _changes(tx, "agent", agent, upto)
            if event.type == "agent.applied" and event.body["version"] == version
        ])  # fmt: skip
    for tool, (first, last) in sorted(wanted.tools.items()):
        changes = _changes(tx, "tool", tool, last)
        before = [event for event in changes if event.sequence < first][-1:]
        during = [event for event in changes if event.sequence > first]
        _keep(tx, found, "tool", tool, [
            event for event in (*before, *during) if event.type == "tool.applied"
        ])  # fmt: skip
    _keep_policies(tx, found, wanted.policies, upto)
    return found


def _changes(tx: Transaction, kind: str, name: str, upto: int) -> list[Event]:
    """Return the entries about a document being applied, staged or removed, oldest first."""
    query = select(events).where(
        events.c.subject == f"{kind}/{name}",
        events.c.sequence <= upto,
        events.c.type.in_([f"{kind}.applied", f"{kind}.removed", f"{kind}.staged"]),
    )
    rows = tx.connection.execute(query.order_by(events.c.sequence))
    return [event_from_row(row) for row in rows]


def _keep(
    tx: Transaction, found: Snapshots, kind: str, name: str, applied: Iterable[Event]
) -> None:
    none = True
    for event in applied:
        none = False
        found.applied.add(event.sequence)
        wanted, version = event.body["digest"], event.body["version"]
        raw = _meant(tx, kind, name, version)
        if raw is None or digest(f"watchkeeper/{kind}/v1", parse(raw)) != wanted:
            why = "it is no longer kept as it was applied"
            found.missing.append((f"{kind} {name}, version {version}", why))
        else:
            found.documents[kind, wanted] = raw
    if none:
        found.missing.append((f"{kind} {name}", "no entry says that it was in force"))


def _meant(tx: Transaction, kind: str, name: str, version: int) -> bytes | None:
    """Return what the digest of a document's version is of, None if it is not to be had."""
    query = select(documents.c.body).where(
        documents.c.kind == kind, documents.c.name == name, documents.c.version == version
    )
    body = tx.connection.execute(query).scalar()
    try:
        return None if body is None else canonical(
            meaning_of(KINDS[kind].model_validate(parse(body)))
        )  # fmt: skip
    except (Invalid, ValidationError, KeyError):
        return None


def _keep_policies(tx: Transaction, found: Snapshots, wanted: Mapping[str, int], upto: int) -> None:
    """Follow the sets through the ledger, and keep each state of them that a decision names."""
    if not wanted:
        return
    query = select(documents.c.name).where(documents.c.kind == "policy").distinct()
    names = sorted(tx.connection.execute(query).scalars())
    told = [event for name in names for event in _changes(tx, "policy", name, upto)]
    sets: dict[str, tuple[str, int]] = {}
    stages: dict[str, tuple[Stage, int]] = {}
    used: dict[tuple[str, str], Event] = {}
    applied: dict[int, Event] = {}
    _keep_state(found, wanted, sets, stages, applied, used)
    for event in sorted(told, key=lambda one: one.sequence):
        name, body = event.subject.partition("/")[2], event.body
        if event.type == "policy.applied":
            sets[name] = (body["digest"], event.sequence)
            applied[event.sequence] = event
        elif event.type == "policy.staged":
            stages[name] = (body["to"], event.sequence)
        else:
            sets.pop(name, None)
            stages.pop(name, None)
        _keep_state(found, wanted, sets, stages, applied, used)
    for (_, name), event in used.items():
        _keep(tx, found, "policy", name, [event])
    for one, sequence in wanted.items():
        if one not in found.policies:
            why = "the ledger's entries about policy sets do not give them"
            found.missing.append((f"policy sets of entry {sequence}", why))


def _keep_state(
    found: Snapshots,
    wanted: Mapping[str, int],
    sets: Mapping[str, tuple[str, int]],
    stages: Mapping[str, tuple[Stage, int]],
    applied: Mapping[int, Event],
    used: dict[tuple[str, str], Event],
) -> None:
    enforced: tuple[Stage, int] = ("enforce", 0)
    state = [
        (name, digested, stages.get(name, enforced)[0])
        for name, (digested, _) in sorted(sets.items())
    ]
    named = sets_digest(state)
    if named not in wanted or named in found.policies:
        return
    found.policies[named] = canonical(state)
    for name, (digested, sequence) in sets.items():
        used[digested, name] = applied[sequence]
        found.applied |= {sequence, stages.get(name, enforced)[1]} - {0}
