"""Legal holds: keeping something from every purge and erasure."""

from __future__ import annotations

from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.erasing.holds import Wanted, lift, list_holds, place, unknown_of
from watchkeeper.wire.erasing import HoldRow, LiftHold, PlaceHold
from watchkeeper.wire.pages import Page


async def holds(call: Call) -> Page[HoldRow]:
    """List them, newest first."""
    found = await call.rooms.store.read(list_holds)
    rows = tuple(
        HoldRow(
            hold=row.hold,
            holds=tuple(held),
            reason=row.reason,
            placed_by=row.placed_by.removeprefix("person/"),
            placed_at=row.placed_at,
            lifted_by=row.lifted_by and row.lifted_by.removeprefix("person/"),
            lifted_at=row.lifted_at,
            lifted_why=row.lifted_why,
        )
        for row, held in found
    )
    return Page[HoldRow](rows=rows, total=len(rows), sequence=call.rooms.store.head)


async def place_hold(call: Call) -> Page[HoldRow]:
    """Place one."""
    body: PlaceHold = call.body
    for agent in body.agents:
        if agent not in call.rooms.view.now.agents:
            raise NotFound(f"there is no agent {agent}", where="agents")
    wanted = Wanted(body.people, body.agents, body.runs, body.requests, body.everything)
    unknown = await call.rooms.store.read(lambda tx: unknown_of(tx, body.people))
    await call.rooms.store.write(
        lambda tx: place(tx, body.hold, wanted, reason=body.reason, actor=call.actor)
    )
    page = await holds(call)
    rows = (
        row.model_copy(update={"unknown": unknown}) if row.hold == body.hold else row
        for row in page.rows
    )
    return page.model_copy(update={"rows": tuple(rows)})


async def lift_hold(call: Call) -> Page[HoldRow]:
    """Lift one."""
    body: LiftHold = call.body
    name = call.path("hold")
    await call.rooms.store.write(lambda tx: lift(tx, name, reason=body.reason, actor=call.actor))
    return await holds(call)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/audit/holds",
        "audit",
        holds,
        "List legal holds, newest first.",
        answers=Page[HoldRow],
        tags=("ledger",),
    ),
    Operation(
        "POST",
        "/v1/audit/holds",
        "audit",
        place_hold,
        "Keep something from every purge and erasure.",
        answers=Page[HoldRow],
        takes=PlaceHold,
        tags=("ledger",),
    ),
    Operation(
        "POST",
        "/v1/audit/holds/{hold}/lift",
        "keys",
        lift_hold,
        "Hold it no more.",
        answers=Page[HoldRow],
        takes=LiftHold,
        tags=("ledger",),
    ),
)
