"""Incidents: what was stopped, what came of it, what people noted, and what is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from watchkeeper.console.blocks import Blank, Block, Code, Fact, Line, Prose, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, Token, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.views.events import token_of
from watchkeeper.console.views.locks import milliseconds_text, state_span
from watchkeeper.console.words import (
    RECEIPTS,
    brief_text,
    moment_text,
    person_text,
    plural,
    say,
    target_text,
    time_text,
)
from watchkeeper.wire.incidents import IncidentDetail, IncidentLock, IncidentNote, IncidentRow
from watchkeeper.wire.locks import OPEN
from watchkeeper.wire.plane import EventRow

SHOWN_ENTRIES = 60
"""Of a timeline; all of it is in the report and on the command line."""
_TOKENS: Mapping[str, Token] = {
    "critical": "critical",
    "high": "critical",
    "medium": "warning",
    "low": "text",
}


@dataclass(frozen=True)
class IncidentFile:
    """An incident with the beginning of its timeline."""

    detail: IncidentDetail
    timeline: Sequence[EventRow] = ()


def cells(row: IncidentRow, moment: Moment) -> Mapping[str, Span]:
    """Return the cells of an incident."""
    return {
        "since": moment.age(row.opened_at),
        "state": state_of(row),
        "severity": span(row.severity, _TOKENS[row.severity]),
        "title": span(brief_text(row.title), "strong"),
        "locks": span(
            f"{row.in_force} in force" if row.in_force else "lifted",
            "critical" if row.in_force else "quiet",
        ),
        "unknown": span(str(row.unknown) if row.unknown else "–",
                        "critical" if row.unknown else "quiet"),
        "owner": span(person_text(row.owner)),
    }  # fmt: skip


def state_of(row: IncidentRow) -> Span:
    """Say whether it is open."""
    return span("● open", "critical") if row.state == "open" else span("○ closed", "quiet")


def summary(rows: Iterable[IncidentRow]) -> Sequence[Span]:
    """Count what is open, and what nobody knows."""
    held = list(rows)
    still = [row for row in held if row.state == "open"]
    unknown = sum(row.unknown for row in still)
    spans = [span(f"{plural(len(still), 'open incident')} of {len(held)}", "quiet")]
    if unknown:
        spans.append(span(f" · {plural(unknown, 'outcome')} that nobody knows", "critical"))
    return spans


def blocks(row: IncidentRow, moment: Moment) -> list[Block]:
    """Write what the list knows of an incident."""
    held: list[Block] = [
        Prose(row.title, "strong"),
        Line([state_of(row), span("  "), span(f"{row.severity} severity", _TOKENS[row.severity])]),
        Fact("owner", person_text(row.owner)),
        Fact(
            "opened", f"by {person_text(row.opened_by)}, {moment_text(row.opened_at, moment.now)}"
        ),
    ]
    if row.closed_at is not None:
        held.append(Fact("closed", _by(row.closed_by, row.closed_at, moment)))
        held.append(Fact("because", row.closed_why or "–"))
    stopped = dict.fromkeys(target_text(one.kind, one.name) for one in row.targets)
    held.append(Fact("stopped", ", ".join(stopped) or "–"))
    if row.unknown:
        words = f"{plural(row.unknown, 'outcome')}: settle them in Watch"
        held.append(Fact("nobody knows", words, "critical"))
    return held


def file_blocks(file: IncidentFile, moment: Moment) -> list[Block]:
    """Write an incident in full: locks with receipts, notes, what is kept, the timeline."""
    detail = file.detail
    held = blocks(detail, moment)
    for lock in detail.locks:
        held += _lock_blocks(lock, moment)
    held.append(Title("Notes"))
    held += [_note(note, moment) for note in detail.noted] or [
        Prose("None yet: n writes one.", "quiet")
    ]
    kept = ", ".join(detail.held[:6])
    more = f" and {detail.held_count - 6} more" if detail.held_count > 6 else ""
    held += [
        Title("Kept for it"),
        Prose(
            f"Nothing of {plural(detail.held_count, 'run and agent', 'runs and agents')} is purged "
            f"while it is open: {kept}{more}"
            if detail.held_count
            else "Nothing is held back.",
        ),
        Title("Timeline"),
        *aligned([_entry(row) for row in file.timeline[:SHOWN_ENTRIES]]),
    ]
    if len(file.timeline) > SHOWN_ENTRIES:
        held.append(Prose(f"The first {SHOWN_ENTRIES}; R writes all that matters.", "quiet"))
    return [
        *held,
        Blank(),
        Fact("incident", f"{detail.incident}, as of entry {detail.as_of}", "quiet"),
    ]


def report_blocks(text: str) -> list[Block]:
    """Write a report as it is: Markdown is read as well as it is shown."""
    return [Code(text)]


def _by(person: str | None, at: int, moment: Moment) -> str:
    return f"by {person_text(person) or 'the plane'}, {moment_text(at, moment.now)}"


def _lock_blocks(lock: IncidentLock, moment: Moment) -> list[Block]:
    target = target_text(lock.target.kind, lock.target.name)
    waiting = [one for one in lock.receipts if one.state in OPEN]
    held: list[Block] = [
        Title(f"Lock on {target}"),
        Line([state_span(lock), span(f"  by {person_text(lock.by)}: {lock.reason}")]),
        *aligned(
            [
                (
                    span(one.effect),
                    say(RECEIPTS, one.state).span,
                    span(milliseconds_text(one.after_ms), "quiet"),
                    span("" if one.party == "plane" else one.party, "quiet"),
                )
                for one in lock.receipts
            ],
            right=(2,),
        ),
    ]
    if waiting:
        held.append(Prose(f"{plural(len(waiting), 'receipt')} not confirmed yet.", "warning"))
    return held


def _note(note: IncidentNote, moment: Moment) -> Block:
    said = [f"{time_text(note.at)} {person_text(note.by)}: {note.text}"]
    for name in ("severity", "title", "owner"):
        value = getattr(note, name)
        if value:
            said.append(f"({name}: {value})")
    return Prose(" ".join(said))


def _entry(row: EventRow) -> tuple[Span, ...]:
    return (
        span(time_text(row.at), "quiet"),
        span(row.type, token_of(row.type)),
        span(brief_text(row.text)),
    )
