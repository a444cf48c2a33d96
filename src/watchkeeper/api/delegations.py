"""Delegations: who votes for whom, made by whose votes they are."""

from __future__ import annotations

import json

from watchkeeper.api.table import Call, Operation
from watchkeeper.approvals import delegations
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Invalid
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.delegations import Delegate, DelegationRow
from watchkeeper.wire.pages import Page


async def list_delegations(call: Call) -> Page[DelegationRow]:
    """List delegations, newest first."""
    over = call.one_of("state", ("open", "all")) == "all"
    limit, head = call.limit(), call.rooms.store.head
    rows = await call.rooms.store.read(
        lambda tx: tuple(
            _show(row, tx.now) for row in delegations.list_delegations(tx, over=over, limit=limit)
        )
    )
    return Page[DelegationRow](rows=rows, total=len(rows), sequence=head)


async def delegate(call: Call) -> DelegationRow:
    """Let another person cast the caller's votes for a time."""
    body: Delegate = call.body
    known = call.rooms.view.now.roles
    unknown = sorted(set(body.roles) - set(known) - {"owner"})
    if unknown:
        raise Invalid(
            f"there is no role {unknown[0]!r}",
            where="body: roles",
            rule="delegation/roles",
            remedy="known here: " + ", ".join(sorted(known)),
        )

    def unit(tx: Transaction) -> DelegationRow:
        start = max(tx.now, body.starts_at or tx.now)
        made = delegations.delegate(
            tx,
            call.who.name,
            body.to,
            call.people(tx),
            roles=body.roles,
            starts_at=start,
            ends_at=start + body.seconds * MICROSECONDS,
            note=body.note,
            owner=call.who.owner,
        )
        return _show(delegations.find_delegation(tx, made), tx.now)

    return await call.rooms.store.write(unit)


async def end(call: Call) -> DelegationRow:
    """End a delegation that the caller gave or has."""
    name = call.path("delegation")

    def unit(tx: Transaction) -> DelegationRow:
        delegations.end_delegation(tx, name, by=call.who.name, people=call.people(tx))
        return _show(delegations.find_delegation(tx, name), tx.now)

    return await call.rooms.store.write(unit)


def _show(row: Row, now: int) -> DelegationRow:
    return DelegationRow(
        delegation=row.delegation,
        giver=row.giver,
        taker=row.taker,
        roles=tuple(json.loads(row.roles)) if row.roles else (),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        made_at=row.made_at,
        note=row.note,
        ended_at=row.ended_at,
        ended_by=row.ended_by,
        in_force=row.ended_at is None and row.starts_at <= now < row.ends_at,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/delegations",
        "read",
        list_delegations,
        "List delegations, newest first; those in force or to come, or all.",
        answers=Page[DelegationRow],
        query=("state", "limit"),
        tags=("approvals",),
    ),
    Operation(
        "POST",
        "/v1/delegations",
        "person",
        delegate,
        "Let another person cast your votes for a time.",
        answers=DelegationRow,
        takes=Delegate,
        tags=("approvals",),
    ),
    Operation(
        "POST",
        "/v1/delegations/{delegation}/end",
        "person",
        end,
        "End a delegation that you gave or have.",
        answers=DelegationRow,
        tags=("approvals",),
    ),
)
