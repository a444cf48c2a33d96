"""Taking away what happened: evidence with its proof, and reports for people."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from watchkeeper.client.calls import path_part
from watchkeeper.client.saving import free_place, save
from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block, Fact, Prose
from watchkeeper.console.completion import complete_path
from watchkeeper.console.desk import Desk, Field, Question, one_of
from watchkeeper.console.moment import read_moment
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import exports as view
from watchkeeper.console.watched import watched, with_progress
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import Invalid
from watchkeeper.core.evidence.check import verify
from watchkeeper.core.evidence.findings import Findings
from watchkeeper.core.evidence.signatures import Broken
from watchkeeper.wire.audit import Progress
from watchkeeper.wire.incidents import IncidentRow
from watchkeeper.wire.plane import EventRow
from watchkeeper.wire.reports import ReportForm, ReportKind
from watchkeeper.wire.requests import RequestRow

DAY_SECONDS = 86_400
ENDINGS: dict[ReportForm, str] = {
    "html": "html", "markdown": "md", "csv": "csv", "json": "json",
}  # fmt: skip
KINDS: dict[ReportKind, str] = {
    "access": "who and what touched personal data and secrets",
    "approvals": "requests, votes, and every way around them",
    "kills": "locks, drills, incidents, breakers",
    "policies": "what was changed in force, and by whom",
    "operators": "everything that people did",
    "spending": "what was spent, against its budgets",
    "controls": "OWASP Agentic, EU AI Act, SOC 2: shown, not shown, gaps",
}


class Subject(NamedTuple):
    """What evidence is taken of."""

    path: str
    words: str
    name: str
    """Of the file, without its ending."""
    query: dict[str, str]


def evidence_action(pane: Pane[Any]) -> Action:
    """Return the key that writes the evidence of what the cursor is on to a file."""

    async def run() -> None:
        subject = subject_of(pane)
        if subject is not None:
            await export_evidence(pane.desk, subject)

    return Action(
        id=f"{pane.key}.evidence",
        title="evidence",
        keys=("E",),
        group="Take away",
        run=run,
        pane=pane.key,
        footer=82,
        needs="audit",
        explain="Write what happened, with the proof of it, to a file that verifies anywhere.",
        why_not=lambda: None if subject_of(pane) is not None else "nothing is chosen",
    )


def subject_of(pane: Pane[Any]) -> Subject | None:
    """Return what the evidence of the row under the cursor is of; None where there is no row.

    Of an entry of the ledger it is its request or its run; of one that belongs to neither, its day.
    """
    row = pane.current
    if row is None:
        return None
    if isinstance(row, IncidentRow):
        return _named("incident", row.incident)
    if isinstance(row, RequestRow):
        return _named("request", row.request)
    if isinstance(row, EventRow):
        if row.request:
            return _named("request", row.request)
        return _named("run", row.run) if row.run else _day(row.at)
    run = getattr(pane, "run", None) or getattr(row, "run", None)
    return _named("run", run) if isinstance(run, str) else None


def _named(kind: str, name: str) -> Subject:
    return Subject(f"{kind}s/{path_part(name)}", f"{kind} {name}", f"evidence-{name}", {})


def _day(at: int) -> Subject:
    begins = at - at % (DAY_SECONDS * MICROSECONDS)
    day = utc_text(begins)[:10]
    query = {"begins": str(begins), "ends": str(begins + DAY_SECONDS * MICROSECONDS)}
    return Subject("period", f"everything on {day}, in UTC", f"evidence-{day}", query)


async def export_evidence(desk: Desk, subject: Subject) -> None:
    """Ask where to, write the bundle there, verify it, and say what it proves."""
    place = await _ask_place(
        desk,
        "Write the evidence?",
        [
            Fact("of", subject.words),
            Prose("What happened and the proof of it, in one file that verifies without "
                  "Watchkeeper. It holds personal data that was not erased. That it was taken, "
                  "and by whom, is on record itself.", "quiet"),
        ],
        subject.name,
        "tar",
    )  # fmt: skip
    if place is None:
        return
    done = [0]
    checked = [Progress()]

    async def write() -> tuple[int, str, Findings]:
        parts = desk.client.evidence(subject.path, **subject.query)
        size = await save(parts, place, lambda written: done.__setitem__(0, written))
        key = (await desk.client.log_keys()).rows[0].key
        stopped = False

        def told(looked: int, total: int) -> None:
            if stopped:
                raise InterruptedError
            checked[0] = Progress(done=looked, total=total)

        try:
            return size, key, await asyncio.to_thread(verify, str(place), (key,), (), None, told)
        except (OSError, ValueError, Broken) as error:
            raise Invalid(f"written, and cannot be verified: {error}", where=str(place)) from None
        finally:
            stopped = True

    def far() -> Sequence[Block]:
        doing = f"{view.size_text(done[0])} written to {place.name}"
        more = "q gives it up; what was begun is taken away, a file that is whole stays."
        return view.progress_blocks(doing, checked[0], more)

    found = await watched(desk, "Writing evidence", write(), far)
    if found is not None:
        await desk.view("Evidence", view.evidence_blocks(place.resolve(), *found))


def report_action(desk: Desk) -> Action:
    """Return the action that writes a report; it works by its name on the command line."""

    async def run() -> None:
        await write_report(desk)

    return Action(
        "console.report", "report", run, (), "Take away",
        "Writes what a period came to, for people: access, approvals, kills, spending and more.",
        needs="audit",
    )  # fmt: skip


async def write_report(desk: Desk) -> None:
    """Ask which report of which period in which form, then where to, and write it."""
    now = desk.moment().now
    reply = await desk.ask(
        Question(
            title="Which report?",
            body=[Fact(kind, words) for kind, words in KINDS.items()],
            confirm="Go on",
            fields=(
                one_of("kind", "Report", tuple(KINDS), "approvals"),
                Field("since", "From (30d, 2026-11-01)", lambda text: _moment(text, now), "30d"),
                Field("until", "To (empty: now)", lambda text: _moment(text, now)),
                one_of("form", "Form", tuple(ENDINGS), "html"),
            ),
        )
    )
    if not reply.confirmed:
        return
    asked = {key: value.strip() for key, value in reply.values.items()}
    kind: ReportKind = next(one for one in get_args(ReportKind) if one == asked["kind"])
    form: ReportForm = next(one for one in get_args(ReportForm) if one == asked["form"])
    since = read_moment(asked["since"], now)
    until = read_moment(asked["until"], now) if asked["until"] else now + 1
    if since >= until:
        raise Invalid("a period begins before it ends")
    days = f"{utc_text(since)[:10]}..{utc_text(until - 1)[:10]}"
    place = await _ask_place(
        desk,
        "Write the report?",
        [Fact("report", f"{kind}: {KINDS[kind]}"), Fact("period", f"{days}, in UTC")],
        f"{kind}-{utc_text(until - 1)[:10]}",
        ENDINGS[form],
    )
    if place is None:
        return
    parts = desk.client.report(kind, since=since, until=until, form=form)
    size = await with_progress(
        desk,
        "Writing a report",
        f"The plane looks through its ledger for {place.name}",
        save(parts, place),
        desk.client.report_progress,
        "q gives it up; nothing is left of it.",
    )
    if size is not None:
        await desk.view("Report", view.written_blocks(place.resolve(), size))


async def _ask_place(
    desk: Desk, title: str, body: Sequence[Block], name: str, ending: str
) -> Path | None:
    """Ask where a file is to be written; a free place in the current directory is offered."""
    reply = await desk.ask(
        Question(
            title=title,
            body=body,
            confirm="Write",
            fields=(
                Field(
                    "file",
                    "File",
                    _why_not_there,
                    value=free_place(Path(), name, ending).name,
                    complete=complete_path,
                ),
            ),
        )
    )
    return Path(reply.values["file"].strip()).expanduser() if reply.confirmed else None


def _why_not_there(text: str) -> str | None:
    if not text:
        return "name a file"
    try:
        place = Path(text).expanduser()
        if place.is_dir():
            return "that is a directory"
        if place.exists():
            return "it is there already: name another file"
        return None if place.parent.is_dir() else "there is no such directory"
    except (OSError, RuntimeError, ValueError):  # too long a name, or a home of nobody
        return "that names no file"


def _moment(text: str, now: int) -> str | None:
    if not text:
        return None
    try:
        read_moment(text, now)
    except Invalid as error:
        return f"{error.message}: {error.remedy}"
    return None
