"""Kill and pause: what a lock would stop, putting it in force, lifting it."""

from __future__ import annotations

from watchkeeper.api.table import Call, Operation
from watchkeeper.decide.bounds import in_time
from watchkeeper.decide.incidents.opening import team_of
from watchkeeper.decide.kill.blast import measure
from watchkeeper.decide.kill.effector import name_of
from watchkeeper.decide.kill.targets import check_target
from watchkeeper.incidents.service import incident_of, team_of_incident
from watchkeeper.kill import service as locks
from watchkeeper.kill.model import LockTarget, NewLock
from watchkeeper.kill.model import Receipt as KeptReceipt
from watchkeeper.kill.receipts import receipts_of
from watchkeeper.kill.rules import mode_of
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import (
    TARGET_KINDS,
    BlastRadius,
    Lift,
    Lock,
    LockRow,
    Receipt,
    ShownTarget,
    Target,
    UnknownTarget,
)
from watchkeeper.wire.pages import Page


async def list_locks(call: Call) -> Page[LockRow]:
    """List locks, newest first."""
    in_force = call.one_of("state", ("in_force", "all")) == "in_force"
    head = call.rooms.store.head

    def query(tx: Transaction) -> tuple[LockRow, ...]:
        return tuple(show_lock(tx, row) for row in locks.list_locks(tx, in_force=in_force))

    rows = await call.rooms.store.read(query)
    return Page[LockRow](rows=rows, total=len(rows), sequence=head)


async def preview(call: Call) -> BlastRadius:
    """Count what a lock on the target would stop now; nothing is changed."""
    body: Target = call.body
    rooms = call.rooms
    target = check_target(LockTarget(body.kind, body.name), rooms.view.now)
    return await rooms.store.read(
        lambda tx: measure(tx, rooms.view.now, rooms.decider.flights, target)
    )


async def lock(call: Call) -> LockRow:
    """Put a lock in force; once this answers, nothing it covers is permitted."""
    body: Lock = call.body
    target = LockTarget(body.target.kind, body.target.name)
    call.check_team("lock", await _team(call, target))
    named = body.incident if await _may_join(call, body.incident) else None
    new = NewLock(
        target,
        mode=body.mode,
        reason=body.reason,
        by=call.actor,
        authority=call.who.permissions.rank,
        seconds=body.expires_in_seconds,
        incident=named,
    )
    made, receipts = await call.rooms.kill.lock(new)
    # nothing is read after the commit: where that failed, a lock in force would be said to be none
    traces = next((one.by for one in receipts if one.effect == "preserve traces"), None)
    return LockRow(
        lock=made.lock,
        target=Target(kind=made.target.kind, name=made.target.name),
        mode=made.mode,
        reason=made.reason,
        by=made.by,
        epoch=made.epoch,
        created_at=made.created_at,
        expires_at=made.expires_at,
        receipts=tuple(_receipt(kept, made.created_at) for kept in receipts),
        incident=name_of(traces) if traces else None,
    )


async def read_lock(call: Call) -> LockRow:
    """Show a lock with its receipts."""
    return await _read(call, call.path("lock"))


async def lift(call: Call) -> LockRow:
    """End a lock."""
    body: Lift = call.body
    name = call.path("lock")
    row = await call.rooms.store.read(lambda tx: locks.find(tx, name))
    call.check_team("lift", await _team(call, LockTarget(row.target_kind, row.target_name)))
    await call.rooms.kill.lift(
        name,
        reason=body.reason,
        by=call.actor,
        authority=call.who.permissions.rank,
        owner=call.who.owner,
    )
    return await _read(call, name)


async def _may_join(call: Call, incident: str | None) -> bool:
    """Tell whether the caller may add to an incident, be it there or not."""
    teams = call.who.permissions.teams("lock")
    if incident is None or teams is None:
        return True
    team = await in_time(call.rooms.store.read(lambda tx: team_of_incident(tx, incident)))
    return team is None or team in teams


async def _team(call: Call, target: LockTarget) -> str:
    """Return the one team that a target belongs to; empty: none, or every one."""
    catalogue = call.rooms.view.now
    return await in_time(call.rooms.store.read(lambda tx: team_of(tx, catalogue, target)))


async def _read(call: Call, name: str) -> LockRow:
    return await call.rooms.store.read(lambda tx: show_lock(tx, locks.find(tx, name)))


def show_lock(tx: Transaction, row: Row) -> LockRow:
    """Return a lock as the API shows it."""
    return LockRow(
        lock=row.lock,
        target=show_target(row.target_kind, row.target_name),
        mode=mode_of(row.mode),
        reason=row.reason,
        by=row.by,
        epoch=row.epoch,
        created_at=row.created_at,
        expires_at=row.expires_at,
        lifted_at=row.lifted_at,
        lifted_by=row.lifted_by,
        receipts=tuple(_receipt(kept, row.created_at) for kept in receipts_of(tx, row.lock)),
        incident=incident_of(tx, row.lock),
    )


def show_target(kind: str, name: str) -> ShownTarget:
    """Return what a lock covers as the API shows it."""
    known = next((one for one in TARGET_KINDS if one == kind), None)
    return Target(kind=known, name=name) if known else UnknownTarget(name=f"{kind} {name}")


def _receipt(kept: KeptReceipt, created_at: int) -> Receipt:
    return Receipt(
        effect=kept.effect,
        party=kept.party,
        state=kept.state,
        detail=kept.detail,
        at=kept.at,
        after_ms=(kept.at - created_at) / 1000,
        by=kept.by,
        deadline=kept.deadline,
        attempts=kept.attempts,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/locks",
        "read",
        list_locks,
        "List locks, newest first.",
        answers=Page[LockRow],
        query=("state",),
        tags=("kill switch",),
    ),
    Operation(
        "POST",
        "/v1/locks/preview",
        "read",
        preview,
        "Count what a lock on a target would stop now.",
        answers=BlastRadius,
        takes=Target,
        looks_only=True,
        tags=("kill switch",),
    ),
    Operation(
        "POST",
        "/v1/locks",
        "lock",
        lock,
        "Kill or pause a target; once answered, nothing it covers is permitted.",
        answers=LockRow,
        takes=Lock,
        by_team=True,
        tags=("kill switch",),
    ),
    Operation(
        "GET",
        "/v1/locks/{lock}",
        "read",
        read_lock,
        "Show a lock with its receipts.",
        answers=LockRow,
        tags=("kill switch",),
    ),
    Operation(
        "POST",
        "/v1/locks/{lock}/lift",
        "lift",
        lift,
        "End a lock.",
        answers=LockRow,
        takes=Lift,
        by_team=True,
        always_for_owner=True,
        tags=("kill switch",),
    ),
)
