"""Legal holds: what people keep from every purge and erasure, until they lift it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Column, Table, Text, bindparam, cast, literal, select, update

from watchkeeper.approvals.tables import requests
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.decide.erasing.hindrances import LEGAL
from watchkeeper.decide.erasing.sought import runs_for, subjects_of
from watchkeeper.identity.tables import runs
from watchkeeper.store import retention
from watchkeeper.store.metadata import Key, Whole, metadata
from watchkeeper.store.retention import Held, retention_holds
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.store.vault import name_of
from watchkeeper.store.vault_tables import vault_values

legal_holds = Table(
    "legal_holds",
    metadata,
    Column("hold", Key, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("placed_at", Whole, nullable=False),
    Column("sequence", Whole, nullable=False),
    Column("lifted_by", Text),
    Column("lifted_at", Whole),
    Column("lifted_why", Text),
)
"""What each holds is in `retention_holds`, by its rule; one that was lifted stays."""
_of = legal_holds.c
_ADD = Statement(legal_holds.insert())
_FIND = Statement(select(legal_holds).where(_of.hold == bindparam("hold_is")))
_ALL = Statement(select(legal_holds).order_by(_of.placed_at.desc(), _of.hold))
_LIFT = Statement(
    update(legal_holds)
    .where(_of.hold == bindparam("hold_is"))
    .values(lifted_by=bindparam("who"), lifted_at=bindparam("at"), lifted_why=bindparam("why"))
)
_held = retention_holds.alias()
_EXTEND = Statement(
    insert(retention_holds)
    .from_select(
        ["holder", "kind", "name", "held_at", "sequence"],
        select(
            _held.c.holder, literal("run"), vault_values.c.scope, cast(bindparam("at"), Whole),
            _held.c.sequence,
        )
        .select_from(_held.join(vault_values, vault_values.c.subject == _held.c.name))
        .where(
            _held.c.kind == "subject", _held.c.let_go_at.is_(None),
            vault_values.c.scope.startswith("run_", autoescape=True),
        )
        .distinct(),
    )
    .on_conflict_do_nothing(index_elements=["holder", "kind", "name"])
)  # fmt: skip


class Wanted(NamedTuple):
    """What is to be held: people by what they are called, agents, runs, requests, or all."""

    people: Collection[str] = ()
    agents: Collection[str] = ()
    runs: Collection[str] = ()
    requests: Collection[str] = ()
    everything: bool = False


def place(tx: Transaction, hold: str, wanted: Wanted, *, reason: str, actor: str) -> int:
    """Hold it from now on; return the entry.

    Raises `Conflict` where there is or was a hold of that name, `NotFound` for a run or a request
    that there is not. Agents are the caller's to check.
    """
    if _FIND.first(tx, hold_is=hold) is not None:
        raise Conflict(
            f"there is or was a legal hold {hold}", where="hold", remedy="take another name"
        )
    _check(tx, runs.c.run, wanted.runs)
    _check(tx, requests.c.request, wanted.requests)
    held = {Held("agent", one) for one in wanted.agents}
    held |= {Held("run", one) for one in wanted.runs}
    held |= {Held("request", one) for one in wanted.requests}
    held |= {Held("subject", tx.vault.subject_of(tx, one)) for one in wanted.people}
    told = sorted(f"{one.kind}/{one.name}" for one in held)
    if wanted.everything:
        held.add(Held("everything", "*"))
        told.append("everything")
    if wanted.people:
        called = {name_of(one) for one in wanted.people}
        held |= {Held("run", one) for one in runs_for(tx, called)}
    sequence = tx.record(
        "hold.placed",
        actor=actor,
        subject=f"{LEGAL}{hold}",
        body={
            "hold": hold,
            "holds": told,
            "reason": reason,
            "text": f"{actor.removeprefix('person/')} placed the legal hold {hold}: {reason}",
        },
    )
    _ADD.run(
        tx, hold=hold, reason=reason, placed_by=actor, placed_at=tx.now, sequence=sequence,
        lifted_by=None, lifted_at=None, lifted_why=None,
    )  # fmt: skip
    retention.hold(tx, f"{LEGAL}{hold}", held, sequence)
    _EXTEND.run(tx, at=tx.now)
    return sequence


def unknown_of(tx: Transaction, people: Collection[str]) -> tuple[str, ...]:
    """Return those of whom nothing is kept."""
    return tuple(
        one
        for one in people
        if not subjects_of(tx, {name_of(one)}) and not runs_for(tx, {name_of(one)})
    )


def lift(tx: Transaction, hold: str, *, reason: str, actor: str) -> int:
    """Hold it no more; return the entry. Raises `NotFound`, or `Conflict` if it was lifted."""
    row = _FIND.first(tx, hold_is=hold)
    if row is None:
        raise NotFound(f"there is no legal hold {hold}", remedy="see `watchkeeper audit holds`")
    if row.lifted_at is not None:
        raise Conflict(f"the legal hold {hold} is lifted already", code="hold_lifted")
    sequence = tx.record(
        "hold.lifted",
        actor=actor,
        subject=f"{LEGAL}{hold}",
        body={
            "hold": hold,
            "reason": reason,
            "text": f"{actor.removeprefix('person/')} lifted the legal hold {hold}: {reason}",
        },
    )
    _LIFT.run(tx, hold_is=hold, who=actor, at=tx.now, why=reason)
    retention.let_go(tx, f"{LEGAL}{hold}")
    return sequence


def extend(tx: Transaction) -> None:
    """Hold the runs that began since for people who are held: what purges take goes by runs."""
    tx.silent("they are held with the person, which is on record")
    _EXTEND.run(tx, at=tx.now)


def list_holds(tx: Transaction) -> list[tuple[Row, list[str]]]:
    """Return every legal hold, newest first, and what it holds or held."""
    return [
        (row, [f"{one.kind}/{one.name}" if one.kind != "everything" else "everything"
               for one in retention.held_by(tx, f"{LEGAL}{row.hold}")])
        for row in _ALL.all(tx)
    ]  # fmt: skip


def _check(tx: Transaction, column: Column[str], named: Collection[str]) -> None:
    there = set(tx.connection.scalars(select(column).where(column.in_(sorted(named)))))
    for one in named:
        if one not in there:
            raise NotFound(f"there is no {column.name} {one!r:.80}", where=column.name)
