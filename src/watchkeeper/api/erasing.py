"""Erasing a person's data."""

from __future__ import annotations

from watchkeeper.api.needs import weigh
from watchkeeper.api.rooms import Rooms
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.erasing.records import list_erasures, unfinished
from watchkeeper.decide.erasing.service import Found
from watchkeeper.wire.erasing import (
    EraseSubject,
    ErasureRow,
    SeekSubject,
    SubjectData,
    SubjectRow,
)
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import Need

_PATIENCE = 600 * MICROSECONDS
"""How long an erasure may take before people are told."""


async def preview(call: Call) -> SubjectData:
    """Say what there is of a person."""
    body: SeekSubject = call.body
    return _show(await call.rooms.erasing.preview((body.subject, *body.also)))


async def erase(call: Call) -> SubjectData:
    """Destroy it."""
    body: EraseSubject = call.body
    erased = await call.rooms.erasing.erase(
        (body.subject, *body.also), reason=body.reason, despite=body.despite, actor=call.actor
    )
    return _show(erased.found).model_copy(
        update={"erasure": erased.erasure, "sequence": erased.sequence}
    )


async def erasures(call: Call) -> Page[ErasureRow]:
    """List erasures, newest first."""
    store, limit = call.rooms.store, call.limit()
    found = await store.read(list_erasures)
    rows = tuple(
        ErasureRow(
            erasure=row.erasure,
            subject=row.subject,
            by=row.actor.removeprefix("person/"),
            began_at=row.began_at,
            began=row.began,
            rows=row.swept,
            ended_at=row.ended_at,
            ended=row.ended,
        )
        for row in found[:limit]
    )
    return Page[ErasureRow](rows=rows, total=len(found), sequence=store.head)


async def subjects(call: Call) -> Page[SubjectRow]:
    """List people, newest first."""
    found = await call.rooms.erasing.subjects()
    rows = tuple(
        SubjectRow(
            subject=row.subject,
            name=row.name,
            since=row.since,
            values=row.kept,
            erased_at=row.erased_at,
        )
        for row in found[: call.limit()]
    )
    return Page[SubjectRow](rows=rows, total=len(found), sequence=call.rooms.store.head)


async def needs_of_erasures(rooms: Rooms, now: int, *, mine: bool) -> list[Need]:
    """Return erasures that should have ended long ago: the plane goes on, and does not get on."""
    return [
        Need(
            need=f"erasure/{row.erasure}",
            kind="plane",
            subject="ledger",
            score=weigh(200, mine),
            risk="high",
            text=f"the erasure of {row.subject} has not ended: its keys are destroyed, and copies "
            "are still there",
            todo="see the plane's log for why; watchkeeper audit erasures",
            since=row.began_at,
            mine=mine,
        )
        for row in await rooms.store.read(unfinished)
        if now - row.began_at >= _PATIENCE
    ]


def _show(found: Found) -> SubjectData:
    return SubjectData(
        values=len(found.sought.values),
        runs=len(found.sought.runs),
        rows=dict(found.rows),
        files=found.files,
        entries=found.entries,
        held_by=found.held_by,
        open_runs=found.runs_open,
        open_requests=found.requests_open,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/audit/subjects",
        "audit",
        subjects,
        "List people whose data the vault holds or held, newest first.",
        answers=Page[SubjectRow],
        query=("limit",),
        tags=("ledger",),
    ),
    Operation(
        "GET",
        "/v1/audit/erasures",
        "audit",
        erasures,
        "List erasures, newest first: those that go on have no end.",
        answers=Page[ErasureRow],
        query=("limit",),
        tags=("ledger",),
    ),
    Operation(
        "POST",
        "/v1/audit/erasures/preview",
        "audit",
        preview,
        "Say what the plane keeps of a person.",
        answers=SubjectData,
        takes=SeekSubject,
        tags=("ledger",),
        looks_only=True,
    ),
    Operation(
        "POST",
        "/v1/audit/erasures",
        "keys",
        erase,
        "Erase what the plane keeps of a person, and the keys to what entries commit to.",
        answers=SubjectData,
        takes=EraseSubject,
        tags=("ledger",),
    ),
)
