"""The plane itself: status, health, what needs a person, upstreams, stop, rehearsal clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from sqlalchemy import func, select
from starlette.responses import JSONResponse, Response

from watchkeeper.api.breakers import open_breakers
from watchkeeper.api.budgets import pressing_budgets
from watchkeeper.api.channels import needs_of_channels
from watchkeeper.api.erasing import needs_of_erasures
from watchkeeper.api.handovers import needs_of_handovers
from watchkeeper.api.health import unsettled_outcomes
from watchkeeper.api.incidents import open_incidents
from watchkeeper.api.ledger_needs import needs_of_ledger
from watchkeeper.api.locks import list_locks
from watchkeeper.api.needs import (
    from_agent,
    from_ailing,
    from_audit,
    from_budget,
    from_credential,
    from_no_coverage,
    from_request,
    from_review,
    from_undelivered,
    from_unsettled,
    from_upstream,
    from_vacancy,
    from_warned,
    rank,
)
from watchkeeper.api.oncall import names_of
from watchkeeper.api.requests import count_requests, pressing_requests, requests_to_review
from watchkeeper.api.runtimes import needs_of_runtimes
from watchkeeper.api.stopped_needs import from_breaker, from_incident, from_lock
from watchkeeper.api.table import Call, Operation
from watchkeeper.api.telemetry import needs_of_telemetry
from watchkeeper.api.tools import needs_of_tools
from watchkeeper.approvals.coverage import find_uncovered
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import NotFound, WatchkeeperError
from watchkeeper.decide.kill.effects import count_open_runs
from watchkeeper.decide.notices.webhooks import find_undelivered
from watchkeeper.decide.people.rota import PERSON_ROLE
from watchkeeper.decide.policies.warnings import find_warned
from watchkeeper.decide.runs.ailing import find_ailing
from watchkeeper.decide.runs.fleet import last_hour, list_agents
from watchkeeper.identity.model import Person
from watchkeeper.kill.tables import locks
from watchkeeper.oncall.rules import covers
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.pages import Page
from watchkeeper.wire.permissions import PERMISSIONS
from watchkeeper.wire.plane import AdvanceClock, Me, Need, Status, UpstreamRow

_MOST_AGENTS = 2000


async def health(call: Call) -> Response:
    """Say that the process answers."""
    return JSONResponse({"status": "alive", "version": call.rooms.version})


async def readiness(call: Call) -> Response:
    """Say whether the plane can decide, and how its parts do."""
    rooms = call.rooms
    try:
        await rooms.store.read(lambda tx: tx.connection.execute(select(1)).scalar_one())
        store = rooms.store_state()
    except WatchkeeperError as error:
        store = error.code
    ready = store == "ok" and not rooms.ending.is_set()
    parts = {
        "ready": ready,
        "store": store,
        "stopping": rooms.ending.is_set(),
        "upstreams": {row.name: row.state for row in rooms.upstreams()},
        "loop_lag_ms": round(rooms.lag_ms, 1),
    }
    return JSONResponse(parts, 200 if ready else 503)


async def status(call: Call) -> Status:
    """Return what the header of every screen shows."""
    rooms, me = call.rooms, call.who
    held = rooms.view.now.roles if me.owner else call.roles

    head = rooms.store.head

    def query(tx: Transaction) -> tuple[int, tuple[int, int], int]:
        in_force = select(func.count()).select_from(locks).where(locks.c.lifted_at.is_(None))
        return (
            int(tx.connection.execute(in_force).scalar_one()),
            last_hour(tx),
            count_open_runs(tx),
        )

    locked, (calls, spent), open_runs = await rooms.store.read(query)
    counts = await count_requests(call)
    on_call, until = _my_watch(call)
    return Status(
        environment=rooms.environment,
        plane=rooms.plane,
        version=rooms.version,
        me=show_me(me, held),
        now=rooms.clock.now(),
        sequence=head,
        locks=locked,
        waiting=counts.waiting,
        pending=counts.pending,
        late=counts.late,
        calls_hour=calls,
        spend_hour_micros=spent,
        agents=len(rooms.view.now.agents),
        open_runs=open_runs,
        rehearsal=isinstance(rooms.clock, RehearsalClock),
        store="ok" if rooms.store_state() == "ok" else "unavailable",
        on_call=on_call,
        on_call_until=until,
        upstreams_down=tuple(row.name for row in rooms.upstreams() if row.state == "down"),
    )


def _my_watch(call: Call) -> tuple[tuple[str, ...], int | None]:
    """Return in which schedules the caller is on call, and until when in the last of them."""
    rota, now, names = call.rooms.view.now.rota, call.rooms.clock.now(), names_of(call.who)
    mine = rota.on_call_in(names, now)
    found = [one.until for name in mine for one in rota.ends(name, now) if one.person in names]
    until = None if None in found else max((one for one in found if one is not None), default=None)
    return mine, until


def show_me(me: Person, held: Iterable[str]) -> Me:
    """Return a caller as the API tells them who they are."""
    return Me(
        person=me.name,
        roles=tuple(sorted(role for role in held if not role.startswith(PERSON_ROLE))),
        permission=", ".join(me.roles),
        via=me.via,
        permissions=tuple(sorted(one for one in PERMISSIONS if me.may(one))),
    )


async def whoami(call: Call) -> Me:
    """Say who the plane takes the caller for."""
    me = call.who
    return show_me(me, call.rooms.view.now.roles if me.owner else call.roles)


async def watch(call: Call) -> Page[Need]:
    """List what needs a person now, most pressing first."""
    rooms, limit = call.rooms, call.limit()
    now, catalogue = rooms.clock.now(), rooms.view.now
    may_raise, may_lift = call.who.may("top-up"), call.who.may("lift")
    head, catalogue = rooms.store.head, catalogue.seen_in(call.who.permissions.teams("read"))

    def query(tx: Transaction) -> list[Need | None]:
        agents, _, _ = list_agents(tx, catalogue, after=None, limit=_MOST_AGENTS)
        ailing = find_ailing(tx, [row.name for row in agents if row.ailing_runs])
        runs = [need for row in agents for need in from_ailing(row, ailing.get(row.name, ()))]
        return [*(from_agent(row, now) for row in agents), *runs]

    found = await rooms.store.read(query)
    found += [from_request(row, now) for row in await pressing_requests(call)]
    found += [
        from_review(row, now, mine=row.alone_by != call.actor and covers(call.roles, row.role))
        for row in await requests_to_review(call)
    ]
    found += [from_budget(row, now, mine=may_raise) for row in await pressing_budgets(call)]
    found += [from_lock(row, now, mine=may_lift) for row in (await list_locks(call)).rows]
    opened = await open_incidents(call)
    found += [from_incident(row, now, mine=may_lift) for row in opened]
    if catalogue.breakers:
        tripped = await open_breakers(call)
        found += [from_breaker(row, now, mine=may_lift) for row in tripped]
    found += [from_unsettled(row, mine=may_lift) for row in await unsettled_outcomes(call)]
    found += [from_upstream(row, now) for row in rooms.upstreams()]
    found += await needs_of_runtimes(call)
    found += await needs_of_telemetry(call)
    found += await needs_of_handovers(call)
    found += needs_of_tools(catalogue, mine=call.who.may("tools-accept"))
    if catalogue.shadows:
        warned = await rooms.store.read(lambda tx: find_warned(tx, catalogue))
        may_stage = call.who.may("policy-activate")
        found += [from_warned(one, mine=may_stage) for one in warned]
    # of a receiver that was gone for long there may be any number
    undelivered = await rooms.store.scan(lambda tx: find_undelivered(tx, rooms.view.now))
    may_send = call.who.may("deliveries")
    found += [from_undelivered(one, mine=may_send) for one in undelivered]
    vacancies = await asyncio.to_thread(rooms.ahead.find, catalogue.rota, now)
    may_cover = call.who.may("oncall")
    found += [from_vacancy(one, catalogue.rota, now, mine=may_cover) for one in vacancies]
    found += [from_credential(one, now) for one in await rooms.credential_troubles()]
    found += await needs_of_channels(rooms, now, mine=call.who.may("deliveries"))
    found += needs_of_ledger(rooms.audit, now, mine=call.who.may("audit"))
    found += await needs_of_erasures(rooms, now, mine=call.who.may("audit"))
    audited = rooms.audited()
    if audited is not None:
        found.append(from_audit(*audited))
    may_cover = call.who.may("oncall")
    uncovered = await rooms.store.read(lambda tx: find_uncovered(tx, rooms.decider.coverage))
    seen = [one for one in uncovered if one.agent in catalogue.agents]
    found.append(from_no_coverage(seen, mine=may_cover))
    ranked = rank(need for need in found if need is not None)
    return Page[Need](rows=ranked[:limit], total=len(ranked), sequence=head)


async def list_upstreams(call: Call) -> Page[UpstreamRow]:
    """List upstreams and providers and how they do."""
    return Page[UpstreamRow](rows=tuple(call.rooms.upstreams()), sequence=call.rooms.store.head)


async def advance_clock(call: Call) -> Status:
    """Move the clock of a rehearsal forward; timers that fall due fire at once."""
    body: AdvanceClock = call.body
    clock = call.rooms.clock
    if not isinstance(clock, RehearsalClock):
        raise NotFound(
            "this plane runs on the wall clock",
            remedy="only a plane started with --rehearsal-clock has a clock to move",
        )
    clock.advance(body.advance_seconds)
    await call.rooms.sweep()
    return await status(call)


async def stop(call: Call) -> None:
    """Begin the ordered stop."""
    call.rooms.stop()


OPERATIONS = (
    Operation("GET", "/healthz", "anyone", health, "Whether the process answers.", tags=("plane",)),
    Operation("GET", "/readyz", "anyone", readiness, "Whether it can decide.", tags=("plane",)),
    Operation(
        "GET",
        "/v1/status",
        "read",
        status,
        "Who I am, and the figures of every screen's header.",
        answers=Status,
        tags=("plane",),
    ),
    Operation(
        "GET",
        "/v1/me",
        "person",
        whoami,
        "Who I am here, and what I may do.",
        answers=Me,
        tags=("plane",),
    ),
    Operation(
        "GET",
        "/v1/watch",
        "read",
        watch,
        "List what needs a person now, ranked by harm and time left.",
        answers=Page[Need],
        query=("limit",),
        tags=("plane",),
    ),
    Operation(
        "GET",
        "/v1/upstreams",
        "read",
        list_upstreams,
        "List upstreams and providers and how they do.",
        answers=Page[UpstreamRow],
        tags=("plane",),
    ),
    Operation(
        "POST",
        "/v1/rehearsal/clock",
        "plane",
        advance_clock,
        "Move the clock of a rehearsal forward.",
        answers=Status,
        takes=AdvanceClock,
        tags=("plane",),
    ),
    Operation(
        "POST",
        "/v1/plane/stop",
        "plane",
        stop,
        "Stop the plane in order.",
        tags=("plane",),
    ),
)
