"""The report of an incident, made of the ledger's entries up to one: the same entry, the same
report, whoever asks and whenever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from watchkeeper.core.digest import digest
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.incidents.text import write_text
from watchkeeper.decide.incidents.timeline import Scope, read_timeline, scope_of
from watchkeeper.ledger.reading import LARGEST_WINDOW, read_about, read_events
from watchkeeper.store.journal import Event
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.incidents import (
    IncidentNote,
    IncidentReport,
    Joined,
    ReportedEvent,
    ReportedLock,
    ReportedOutcome,
    ReportedRun,
)
from watchkeeper.wire.locks import Receipt, Target

MOST_ENTRIES = 20_000
"""Entries that one report is made of."""
MOST_LISTED = 100
"""Runs, outcomes and people told that are listed; all are counted."""
MOST_SHOWN = 200
"""Entries of its timeline that a report shows."""
_MOST_BEFORE = 10
_LOOKED_BEFORE = 300
_PAGE = 500
_ROUTINE = frozenset({
    "decision.permitted", "decision.denied", "decision.held", "outcome.recorded",
    "run.token_renewed", "run.token_exported", "receipt.recorded", "route.escalated",
    "route.reduced", "price.kept",
})  # fmt: skip
"""What happens all the time, or is told elsewhere in the report."""
Say = Callable[[Event], str]
"""Puts an entry in words."""


@dataclass(slots=True)
class _Found:
    """What the entries tell, as they are read one after the other."""

    locks: dict[str, dict[str, Any]] = field(default_factory=dict)
    receipts: dict[str, dict[tuple[str, str], Receipt]] = field(default_factory=dict)
    runs: list[ReportedRun] = field(default_factory=list)
    run_count: int = 0
    requests_revoked: int = 0
    refused: int = 0
    outcomes: dict[str, ReportedOutcome] = field(default_factory=dict)
    outcome_count: int = 0
    shown: list[Event] = field(default_factory=list)
    shown_count: int = 0
    entries: int = 0
    complete: bool = True


def write_report(tx: Transaction, row: Row, say: Say, upto: int) -> IncidentReport:
    """Return the report of an incident as of an entry; raise `Invalid` for one before it began."""
    if upto < row.sequence:
        raise Invalid(
            f"the incident began with entry {row.sequence}, after entry {upto}", where="at"
        )
    last = read_events(tx, after=upto - 1, before=upto + 1, limit=1)
    if not last:
        raise Invalid(f"the ledger has no entry {upto}", where="at")
    about = f"incident/{row.incident}"
    own = _all_of(tx, about, row.sequence - 1, upto)
    scope = scope_of(tx, row.incident, upto)
    facts, closed = _state(own), _closed(own)
    found = _Found()
    for event in own:
        if event.type in ("incident.opened", "incident.joined"):
            body = event.body
            joined = body.get("joined", "opened")
            found.locks.setdefault(body["lock"], {"joined": joined, "alarms": 0})
    as_of = row._replace(last=closed.sequence if closed else None)
    _read(tx, as_of, scope, upto, found)
    _settle(tx, found, upto)
    told = _told(tx, as_of, found, upto)
    report = IncidentReport(
        incident=row.incident,
        title=facts["title"],
        severity=facts["severity"],
        state="closed" if closed else "open",
        owner=facts["owner"],
        opened_at=own[0].at,
        opened_by=own[0].actor,
        closed_at=closed.at if closed else None,
        closed_by=closed.actor if closed else None,
        closed_why=closed.body["reason"] if closed else None,
        sequence=upto,
        chain_hash=last[0].chain_hash,
        locks=tuple(_lock(name, one, found) for name, one in found.locks.items() if "at" in one),
        runs=tuple(found.runs),
        run_count=found.run_count,
        requests_revoked=found.requests_revoked,
        refused=found.refused,
        outcomes=tuple(found.outcomes.values()),
        outcome_count=found.outcome_count,
        told=tuple(_shown(event, say) for event in told),
        notes=notes_of(own),
        before=tuple(_shown(event, say) for event in _before(tx, row, scope)),
        timeline=tuple(_shown(event, say) for event in found.shown),
        timeline_count=found.shown_count,
        entries=found.entries,
        complete=found.complete,
        text="",
        digest="",
    )
    text = write_text(report)
    return report.model_copy(
        update={"text": text, "digest": digest("watchkeeper/incident-report/v1", text)}
    )


def notes_of(own: Iterable[Event]) -> tuple[IncidentNote, ...]:
    """Return what people noted, of an incident's own entries."""
    return tuple(
        IncidentNote(
            sequence=event.sequence,
            at=event.at,
            by=event.actor,
            text=body["note"],
            severity=body.get("severity"),
            title=body.get("title"),
            owner=body.get("owner"),
        )
        for event in own
        if event.type == "incident.noted"
        for body in (event.body,)
    )


def _all_of(tx: Transaction, subject: str, after: int, upto: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < MOST_ENTRIES:
        window = read_events(
            tx, subject=subject, after=after, before=upto + 1, limit=LARGEST_WINDOW
        )
        found += window
        if len(window) < LARGEST_WINDOW:
            break
        after = window[-1].sequence
    return found


def _state(own: Iterable[Event]) -> dict[str, Any]:
    """Return what was said of the incident last."""
    facts: dict[str, Any] = {}
    for event in own:
        if event.type in ("incident.opened", "incident.joined", "incident.noted"):
            body = event.body
            facts |= {name: body[name] for name in ("title", "severity", "owner") if name in body}
    return facts


def _closed(own: Iterable[Event]) -> Event | None:
    closed: Event | None = None
    for event in own:
        if event.type == "incident.closed":
            closed = event
        elif event.type == "incident.reopened":
            closed = None
    return closed


def _read(tx: Transaction, row: Row, scope: Scope, upto: int, found: _Found) -> None:
    """Take in the timeline from where it began."""
    after: int | None = row.first - 1
    while after is not None:
        page, after = read_timeline(tx, row, after=after, before=upto + 1, limit=_PAGE, scope=scope)
        for event in page:
            _take(event, found)
        found.entries += len(page)
        if after is not None and found.entries >= MOST_ENTRIES:
            found.complete = False
            return


def _take(event: Event, found: _Found) -> None:
    kind, _, name = event.subject.partition("/")
    if kind == "lock" and name in found.locks:
        _take_lock(event, name, found)
    elif event.type == "run.stopped" and event.body.get("lock") in found.locks:
        found.run_count += 1
        if len(found.runs) < MOST_LISTED:
            found.runs.append(
                ReportedRun(
                    run=event.run or name,
                    agent=event.agent or "",
                    lock=event.body["lock"],
                    at=event.at,
                )
            )
        return
    elif event.type == "request.revoked" and event.body.get("lock") in found.locks:
        found.requests_revoked += 1
    elif event.type == "decision.denied":
        rule = str(event.body.get("rule", ""))
        found.refused += rule.partition("/")[0] == "lock"
    elif event.type == "outcome.recorded" and event.body.get("status") == "unknown":
        _take_unknown(event, found)
        _show(event, found)
        return
    if event.type not in _ROUTINE:
        _show(event, found)


def _take_lock(event: Event, name: str, found: _Found) -> None:
    body, one = event.body, found.locks[name]
    if event.type == "lock.created":
        kind, _, target = str(body["target"]).partition("/")
        one |= {
            "target": Target.model_validate({"kind": kind, "name": target}),
            "mode": body["mode"],
            "reason": body["reason"],
            "by": event.actor,
            "at": event.at,
            "epoch": body["epoch"],
        }
    elif event.type == "lock.lifted":
        one |= {"lifted_at": event.at, "lifted_by": event.actor, "lifted_why": body["reason"]}
    elif event.type == "lock.unconfirmed":
        one["alarms"] += 1
    elif event.type == "receipt.recorded":
        kept = found.receipts.setdefault(name, {})
        for said in body.get("receipts", ()):
            key = (said["effect"], said["party"])
            before = kept.get(key)
            kept[key] = Receipt(
                effect=said["effect"],
                party=said["party"],
                state=said["state"],
                detail=said["detail"],
                at=event.at,
                after_ms=(event.at - one.get("at", event.at)) / 1000,
                by=said.get("by"),
                attempts=1 if before is None else before.attempts + 1,
            )


def _take_unknown(event: Event, found: _Found) -> None:
    body = event.body
    decision = str(body.get("decision", ""))
    if decision in found.outcomes:
        return
    found.outcome_count += 1
    if len(found.outcomes) < MOST_LISTED:
        found.outcomes[decision] = ReportedOutcome(
            decision=decision,
            agent=event.agent or "",
            run=event.run or "",
            name=str(body.get("name", "")),
            at=event.at,
        )


def _settle(tx: Transaction, found: _Found, upto: int) -> None:
    """Look up who said how it ended, where nobody knew."""
    for decision, one in found.outcomes.items():
        later = read_events(
            tx,
            subject=f"decision/{decision}",
            after=0,
            before=upto + 1,
            newest_first=True,
            limit=10,
        )
        for event in later:
            body = event.body
            status = body.get("status")
            by_person = event.type == "outcome.reconciled"
            if status in ("succeeded", "failed") and (
                by_person or event.type == "outcome.recorded"
            ):
                found.outcomes[decision] = one.model_copy(
                    update={
                        "settled": status,
                        "settled_by": event.actor,
                        "settled_at": event.at,
                        "settled_why": body.get("reason") if by_person else body.get("error"),
                    }
                )
                break


def _told(tx: Transaction, row: Row, found: _Found, upto: int) -> list[Event]:
    """Return how it went to tell people of its locks."""
    end = min(upto, row.last or upto, row.first + MOST_ENTRIES)
    told = {
        event.sequence
        for lock in found.locks
        for event in read_events(
            tx, subject=f"lock/{lock}", type="lock.", before=upto + 1, limit=LARGEST_WINDOW
        )
    }
    deliveries = read_events(
        tx, type="delivery.", after=row.first, before=end + 1, limit=LARGEST_WINDOW
    )
    return [event for event in deliveries if event.body.get("event") in told][:MOST_LISTED]


def _before(tx: Transaction, row: Row, scope: Scope) -> list[Event]:
    """Return the last that was decided of what it covers, before it began; oldest first."""
    if scope.everything:
        window = read_events(tx, before=row.first, limit=_LOOKED_BEFORE, newest_first=True)
    else:
        window = read_about(
            tx, scope.covered, before=row.first, limit=_LOOKED_BEFORE, newest_first=True
        )
    decided = [
        event
        for event in window
        if event.at >= row.since and event.type.startswith(("decision.", "outcome."))
    ]
    return decided[:_MOST_BEFORE][::-1]


def _lock(name: str, one: dict[str, Any], found: _Found) -> ReportedLock:
    joined: Joined = one["joined"]
    kept = found.receipts.get(name, {})
    rest = {key: value for key, value in one.items() if key != "joined"}
    return ReportedLock(lock=name, joined=joined, receipts=tuple(kept.values()), **rest)


def _show(event: Event, found: _Found) -> None:
    found.shown_count += 1
    if len(found.shown) < MOST_SHOWN:
        found.shown.append(event)


def _shown(event: Event, say: Say) -> ReportedEvent:
    return ReportedEvent(sequence=event.sequence, at=event.at, type=event.type, text=say(event))
