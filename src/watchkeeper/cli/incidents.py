"""`incidents`: what was stopped, what came of it, and the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_facts, print_json, print_table, say, say_line
from watchkeeper.cli.session import AFTER, LIMIT, REASON, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.errors import Invalid
from watchkeeper.core.words import count

if TYPE_CHECKING:
    from watchkeeper.wire.incidents import IncidentDetail, IncidentRow, Severity

_SEVERITY = click.Choice(("low", "medium", "high", "critical"))


@click.group(cls=NamedGroup)
def incidents() -> None:
    """List, note, close and report incidents. A kill opens one."""


@incidents.command("list", short_help="List open incidents, newest first.")
@click.option("--all", "every", is_flag=True, help="Closed ones too.")
@AFTER
@LIMIT
@speaks()
def list_(session: Session, every: bool, after: str | None, limit: int) -> None:
    """List open incidents, newest first."""
    state = "all" if every else "open"
    page = session.call(lambda plane: plane.incidents(state=state, after=after, limit=limit))
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("There is no incident." if every else "No incident is open.")
        return
    print_table(
        ("INCIDENT", "SEVERITY", "STATE", "OPENED", "OWNER", "LOCKS", "UNKNOWN", "TITLE"),
        [
            (
                row.incident,
                row.severity,
                row.state,
                at(row.opened_at),
                row.owner,
                f"{row.in_force} of {len(row.targets)} in force",
                row.unknown,
                row.title,
            )
            for row in page.rows
        ],
    )
    if page.next is not None:
        say(f"more: --after {page.next}", err=True)


@incidents.command(short_help="Show one: locks, what is held, notes.")
@click.argument("incident")
@click.option("--timeline", is_flag=True, help="The ledger's entries about it instead.")
@click.option("--after", type=int, metavar="SEQ", help="Of the timeline, those after this entry.")
@click.option("--before", type=int, metavar="SEQ", help="Newest first, from before this one.")
@LIMIT
@speaks()
def show(
    session: Session,
    incident: str,
    timeline: bool,
    after: int | None,
    before: int | None,
    limit: int,
) -> None:
    """Show INCIDENT with its locks and notes.

    The timeline begins where the incident began; what led to it, up to a day before, comes with
    --before.
    """
    if timeline or after is not None or before is not None:
        page = session.call(
            lambda plane: plane.incident_timeline(incident, after=after, before=before, limit=limit)
        )
        if session.json:
            print_json(page)
            return
        for row in page.rows:
            say_line(f"{row.sequence:>7}  {at(row.at)}  {row.type:<20}  {row.text}")
        if page.next is not None:
            backwards = after is None and before is not None
            say(f"more: {'--before' if backwards else '--after'} {page.next}", err=True)
        return
    found = session.call(lambda plane: plane.incident(incident))
    if session.json:
        print_json(found)
    else:
        _show(found)


@incidents.command(short_help="Note something; change its title, owner or severity.")
@click.argument("incident")
@click.argument("text")
@click.option("--severity", type=_SEVERITY, help="It is this grave from now on.")
@click.option("--title", metavar="TEXT", help="It is called so from now on.")
@click.option("--owner", metavar="NAME", help="Who answers for it from now on.")
@speaks()
def note(
    session: Session,
    incident: str,
    text: str,
    severity: Severity | None,
    title: str | None,
    owner: str | None,
) -> None:
    """Note TEXT on INCIDENT; kept in the ledger."""
    from watchkeeper.wire.incidents import Note

    body = Note(text=text, severity=severity, title=title, owner=owner)
    found = session.call(lambda plane: plane.note_incident(incident, body))
    _done(session, found, "Noted.")


@incidents.command(short_help="Have a lock belong to it.")
@click.argument("incident")
@click.argument("lock")
@REASON
@speaks()
def join(session: Session, incident: str, lock: str, reason: str) -> None:
    """Have LOCK belong to INCIDENT; one that is left without a lock is closed."""
    from watchkeeper.wire.incidents import JoinIncident

    body = JoinIncident(lock=lock, reason=reason)
    found = session.call(lambda plane: plane.join_incident(incident, body))
    _done(session, found, f"Joined: {count(len(found.targets), 'lock')} belong to it now.")


@incidents.command(short_help="Close it; what it held is purged again.")
@click.argument("incident")
@REASON
@speaks()
def close(session: Session, incident: str, reason: str) -> None:
    """Close INCIDENT; what it held back is purged again as usual. Its locks stay."""
    from watchkeeper.wire.incidents import CloseIncident

    body = CloseIncident(reason=reason)
    found = session.call(lambda plane: plane.close_incident(incident, body))
    _done(session, found, "Closed.")
    if found.in_force:
        say(f"! {count(found.in_force, 'lock')} of it still in force", err=True)
    if found.unknown:
        say(f"! {count(found.unknown, 'outcome')} still unknown: `unsettled list`", err=True)


@incidents.command(short_help="Open a closed one again.")
@click.argument("incident")
@REASON
@speaks()
def reopen(session: Session, incident: str, reason: str) -> None:
    """Open INCIDENT again and hold what is left of what it held."""
    from watchkeeper.wire.incidents import ReopenIncident

    body = ReopenIncident(reason=reason)
    found = session.call(lambda plane: plane.reopen_incident(incident, body))
    _done(session, found, "Open again.")


@incidents.command(short_help="Write what happened, from the ledger.")
@click.argument("incident")
@click.option("--at", "upto", type=int, metavar="SEQ", help="As of this entry of the ledger.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Into this file."
)
@speaks()
def report(session: Session, incident: str, upto: int | None, output: Path | None) -> None:
    """Write what happened in Markdown, or with --json as data; made of the ledger alone.

    As of the same entry it is the same, whenever it is written.
    """
    found = session.call(lambda plane: plane.incident_report(incident, at=upto))
    if output is None:
        if session.json:
            print_json(found)
        else:
            say(found.text)
        return
    text = found.model_dump_json(indent=2, ensure_ascii=True) if session.json else found.text
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(Invalid(f"the report cannot be written: {error.strerror}", where=str(output)))
    say(f"Written: {output}, as of entry {found.sequence}, {found.digest}.")


def _done(session: Session, found: IncidentDetail, said: str) -> None:
    if session.json:
        print_json(found)
    else:
        say(said)


def _show(found: IncidentDetail) -> None:
    say_line(f"{found.incident}: {found.title}")
    print_facts(
        [
            ("state", _state(found)),
            ("severity", found.severity),
            ("owner", _one_line(found.owner)),
            ("team", found.team or None),
            ("opened", f"{at(found.opened_at)} by {found.opened_by.removeprefix('person/')}"),
            ("held", _held(found)),
            ("unknown", count(found.unknown, "outcome") if found.unknown else None),
        ]
    )
    say("locks:")
    for lock in found.locks:
        state = "in force" if lock.lifted_at is None else f"lifted {at(lock.lifted_at)}"
        left = ", moved since" if lock.left_at is not None else ""
        say_line(f"  {lock.lock}  {lock.mode} on {lock.target.words}, {state}{left}: {lock.reason}")
        open_ones = [one for one in lock.receipts if one.state in ("attempted", "unconfirmed")]
        for one in open_ones:
            say_line(f"    {one.state}  {one.effect}  {one.party}: {one.detail}")
    if found.noted:
        say("notes:")
    for note in found.noted:
        say_line(f"  {at(note.at)}  {note.by.removeprefix('person/')}: {note.text}")
    if found.state == "open":
        say(f'  note it:  watchkeeper incidents note {found.incident} "…"')


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _state(row: IncidentRow) -> str:
    if row.closed_at is None:
        return "open"
    by = (row.closed_by or "").removeprefix("person/")
    return _one_line(f"closed {at(row.closed_at)} by {by}: {row.closed_why}")


def _held(found: IncidentDetail) -> str:
    if not found.held_count:
        return "nothing"
    more = found.held_count - 5
    return ", ".join(found.held[:5]) + (f" and {more:,} more" if more > 0 else "")
