"""Incidents: what was stopped, what came of it, what people noted, and the report."""

from __future__ import annotations

from collections.abc import Iterable

from watchkeeper.api.events import event_row
from watchkeeper.api.locks import show_lock, show_target
from watchkeeper.api.table import MOST_ROWS, Call, Operation
from watchkeeper.api.words import say
from watchkeeper.decide.contents import without_secrets
from watchkeeper.decide.incidents.opening import join_by_word, team_of
from watchkeeper.decide.incidents.report import notes_of, write_report
from watchkeeper.decide.incidents.timeline import (
    of_incident,
    read_timeline,
    scope_of,
    unknown_outcomes,
)
from watchkeeper.incidents import service
from watchkeeper.incidents.model import Change
from watchkeeper.kill import service as locks
from watchkeeper.ledger.reading import read_events
from watchkeeper.store.journal import Event
from watchkeeper.store.retention import held_by
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.incidents import (
    CloseIncident,
    IncidentDetail,
    IncidentLock,
    IncidentReport,
    IncidentRow,
    JoinIncident,
    Note,
    ReopenIncident,
)
from watchkeeper.wire.pages import Page
from watchkeeper.wire.permissions import Permission
from watchkeeper.wire.plane import EventRow

_MOST_NOTES = 200
_MOST_HELD = 100


async def list_incidents(call: Call) -> Page[IncidentRow]:
    """List incidents, newest first."""
    state = call.one_of("state", ("open", "closed", "all"))
    after, limit, head = call.text("after"), call.limit(), call.rooms.store.head
    teams = call.who.permissions.teams("read")

    def query(tx: Transaction) -> tuple[list[IncidentRow], str | None, int]:
        rows, total = service.list_incidents(
            tx, state=state, teams=teams, after=after, limit=limit + 1
        )
        page = rows[:limit]
        return _rows(tx, page), page[-1].incident if len(rows) > limit else None, total

    rows, following, total = await call.rooms.store.scan(query)
    return Page[IncidentRow](rows=tuple(rows), next=following, total=total, sequence=head)


async def open_incidents(call: Call) -> list[IncidentRow]:
    """Return the open incidents that the caller may read, a bounded number."""
    teams = call.who.permissions.teams("read")

    def query(tx: Transaction) -> list[IncidentRow]:
        rows, _ = service.list_incidents(tx, teams=teams, limit=MOST_ROWS)
        return _rows(tx, rows)

    return await call.rooms.store.scan(query)


async def show_incident(call: Call) -> IncidentDetail:
    """Show an incident with its locks and notes."""
    row = await _find(call, "read")
    return await _detail(call, row.incident)


async def timeline(call: Call) -> Page[EventRow]:
    """List the ledger's entries about an incident."""
    row = await _find(call, "read")
    after, before, limit = call.whole("after"), call.whole("before"), call.limit()
    head = call.rooms.store.head
    found, following = await call.rooms.store.scan(
        lambda tx: read_timeline(
            tx, service.find(tx, row.incident), after=after, before=before, limit=limit
        )
    )
    return Page[EventRow](
        rows=tuple(event_row(event) for event in found),
        next=None if following is None else str(following),
        sequence=head,
    )


async def report(call: Call) -> IncidentReport:
    """Generate the report as of an entry of the ledger."""
    row = await _find(call, "read")
    upto = call.whole("at")
    return await _report(call, row.incident, upto)


async def note(call: Call) -> IncidentDetail:
    """Keep what a person notes."""
    body: Note = call.body
    row = await _find(call, "lock")
    change = Change(
        severity=body.severity,
        title=without_secrets(body.title) if body.title else None,
        owner=without_secrets(body.owner) if body.owner else None,
    )
    text = without_secrets(body.text)
    await call.rooms.store.write(
        lambda tx: service.note(tx, service.find(tx, row.incident), text, change, by=call.actor)
    )
    return await _detail(call, row.incident)


async def join(call: Call) -> IncidentDetail:
    """Have a lock belong to an incident."""
    body: JoinIncident = call.body
    row = await _find(call, "lock")
    catalogue = call.rooms.view.now

    def unit(tx: Transaction) -> None:
        lock = locks.as_lock(locks.find(tx, body.lock))
        call.check_team("lock", team_of(tx, catalogue, lock.target))
        was = service.incident_of(tx, lock.lock)
        if was is not None:
            call.check_team("lock", service.find(tx, was).team)
        join_by_word(
            tx,
            catalogue,
            service.find(tx, row.incident),
            lock,
            by=call.actor,
            reason=without_secrets(body.reason),
        )

    await call.rooms.store.write(unit)
    return await _detail(call, row.incident)


async def close(call: Call) -> IncidentDetail:
    """Close an incident, with the digest of its report as it stood just before."""
    body: CloseIncident = call.body
    row = await _find(call, "lift")
    found = await _report(call, row.incident, None)
    reason = without_secrets(body.reason)
    await call.rooms.store.write(
        lambda tx: service.close(
            tx,
            service.find(tx, row.incident),
            by=call.actor,
            reason=reason,
            report={"sequence": found.sequence, "digest": found.digest},
        )
    )
    return await _detail(call, row.incident)


async def reopen(call: Call) -> IncidentDetail:
    """Open a closed incident again."""
    body: ReopenIncident = call.body
    row = await _find(call, "lift")
    reason = without_secrets(body.reason)
    await call.rooms.store.write(
        lambda tx: service.reopen(tx, service.find(tx, row.incident), by=call.actor, reason=reason)
    )
    return await _detail(call, row.incident)


async def _find(call: Call, needed: Permission) -> Row:
    """Return the incident that a call is about, if the caller may do this with it."""
    name = call.path("incident")
    row = await call.rooms.store.read(lambda tx: service.find(tx, name))
    call.check_team(needed, row.team)
    return row


async def _report(call: Call, incident: str, upto: int | None) -> IncidentReport:
    head = call.rooms.store.head

    def words(event: Event) -> str:
        return say(event.type, event.actor, event.subject, event.agent, event.body)

    return await call.rooms.store.scan(
        lambda tx: write_report(
            tx, service.find(tx, incident), words, head if upto is None else upto
        )
    )


async def _detail(call: Call, incident: str) -> IncidentDetail:
    head = call.rooms.store.head
    return await call.rooms.store.scan(lambda tx: _read(tx, incident, head))


def _read(tx: Transaction, incident: str, head: int) -> IncidentDetail:
    row = service.find(tx, incident)
    (shown,) = _rows(tx, [row])
    held = [f"{one.kind}/{one.name}" for one in held_by(tx, incident) if one.let_go_at is None]
    noted = read_events(
        tx,
        subject=f"incident/{incident}",
        type="incident.noted",
        newest_first=True,
        limit=_MOST_NOTES,
    )
    return IncidentDetail(
        **dict(shown),
        locks=tuple(
            IncidentLock(
                **dict(show_lock(tx, locks.find(tx, one.lock))),
                joined=one.joined,
                joined_at=one.joined_at,
                joined_by=one.joined_by,
                left_at=one.left_at,
            )
            for one in service.locks_of(tx, incident, left=True)
        ),
        noted=notes_of(noted[::-1]),
        held=tuple(held[:_MOST_HELD]),
        held_count=len(held),
        as_of=head,
    )


def _rows(tx: Transaction, rows: Iterable[Row]) -> list[IncidentRow]:
    unknown = unknown_outcomes(tx)
    found = []
    for row in rows:
        mine = [locks.find(tx, one.lock) for one in service.locks_of(tx, row.incident)]
        scope = scope_of(tx, row.incident) if unknown else None
        found.append(
            IncidentRow(
                incident=row.incident,
                title=row.title,
                severity=row.severity,
                state=row.state,
                owner=row.owner,
                team=row.team,
                targets=tuple(show_target(lock.target_kind, lock.target_name) for lock in mine),
                in_force=sum(lock.lifted_at is None for lock in mine),
                unknown=len(of_incident(unknown, row, scope)) if scope else 0,
                notes=row.notes,
                opened_at=row.opened_at,
                opened_by=row.opened_by,
                closed_at=row.closed_at,
                closed_by=row.closed_by,
                closed_why=row.closed_why,
                since=row.since,
                sequence=row.sequence,
            )
        )
    return found


_TAGS = ("incidents",)
OPERATIONS = (
    Operation(
        "GET",
        "/v1/incidents",
        "read",
        list_incidents,
        "List incidents, newest first.",
        answers=Page[IncidentRow],
        query=("state", "after", "limit"),
        tags=_TAGS,
    ),
    Operation(
        "GET",
        "/v1/incidents/{incident}",
        "read",
        show_incident,
        "Show an incident with its locks, receipts and notes.",
        answers=IncidentDetail,
        tags=_TAGS,
    ),
    Operation(
        "GET",
        "/v1/incidents/{incident}/timeline",
        "read",
        timeline,
        "List ledger entries about an incident, oldest first from where it began or after one; "
        "newest first before one.",
        answers=Page[EventRow],
        query=("after", "before", "limit"),
        tags=_TAGS,
    ),
    Operation(
        "GET",
        "/v1/incidents/{incident}/report",
        "read",
        report,
        "Generate the report of an incident as of an entry of the ledger (`at`).",
        answers=IncidentReport,
        query=("at",),
        tags=_TAGS,
    ),
    Operation(
        "POST",
        "/v1/incidents/{incident}/notes",
        "lock",
        note,
        "Note something on an incident; change its severity, title or owner.",
        answers=IncidentDetail,
        takes=Note,
        by_team=True,
        tags=_TAGS,
    ),
    Operation(
        "POST",
        "/v1/incidents/{incident}/join",
        "lock",
        join,
        "Have a lock belong to an incident.",
        answers=IncidentDetail,
        takes=JoinIncident,
        by_team=True,
        tags=_TAGS,
    ),
    Operation(
        "POST",
        "/v1/incidents/{incident}/close",
        "lift",
        close,
        "Close an incident; what it held back is purged again as usual.",
        answers=IncidentDetail,
        takes=CloseIncident,
        by_team=True,
        tags=_TAGS,
    ),
    Operation(
        "POST",
        "/v1/incidents/{incident}/reopen",
        "lift",
        reopen,
        "Open a closed incident again.",
        answers=IncidentDetail,
        takes=ReopenIncident,
        by_team=True,
        tags=_TAGS,
    ),
)
