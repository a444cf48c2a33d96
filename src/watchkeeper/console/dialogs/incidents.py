"""What people do with an incident: note, close, open again, and read its report."""

from __future__ import annotations

from watchkeeper.console.blocks import Blank, Prose
from watchkeeper.console.desk import Desk, Field, Question
from watchkeeper.console.views.incidents import blocks, report_blocks
from watchkeeper.wire.incidents import (
    SEVERITIES,
    CloseIncident,
    IncidentRow,
    Note,
    ReopenIncident,
    Severity,
)


def severity_of(text: str) -> Severity | None:
    """Read a severity by any beginning of its word; None for another text."""
    wanted = text.strip().lower()
    found = [one for one in SEVERITIES if wanted and one.startswith(wanted)]
    return found[0] if len(found) == 1 else None


async def note(desk: Desk, row: IncidentRow) -> None:
    """Ask for a note, and for what it changes."""

    def check(text: str) -> str | None:
        known = ", ".join(SEVERITIES)
        return None if not text.strip() or severity_of(text) else f"one of {known}, or nothing"

    reply = await desk.ask(
        Question(
            title="Note on this incident",
            body=blocks(row, desk.moment()),
            confirm="Note",
            reason="required",
            reason_label="What is to be noted",
            fields=(
                Field("severity", "Severity, if it changes", check),
                Field("owner", "Owner, if it changes"),
            ),
        )
    )
    if not reply.confirmed:
        return
    owner = reply.values.get("owner", "").strip() or None
    severity = severity_of(reply.values.get("severity", ""))
    await desk.client.note_incident(
        row.incident, Note(text=reply.reason or "", severity=severity, owner=owner)
    )
    desk.say("noted", "good")
    desk.mark_dirty()


async def close_or_reopen(desk: Desk, row: IncidentRow) -> None:
    """Close an open incident, open a closed one again; each with a reason."""
    closing = row.state == "open"
    body = blocks(row, desk.moment())
    if closing and row.in_force:
        body += [Blank(), Prose("Locks of it are still in force; they stay so.", "warning")]
    if closing and row.unknown:
        body += [Blank(), Prose("Outcomes of it are still unknown.", "warning")]
    if closing:
        body += [Blank(), Prose("What is kept for it is purged as usual from then on.", "quiet")]
    reply = await desk.ask(
        Question(
            title="Close this incident?" if closing else "Open this incident again?",
            body=body,
            confirm="Close it" if closing else "Open it",
            reason="required",
        )
    )
    if not reply.confirmed:
        return
    reason = reply.reason or ""
    if closing:
        await desk.client.close_incident(row.incident, CloseIncident(reason=reason))
    else:
        await desk.client.reopen_incident(row.incident, ReopenIncident(reason=reason))
    desk.say("closed" if closing else "open again", "good")
    desk.mark_dirty()


async def report(desk: Desk, row: IncidentRow) -> None:
    """Show the report, made now."""
    desk.say("the report is being made …")
    found = await desk.client.incident_report(row.incident)
    desk.say(f"the report up to entry {found.sequence}")
    await desk.view(f"Report: {row.title}", report_blocks(found.text))
