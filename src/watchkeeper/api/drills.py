"""Drills: a lock rehearsed without effect, and the reports that are kept."""

from __future__ import annotations

import json

from watchkeeper.api.table import Call, Operation
from watchkeeper.decide.incidents.opening import team_of
from watchkeeper.decide.kill.drills.holding import Drills
from watchkeeper.kill import drills as kept
from watchkeeper.kill.model import LockTarget
from watchkeeper.store.statement import Row
from watchkeeper.wire.drills import DrillDetail, DrillReport, DrillRow, HoldDrill
from watchkeeper.wire.locks import Target
from watchkeeper.wire.pages import Page


async def hold_drill(call: Call) -> DrillDetail:
    """Rehearse a lock; nothing is stopped, and nobody is told."""
    body: HoldDrill = call.body
    rooms, target = call.rooms, LockTarget(body.target.kind, body.target.name)
    team = await rooms.store.read(lambda tx: team_of(tx, rooms.view.now, target))
    call.check_team("lock", team)
    drills = Drills(rooms.decider, rooms.kill, rooms.notices)
    drill = await drills.hold(target, mode=body.mode, reason=body.reason, by=call.actor)
    return _detail(await _find(call, drill))


async def list_drills(call: Call) -> Page[DrillRow]:
    """List the drills of the teams that the caller may read, newest first."""
    after, limit, head = call.text("after"), call.limit(), call.rooms.store.head
    teams = call.who.permissions.teams("read")
    rows, total = await call.rooms.store.scan(
        lambda tx: kept.list_drills(tx, teams=teams, after=after, limit=limit + 1)
    )
    page = rows[:limit]
    return Page[DrillRow](
        rows=tuple(_row(row) for row in page),
        next=page[-1].drill if len(rows) > limit else None,
        total=total,
        sequence=head,
    )


async def show_drill(call: Call) -> DrillDetail:
    """Show a drill with its report."""
    row = await _find(call, call.path("drill"))
    call.check_team("read", row.team or "")
    return _detail(row)


async def _find(call: Call, drill: str) -> Row:
    return await call.rooms.store.read(lambda tx: kept.find(tx, drill))


def _detail(row: Row) -> DrillDetail:
    report = DrillReport.model_validate(json.loads(row.report))
    return DrillDetail(**dict(_row(row)), report=report)


def _row(row: Row) -> DrillRow:
    return DrillRow(
        drill=row.drill,
        target=Target(kind=row.target_kind, name=row.target_name),
        mode=row.mode,
        by=row.by,
        at=row.at,
        reason=row.reason,
        runs=row.runs,
        checked=row.checked,
        refused=row.refused,
        findings=row.findings,
        lock_ms=row.lock_us / 1000,
        decide_ms=row.decide_us / 1000,
        digest=row.digest,
        sequence=row.sequence,
    )


OPERATIONS = (
    Operation(
        "POST",
        "/v1/drills",
        "lock",
        hold_drill,
        "Rehearse a kill or a pause without effect; the report is kept.",
        answers=DrillDetail,
        takes=HoldDrill,
        by_team=True,
        tags=("kill switch",),
    ),
    Operation(
        "GET",
        "/v1/drills",
        "read",
        list_drills,
        "List drills, newest first.",
        answers=Page[DrillRow],
        query=("after", "limit"),
        tags=("kill switch",),
    ),
    Operation(
        "GET",
        "/v1/drills/{drill}",
        "read",
        show_drill,
        "Show a drill with its report.",
        answers=DrillDetail,
        tags=("kill switch",),
    ),
)
