"""Incidents: what was stopped and why, what came of it, and what people noted."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from watchkeeper.wire.base import Reason, Sent, Shown
from watchkeeper.wire.locks import LockRow, Mode, Receipt, ShownTarget, Target

IncidentState = Literal["open", "closed"]
Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
Joined = Literal["opened", "widened", "named"]
"""How a lock came to belong to an incident. opened: it opened it; widened: it covers all that a
lock of the incident covers; named: a person said so."""

Title = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Owner = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]


class IncidentRow(Shown):
    """An incident in a list."""

    incident: str
    title: str
    """Of a person, as are `owner` and every reason and note: text, whatever is in it."""
    severity: Severity
    state: IncidentState
    owner: str
    """Who answers for it: whoever stopped, until somebody else is named."""
    team: str = ""
    """The team that all of it belongs to; empty: several, or none."""
    targets: tuple[ShownTarget, ...]
    """What its locks are on, oldest first."""
    in_force: int
    """How many of its locks are in force."""
    unknown: int = 0
    """Outcomes of what it covers that nobody knows yet."""
    notes: int = 0
    opened_at: int
    opened_by: str
    closed_at: int | None = None
    closed_by: str | None = None
    closed_why: str | None = None
    since: int
    """From when on its timeline tells what led to it: a day before; microseconds."""
    sequence: int
    """The event that opened it."""


class IncidentLock(LockRow):
    """A lock that belongs to an incident, with its receipts."""

    joined: Joined
    joined_at: int
    joined_by: str
    left_at: int | None = None
    """When it was moved to another incident."""


class IncidentNote(Shown):
    """What a person noted."""

    sequence: int
    at: int
    by: str
    text: str
    severity: Severity | None = None
    """What the note changed, as `title` and `owner`."""
    title: str | None = None
    owner: str | None = None


class IncidentDetail(IncidentRow):
    """An incident with its locks and notes."""

    locks: tuple[IncidentLock, ...]
    noted: tuple[IncidentNote, ...]
    """Oldest first; of many, the newest 200."""
    held: tuple[str, ...]
    """What nothing is purged of while it is open, as KIND/NAME; of many, the first 100."""
    held_count: int
    as_of: int
    """The newest event that this reflects."""


class Note(Sent):
    """Note something, and change what it says of the incident."""

    text: Reason
    severity: Severity | None = None
    title: Title | None = None
    owner: Owner | None = None


class JoinIncident(Sent):
    """Have a lock belong to this incident, whatever it belonged to."""

    lock: str = Field(max_length=100)
    reason: Reason


class CloseIncident(Sent):
    """Close an incident: what it held back is purged again as usual."""

    reason: Reason


class ReopenIncident(Sent):
    """Open a closed incident again."""

    reason: Reason


class ReportedLock(Shown):
    """A lock as the report has it: the last that each party said, and how long that took."""

    lock: str
    target: Target
    mode: Mode
    reason: str
    by: str
    at: int
    epoch: int
    joined: Joined
    lifted_at: int | None = None
    lifted_by: str | None = None
    lifted_why: str | None = None
    receipts: tuple[Receipt, ...] = ()
    alarms: int = 0
    """How often it was told that a receipt stays unconfirmed."""


class ReportedRun(Shown):
    """A run that was stopped."""

    run: str
    agent: str
    lock: str
    at: int


class ReportedOutcome(Shown):
    """A permitted action of which nobody knew how it ended, and who then said how."""

    decision: str
    agent: str
    run: str
    name: str
    at: int
    """When it was found that nobody knows."""
    settled: Literal["succeeded", "failed"] | None = None
    settled_by: str | None = None
    settled_at: int | None = None
    settled_why: str | None = None


class ReportedEvent(Shown):
    """An entry of the ledger, in words."""

    sequence: int
    at: int
    type: str
    text: str


class IncidentReport(Shown):
    """What happened, from the ledger up to one entry: the same entry gives the same report."""

    incident: str
    title: str
    severity: Severity
    state: IncidentState
    owner: str
    opened_at: int
    opened_by: str
    closed_at: int | None = None
    closed_by: str | None = None
    closed_why: str | None = None
    sequence: int
    """The entry of the ledger up to which it tells."""
    chain_hash: str
    """Of that entry."""
    locks: tuple[ReportedLock, ...]
    runs: tuple[ReportedRun, ...]
    """Runs that were stopped; of many, the first 100."""
    run_count: int
    requests_revoked: int
    refused: int
    """Calls that a lock has refused since it began."""
    outcomes: tuple[ReportedOutcome, ...]
    """Of many, the first 100."""
    outcome_count: int
    told: tuple[ReportedEvent, ...]
    """Who was told, and who could not be."""
    notes: tuple[IncidentNote, ...]
    before: tuple[ReportedEvent, ...]
    """The last that was decided of what it covers, before it began."""
    timeline: tuple[ReportedEvent, ...]
    """What matters of what happened since, the first 200; all of it: the incident's timeline."""
    timeline_count: int
    entries: int
    """How many entries of the ledger it was made of."""
    complete: bool = True
    """False where there was more than is looked at."""
    text: str
    """All of it in Markdown."""
    digest: str
    """Of the text."""
