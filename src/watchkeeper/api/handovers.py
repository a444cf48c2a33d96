"""Shift hand-over: a draft, giving it, reading what was given, taking over."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.people.handover.draft import draft, text_digest
from watchkeeper.decide.people.handover.scope import takes_part
from watchkeeper.decide.people.rota import Rota
from watchkeeper.oncall.handovers import service as handovers
from watchkeeper.oncall.handovers.model import NewHandover, Taker
from watchkeeper.oncall.handovers.rules import is_late, why_not
from watchkeeper.oncall.model import ANYONE, OWNER
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.handover import (
    AcknowledgeHandover,
    GiveHandover,
    HandoverDetail,
    HandoverDraft,
    HandoverRow,
    HandoverSection,
)
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import Need


async def draft_handover(call: Call) -> HandoverDraft:
    """Generate the summary of the caller's shift until now; nothing is kept."""
    return await _draft(call, call.text("role"), call.text("schedule"))


async def give(call: Call) -> HandoverDetail:
    """Keep what the caller hands over, with what the plane itself found at this moment."""
    body: GiveHandover = call.body
    if (body.role is None) == (body.schedule is None):
        raise Invalid("name either a role or a schedule", where="body: role, schedule")
    if body.to in _names(call):
        raise Invalid("nobody hands a watch over to themselves", where="body: to")
    found = await _draft(call, body.role, body.schedule)
    new = NewHandover(
        role=found.role,
        schedule=found.schedule,
        by=call.who.name,
        to=body.to,
        next=(body.to,) if body.to else found.next,
        since=found.since,
        due_at=found.due_at,
        sequence=found.sequence if body.sequence is None else min(body.sequence, found.sequence),
        text=body.text,
        edited=body.draft is None or text_digest(body.text) != body.draft,
        sections=json.dumps([section.model_dump() for section in found.sections]),
    )
    handover = await call.rooms.store.write(lambda tx: handovers.give(tx, new))
    return await _read(call, handover)


async def acknowledge(call: Call) -> HandoverDetail:
    """Take over, having read exactly what the digest names."""
    body: AcknowledgeHandover = call.body
    name = call.path("handover")

    def unit(tx: Transaction) -> None:
        taker = _Reader.of(call, tx).taker(handovers.find(tx, name))
        handovers.acknowledge(tx, name, taker=taker, digest=body.digest, note=body.note)

    await call.rooms.store.write(unit)
    return await _read(call, name)


async def list_handovers(call: Call) -> Page[HandoverRow]:
    """List hand-overs, newest first."""
    which = call.one_of("state", ("all", "given", "acknowledged"))
    role, schedule, after = call.text("role"), call.text("schedule"), call.text("after")
    limit, head = call.limit(), call.rooms.store.head

    def query(tx: Transaction) -> Page[HandoverRow]:
        found = handovers.list_handovers(
            tx,
            which=which,  # type: ignore[arg-type]
            role=role,
            schedule=schedule,
            after=after,
            limit=limit + 1,
        )
        page, reader = found[:limit], _Reader.of(call, tx)
        rows = tuple(HandoverRow(**reader.shown(row)) for row in page if reader.may_see(row))
        more = page[-1].handover if len(found) > limit else None
        return Page[HandoverRow](rows=rows, next=more, sequence=head)

    return await call.rooms.store.read(query)


async def read_handover(call: Call) -> HandoverDetail:
    """Show a hand-over in full."""
    return await _read(call, call.path("handover"))


async def needs_of_handovers(call: Call) -> list[Need | None]:
    """Return what waits for whoever takes over, and what is late with anybody."""

    def query(tx: Transaction) -> list[HandoverRow]:
        found = handovers.open_handovers(tx)
        reader = _Reader.of(call, tx)
        return [HandoverRow(**reader.shown(row)) for row in found if reader.may_see(row)]

    return [_need(row) for row in await call.rooms.store.read(query) if row.mine or row.late]


def _need(row: HandoverRow) -> Need:
    watch = row.role or f"schedule {row.schedule}"
    text = (
        f"nobody has acknowledged what {row.by} handed over of {watch}"
        if row.late
        else f"{row.by} hands {watch} over"
    )
    score = (110 if row.late else 60) // (1 if row.mine else 4)
    return Need(
        need=f"handover/{row.handover}",
        kind="handover",
        subject=row.handover,
        score=score,
        risk="medium",
        text=text,
        todo="read it and acknowledge it" if row.mine else (row.why_not or "look"),
        due_at=row.due_at,
        since=row.given_at,
        mine=row.mine,
    )


async def _draft(call: Call, role: str | None, schedule: str | None) -> HandoverDraft:
    rooms, caps, head = call.rooms, call.rooms.caps_in_force(), call.rooms.store.head
    catalogue, seen = rooms.view.now, call.agents_seen()

    def query(tx: Transaction) -> HandoverDraft:
        return draft(
            tx,
            catalogue,
            person=call.who.name,
            names=_names(call),
            owner=call.who.owner,
            role=role,
            schedule=schedule,
            caps=caps,
            sequence=head,
            agents=seen,
        )

    # it looks at every pending request, and at all that ended within the shift
    return await rooms.store.scan(query)


async def _read(call: Call, handover: str) -> HandoverDetail:
    def query(tx: Transaction) -> HandoverDetail:
        row, reader = handovers.find(tx, handover), _Reader.of(call, tx)
        if not reader.may_see(row):
            raise handovers.no_such(handover)
        return HandoverDetail(
            **reader.shown(row),
            text=row.text,
            edited=bool(row.edited),
            sequence=row.sequence,
            sections=tuple(HandoverSection(**one) for one in json.loads(row.sections)),
            note=row.note,
        )

    return await call.rooms.store.read(query)


@dataclass(frozen=True, slots=True)
class _Reader:
    """The caller, with what a transaction sees of who is on call."""

    person: str
    names: frozenset[str]
    everywhere: bool
    """Whether they read in every team."""
    holds_all: bool
    rota: Rota
    now: int

    @classmethod
    def of(cls, call: Call, tx: Transaction) -> _Reader:
        rota = call.rooms.view.now.rota.now(tx)
        everywhere, holds_all = call.agents_seen() is None, ANYONE in call.roles
        return cls(call.who.name, _names(call), everywhere, holds_all, rota, tx.now)

    def taker(self, row: Row) -> Taker:
        holds = self.holds_all or takes_part(
            self.rota, self.names, row.role, row.schedule, self.now
        )
        return Taker(self.person, self.names, holds)

    def may_see(self, row: Row) -> bool:
        """Whether the caller reads in every team, or has a part in this hand-over."""
        told = {row.by_person, row.to_person, *json.loads(row.next_people)}
        return self.everywhere or not self.names.isdisjoint(told) or self.taker(row).holds

    def shown(self, row: Row) -> dict[str, Any]:
        """Return a hand-over as a list shows it."""
        acknowledged = row.acknowledged_at is not None
        barrier = why_not(
            self.taker(row),
            by=row.by_person,
            to=row.to_person,
            next_people=json.loads(row.next_people),
        )
        if acknowledged:
            barrier = f"{row.acknowledged_by} has acknowledged it"
        return {
            "handover": row.handover,
            "state": "acknowledged" if acknowledged else "given",
            "role": row.role,
            "schedule": row.schedule,
            "by": row.by_person,
            "to": row.to_person,
            "since": row.since,
            "given_at": row.given_at,
            "due_at": row.due_at,
            "acknowledged_by": row.acknowledged_by,
            "acknowledged_at": row.acknowledged_at,
            "late": is_late(due_at=row.due_at, acknowledged_at=row.acknowledged_at, now=self.now),
            "digest": row.digest,
            "mine": barrier is None,
            "why_not": barrier,
        }


def _names(call: Call) -> frozenset[str]:
    """Return every name of the caller: nobody takes over from themselves."""
    names = {call.who.name} | call.rooms.view.now.names.names(call.who.name)
    return frozenset(names | {OWNER} if call.who.owner else names)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/handovers/draft",
        "read",
        draft_handover,
        "Generate the summary of the caller's shift until now.",
        answers=HandoverDraft,
        query=("role", "schedule"),
        tags=("on call",),
    ),
    Operation(
        "GET",
        "/v1/handovers",
        "read",
        list_handovers,
        "List hand-overs, newest first.",
        answers=Page[HandoverRow],
        query=("state", "role", "schedule", "after", "limit"),
        tags=("on call",),
    ),
    Operation(
        "POST",
        "/v1/handovers",
        "read",
        give,
        "Hand a watch over that the caller has; what is given is kept as it is.",
        answers=HandoverDetail,
        takes=GiveHandover,
        tags=("on call",),
    ),
    Operation(
        "GET",
        "/v1/handovers/{handover}",
        "read",
        read_handover,
        "Show a hand-over in full.",
        answers=HandoverDetail,
        tags=("on call",),
    ),
    Operation(
        "POST",
        "/v1/handovers/{handover}/acknowledge",
        "read",
        acknowledge,
        "Take a watch over, having read what was handed over.",
        answers=HandoverDetail,
        takes=AcknowledgeHandover,
        tags=("on call",),
    ),
)
