"""An incident's report in Markdown; what anybody wrote can be no markup in it."""

from __future__ import annotations

from collections.abc import Iterable

from watchkeeper.core.clock import utc_text
from watchkeeper.core.words import count
from watchkeeper.decide.people.handover.text import plain
from watchkeeper.wire.incidents import (
    IncidentNote,
    IncidentReport,
    ReportedEvent,
    ReportedLock,
    ReportedOutcome,
)
from watchkeeper.wire.locks import Target

_LONGEST = 500
_LONGEST_LINE = 300


def write_text(report: IncidentReport) -> str:
    """Return the whole report."""
    lines = [
        f"# Incident: {plain(report.title, _LONGEST)}",
        "",
        f"`{report.incident}`, {report.severity}, {report.state}; answered for by "
        f"{plain(report.owner)}.",
        "",
        f"- Opened {utc_text(report.opened_at)} by {_who(report.opened_by)}.",
    ]
    if report.closed_at is not None:
        lines.append(
            f"- Closed {utc_text(report.closed_at)} by {_who(report.closed_by)}: "
            f"{plain(report.closed_why or '', _LONGEST)}"
        )
    lines.append(
        f"- Made of the ledger up to entry {report.sequence} (`{report.chain_hash}`); entries "
        f"about it: {report.entries:,}."
    )
    if not report.complete:
        lines.append("- There is more than one report is made of: see the incident's timeline.")
    lines += _section("What was stopped", _locks(report.locks))
    lines += _section("What that came to", _effects(report))
    lines += _section("Outcomes that nobody knew", _outcomes(report))
    lines += _section("Who was told", _events(report.told))
    lines += _section("Notes", _notes(report.notes))
    lines += _section("Before it began", _events(report.before))
    lines += _section("Timeline", _events(report.timeline))
    more = report.timeline_count - len(report.timeline)
    if more > 0:
        lines.append(f"- and {more:,} more")
    return "\n".join([*lines, ""])


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return ["", f"## {title}", "", *(list(lines) or ["None."])]


def _locks(locks: Iterable[ReportedLock]) -> Iterable[str]:
    for place, lock in enumerate(locks):
        if place:
            yield ""
        yield (
            f"**{lock.mode} on {_target(lock.target)}**, {utc_text(lock.at)} by {_who(lock.by)} "
            f"(`{lock.lock}`, epoch {lock.epoch}, {lock.joined}): {plain(lock.reason, _LONGEST)}"
        )
        yield ""
        if lock.lifted_at is None:
            yield "Not lifted."
        else:
            yield (
                f"Lifted {utc_text(lock.lifted_at)} by {_who(lock.lifted_by)}: "
                f"{plain(lock.lifted_why or '', _LONGEST)}"
            )
        yield ""
        yield "| Effect | Party | Receipt | After | What |"
        yield "| --- | --- | --- | ---: | --- |"
        for one in lock.receipts:
            by = f" by {plain(one.by)}" if one.by else ""
            yield (
                f"| {one.effect} | {plain(one.party)} | {one.state}{by} "
                f"| {one.after_ms:,.1f} ms | {plain(one.detail, _LONGEST_LINE)} |"
            )
        if lock.alarms:
            yield ""
            yield f"Told {count(lock.alarms, 'time')} that a receipt stayed unconfirmed."


def _effects(report: IncidentReport) -> Iterable[str]:
    yield (
        f"{count(report.run_count, 'run')} stopped, "
        f"{count(report.requests_revoked, 'request')} revoked, "
        f"{count(report.refused, 'call')} refused since."
    )
    if report.runs:
        yield ""
    for run in report.runs:
        yield f"- `{plain(run.run)}` of {plain(run.agent)}"
    if report.run_count > len(report.runs):
        yield f"- and {report.run_count - len(report.runs):,} more"


def _outcomes(report: IncidentReport) -> Iterable[str]:
    for one in report.outcomes:
        yield f"- {plain(one.name)} of {plain(one.agent)} (`{plain(one.decision)}`): {_end(one)}"
    if report.outcome_count > len(report.outcomes):
        yield f"- and {report.outcome_count - len(report.outcomes):,} more"


def _end(one: ReportedOutcome) -> str:
    if one.settled is None or one.settled_at is None:
        return "**nobody knows yet**"
    why = f": {plain(one.settled_why, _LONGEST_LINE)}" if one.settled_why else ""
    return f"{one.settled}, by {_who(one.settled_by)} at {utc_text(one.settled_at)}{why}"


def _notes(notes: Iterable[IncidentNote]) -> Iterable[str]:
    for place, note in enumerate(notes):
        if place:
            yield ""
        changed = [
            f"{name}: {plain(to, _LONGEST)}"
            for name, to in (
                ("severity", note.severity),
                ("title", note.title),
                ("owner", note.owner),
            )
            if to is not None
        ]
        said = f" ({'; '.join(changed)})" if changed else ""
        yield f"{utc_text(note.at)} {_who(note.by)}{said}:"
        yield ""
        for line in note.text.splitlines():
            yield f"> {plain(line, 4096)}".rstrip()


def _events(events: Iterable[ReportedEvent]) -> Iterable[str]:
    for one in events:
        yield f"- {utc_text(one.at)} `{one.sequence}` {one.type}: {plain(one.text, _LONGEST_LINE)}"


def _target(target: Target) -> str:
    if target.kind == "everything":
        return "everything"
    return f"{target.kind} {plain(target.name, 200)}"


def _who(actor: str | None) -> str:
    return plain((actor or "").removeprefix("person/"))
