"""On call: who holds each role now and next, shifts, overrides, gaps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import Invalid, NotFound, TooLarge
from watchkeeper.decide.people.rota import PERSON_ROLE, Rota
from watchkeeper.identity.model import Person
from watchkeeper.oncall import service as kept
from watchkeeper.oncall.model import OWNER
from watchkeeper.oncall.schedules import DAY, Watch, gaps, next_handover, on_call, shifts
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.oncall import (
    GAP_WEEKS,
    MOST_DAYS,
    AddOverride,
    EndOverride,
    Gap,
    Holder,
    OnCall,
    OverrideRow,
    Overrides,
    OverrideState,
    RoleRow,
    ScheduleRow,
    ShiftRow,
    Shifts,
    Who,
)

_MOST_GAPS = 200
_AHEAD = GAP_WEEKS * 7 * DAY


async def read_oncall(call: Call) -> OnCall:
    """Say of every role and schedule who is on call now, who next, and when nobody is."""
    rooms, now, head = call.rooms, call.rooms.clock.now(), call.rooms.store.head
    rota = rooms.view.now.rota
    rows = await rooms.store.read(lambda tx: kept.list_overrides(tx, after=now))
    overrides = [_show(row, now) for row in rows]

    def work() -> OnCall:
        return OnCall(
            at=now,
            roles=tuple(_role_row(rota, name, now) for name in sorted(rota.roles)),
            schedules=tuple(
                _schedule_row(rota, name, now, overrides) for name in sorted(rota.schedules)
            ),
            sequence=head,
        )

    # four weeks of many schedules take a while: away from the loop
    return await asyncio.to_thread(work)


async def list_shifts(call: Call) -> Shifts:
    """List the shifts of a schedule; of the next four weeks unless asked otherwise."""
    rooms, name, head = call.rooms, call.path("schedule"), call.rooms.store.head
    schedule = rooms.view.now.rota.schedules.get(name)
    if schedule is None:
        raise NotFound(f"there is no schedule {name!r:.80}", remedy="see `watchkeeper oncall show`")
    asked = call.whole("from")
    start = rooms.clock.now() if asked is None else asked
    until = call.whole("until")
    end = start + _AHEAD if until is None else until
    if not start < end <= start + MOST_DAYS * DAY:
        raise Invalid(f"ask for a time of at most {MOST_DAYS} days", where="query: until")
    rota = await _rota_since(call, start)

    def work() -> Shifts:
        watch = rota.of_schedule(name)
        return Shifts(
            schedule=name,
            zone=schedule.clock.name,
            start=start,
            end=end,
            shifts=tuple(
                ShiftRow(person=one.person, start=one.start, end=one.end, by=one.by)
                for one in shifts(watch, start, end)
            ),
            gaps=tuple(Gap(start=since, end=to) for since, to in gaps(watch, start, end)),
            sequence=head,
        )

    return await asyncio.to_thread(work)


async def who(call: Call) -> Who:
    """Say who holds a role, now or at a time."""
    role = call.text("role")
    if role is None:
        raise Invalid("name a role", where="query: role")
    asked = call.whole("at")
    at = call.rooms.clock.now() if asked is None else asked
    known = call.rooms.view.now.rota
    if role not in known.roles and role != OWNER and not role.startswith(PERSON_ROLE):
        raise NotFound(f"there is no role {role!r:.80}", remedy="see `watchkeeper oncall show`")
    rota = await _rota_since(call, at)
    return Who(role=role, at=at, people=_holders(rota.of_role(role), at))


async def list_overrides(call: Call) -> Overrides:
    """List overrides, the latest start first."""
    now, schedule = call.rooms.clock.now(), call.text("schedule")
    after = now if call.one_of("state", ("standing", "all")) == "standing" else None
    head = call.rooms.store.head
    rows = await call.rooms.store.read(
        lambda tx: kept.list_overrides(tx, schedule=schedule, after=after)
    )
    return Overrides(rows=tuple(_show(row, now) for row in rows), sequence=head)


async def add_override(call: Call) -> OverrideRow:
    """Change who is on call for a time."""
    body: AddOverride = call.body
    may = _may_change(call)
    row = await call.rooms.overriding.add(body, actor=call.actor, names=names_of(call.who), may=may)
    return _show(row, call.rooms.clock.now())


async def end_override(call: Call) -> OverrideRow:
    """End an override."""
    body: EndOverride = call.body
    row = await call.rooms.overriding.end(
        call.path("override"), reason=body.reason, actor=call.actor, may=_may_change(call)
    )
    return _show(row, call.rooms.clock.now())


def _may_change(call: Call) -> bool:
    """Tell whether the caller may change any shift; without, `decide` lets them hand their own."""
    may = call.who.permissions.teams("oncall") is None
    if not may and not call.who.may("decide"):
        call.check_team("oncall", "")
    return may


def names_of(who: Person) -> frozenset[str]:
    """Return the names that documents may have for a caller."""
    return frozenset({who.name, OWNER} if who.owner else {who.name})


async def _rota_since(call: Call, at: int) -> Rota:
    """Return the rota with the overrides that count at a time or later, be it long ago.

    Documents are those of today.
    """

    def query(tx: Transaction) -> Rota:
        return call.rooms.view.now.rota.overridden(kept.standing(tx, min(at, tx.now)))

    # of long ago there may be any number
    return await call.rooms.store.scan(query)


def _role_row(rota: Rota, name: str, now: int) -> RoleRow:
    role, watch = rota.roles[name], rota.of_role(name)
    then = next_handover(watch, now)
    return RoleRow(
        role=name,
        members=role.members,
        schedules=role.schedules,
        now=_holders(watch, now),
        next_at=then[0] if then else None,
        next=(*sorted(watch.always), *(one for one in then[1] if one not in watch.always))
        if then
        else (),
        gaps=_gaps(watch, now),
    )


def _schedule_row(rota: Rota, name: str, now: int, overrides: Sequence[OverrideRow]) -> ScheduleRow:
    schedule, watch = rota.schedules[name], rota.of_schedule(name)
    then = next_handover(watch, now)
    return ScheduleRow(
        schedule=name,
        zone=schedule.clock.name,
        people=tuple(sorted(schedule.people)),
        roles=tuple(role for role, one in sorted(rota.roles.items()) if name in one.schedules),
        now=_holders(watch, now),
        next_at=then[0] if then else None,
        next=then[1] if then else (),
        overrides=tuple(
            sorted(
                (one for one in overrides if one.schedule == name),
                key=lambda one: (one.start, one.override),
            )
        ),
        gaps=_gaps(watch, now),
    )


def _holders(watch: Watch, at: int) -> tuple[Holder, ...]:
    return tuple(Holder(person=one.person, until=one.until) for one in on_call(watch, at))


def _gaps(watch: Watch, now: int) -> tuple[Gap, ...]:
    try:
        found = gaps(watch, now, now + _AHEAD)
    except TooLarge:
        return ()
    return tuple(Gap(start=start, end=end) for start, end in found[:_MOST_GAPS])


def _show(row: Row, now: int) -> OverrideRow:
    state: OverrideState
    if row.ended_at is not None:
        state = "ended"
    elif row.until <= now:
        state = "past"
    else:
        state = "now" if row.start_at <= now else "later"
    return OverrideRow(
        override=row.override,
        schedule=row.schedule,
        kind=row.kind,
        add=row.add_person,
        remove=row.remove_person,
        start=row.start_at,
        end=row.end_at,
        state=state,
        reason=row.reason,
        created_by=row.created_by,
        created_at=row.created_at,
        ended_by=row.ended_by,
        ended_at=row.ended_at,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/oncall",
        "read",
        read_oncall,
        "Who holds each role now and next; overrides; when nobody is on call in four weeks.",
        answers=OnCall,
        tags=("on call",),
    ),
    Operation(
        "GET",
        "/v1/oncall/who",
        "read",
        who,
        "Who holds a role, now or at a time (microseconds).",
        answers=Who,
        query=("role", "at"),
        tags=("on call",),
    ),
    Operation(
        "GET",
        "/v1/oncall/overrides",
        "read",
        list_overrides,
        "List overrides, the latest start first.",
        answers=Overrides,
        query=("schedule", "state"),
        tags=("on call",),
    ),
    Operation(
        "POST",
        "/v1/oncall/overrides",
        "person",
        add_override,
        "Change who is on call for a time. Needs `oncall`; `decide` to hand one's own shift.",
        answers=OverrideRow,
        takes=AddOverride,
        tags=("on call",),
    ),
    Operation(
        "POST",
        "/v1/oncall/overrides/{override}/end",
        "person",
        end_override,
        "End an override. Needs `oncall`; `decide` for one that the caller made.",
        answers=OverrideRow,
        takes=EndOverride,
        tags=("on call",),
    ),
    Operation(
        "GET",
        "/v1/oncall/{schedule}/shifts",
        "read",
        list_shifts,
        "List the shifts of a schedule between two times (microseconds), overrides counted.",
        answers=Shifts,
        query=("from", "until"),
        tags=("on call",),
    ),
)
