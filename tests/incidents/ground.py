"""Guarded agents over a store, and what becomes of their incidents."""

from __future__ import annotations

from typing import Any

from tests.kill.guarded import Guarded
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.activity import purge_activity
from watchkeeper.decide.held.deferred import purge_deferred
from watchkeeper.decide.incidents.report import write_report
from watchkeeper.decide.incidents.timeline import read_timeline
from watchkeeper.decide.repeats import purge_calls
from watchkeeper.decide.runs.children import expire_runs
from watchkeeper.identity.purging import purge_expired
from watchkeeper.incidents import service
from watchkeeper.incidents.model import Change
from watchkeeper.kill.model import LockTarget, NewLock
from watchkeeper.outbox import service as outbox
from watchkeeper.runtimes import changes
from watchkeeper.store.journal import Event
from watchkeeper.store.statement import Row
from watchkeeper.wire.incidents import IncidentReport
from watchkeeper.wire.locks import Mode, TargetKind

BOB = "person/bob"


async def stop(
    ground: Guarded,
    kind: TargetKind,
    name: str,
    mode: Mode = "stop",
    *,
    by: str = BOB,
    incident: str | None = None,
    reason: str = "odd",
) -> tuple[str, str | None]:
    """Put a lock in force; return it with the incident that it belongs to."""
    made, _ = await ground.kill.lock(
        NewLock(LockTarget(kind, name), mode=mode, reason=reason, by=by, incident=incident)
    )
    return made.lock, await ground.store.read(lambda tx: service.incident_of(tx, made.lock))


async def find(ground: Guarded, incident: str | None) -> Row:
    """Read an incident's row."""
    return await ground.store.read(lambda tx: service.find(tx, incident or ""))


async def note(ground: Guarded, incident: str | None, text: str, **changed: Any) -> None:
    """Note something."""
    row = await find(ground, incident)
    change = Change(**changed)
    await ground.store.write(lambda tx: service.note(tx, row, text, change, by=BOB))


async def close(ground: Guarded, incident: str | None, reason: str = "over") -> None:
    """Close an incident."""
    row = await find(ground, incident)
    await ground.store.write(lambda tx: service.close(tx, row, by=BOB, reason=reason))


async def reopen(ground: Guarded, incident: str | None) -> None:
    """Open it again."""
    row = await find(ground, incident)
    await ground.store.write(lambda tx: service.reopen(tx, row, by=BOB, reason="again"))


async def report(ground: Guarded, incident: str | None, at: int | None = None) -> IncidentReport:
    """Write the report as of an entry."""
    row = await find(ground, incident)
    upto = ground.store.head if at is None else at
    return await ground.store.scan(lambda tx: write_report(tx, row, lambda event: event.type, upto))


async def whole(
    ground: Guarded, incident: str | None, limit: int, *, before: int | None = None
) -> list[Event]:
    """Read a timeline page by page: from where it began, or back from before an entry."""
    row = await find(ground, incident)
    found: list[Event] = []
    after: int | None = None
    while True:
        page, following = await ground.store.read(
            lambda tx, a=after, b=before: read_timeline(tx, row, after=a, before=b, limit=limit)  # type: ignore[misc]
        )
        found += page
        assert len(page) <= limit
        if following is None:
            return found
        if before is not None:
            before = following
        else:
            after = following


async def purge_all(ground: Guarded) -> None:
    """Purge whatever the plane purges as time goes by."""
    now = ground.store.clock.now()
    day = 86_400 * MICROSECONDS
    await ground.store.write(lambda tx: purge_expired(tx, now - day))
    await ground.store.write(lambda tx: expire_runs(tx, now - day))
    await ground.store.write(lambda tx: purge_activity(tx, now - 2 * day))
    await ground.store.write(purge_calls)
    await ground.store.write(purge_deferred)
    await ground.store.write(lambda tx: outbox.purge(tx, now - 30 * day))
    await ground.store.write(changes.purge)
