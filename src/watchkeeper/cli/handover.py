"""`handover`: what one shift tells the next."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.fleet import print_page
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_facts, print_json, say
from watchkeeper.cli.session import AFTER, DIGEST, LIMIT, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.errors import Invalid

if TYPE_CHECKING:
    from watchkeeper.wire.handover import HandoverDetail, HandoverRow

ROLE = click.option("--role", metavar="NAME", help="The watch of this role.")
SCHEDULE = click.option("--schedule", metavar="NAME", help="The watch of this schedule.")


@click.group(cls=NamedGroup)
def handover() -> None:
    """Hand the watch over to the next shift, and take it over."""


@handover.command(short_help="Print the summary of your shift until now.")
@ROLE
@SCHEDULE
@speaks()
def draft(session: Session, role: str | None, schedule: str | None) -> None:
    """Print the summary of your shift until now, in Markdown; nothing is kept.

    Without --role and --schedule: of the one watch that you have.
    """
    found = session.call(lambda plane: plane.handover_draft(role=role, schedule=schedule))
    if session.json:
        print_json(found)
    else:
        say(found.text)


@handover.command(short_help="Edit the summary and hand the watch over.")
@ROLE
@SCHEDULE
@click.option("--to", metavar="PERSON", help="Who takes over; else whoever is on call next.")
@click.option("--file", "path", metavar="PATH", help="Hand over this text; - for standard input.")
@click.option("--yes", is_flag=True, help="Hand over the summary as it is, without an editor.")
@speaks()
def give(
    session: Session,
    role: str | None,
    schedule: str | None,
    to: str | None,
    path: str | None,
    yes: bool,
) -> None:
    """Open your editor on the summary, then hand the watch over with what you made of it.

    The editor is $VISUAL or $EDITOR; end it without saving to hand nothing over. What is given
    is kept as it is.
    """
    from watchkeeper.wire.handover import GiveHandover

    made = session.call(lambda plane: plane.handover_draft(role=role, schedule=schedule))
    if path is not None:
        text = _read(path)
    elif yes:
        text = made.text
    else:
        text = _edit(made.text)
    body = GiveHandover(
        role=made.role,
        schedule=made.schedule,
        text=text,
        to=to,
        draft=made.digest,
        sequence=made.sequence,
    )
    found = session.call(lambda plane: plane.give_handover(body))
    if session.json:
        print_json(found)
    else:
        say(f"{found.handover} is given to {to or _next(made.next)}; due {at(found.due_at)}.")


@handover.command("list")
@click.option(
    "--which", type=click.Choice(["all", "given", "acknowledged"]), default="all",
    show_default=True, help="given: those that nobody has acknowledged.",
)  # fmt: skip
@ROLE
@SCHEDULE
@AFTER
@LIMIT
@speaks()
def list_(
    session: Session,
    which: str,
    role: str | None,
    schedule: str | None,
    after: str | None,
    limit: int,
) -> None:
    """List hand-overs, newest first."""
    page = session.call(
        lambda plane: plane.handovers(
            state=which, role=role, schedule=schedule, after=after, limit=limit
        )
    )
    print_page(
        session,
        page,
        ("GIVEN", "WATCH", "BY", "TO", "STATE", "MINE", "HANDOVER"),
        lambda row: (
            at(row.given_at),
            row.role or f"schedule {row.schedule}",
            row.by,
            row.to or "-",
            _state(row),
            "yes" if row.mine else "no",
            row.handover,
        ),
        empty="No hand-overs.",
    )


@handover.command()
@click.argument("handover_id", metavar="HANDOVER")
@speaks()
def show(session: Session, handover_id: str) -> None:
    """Show a hand-over as it was given."""
    found = session.call(lambda plane: plane.handover(handover_id))
    if session.json:
        print_json(found)
    else:
        _show(found)


@handover.command(short_help="Take the watch over, having read it.")
@click.argument("handover_id", metavar="HANDOVER")
@DIGEST
@click.option("--note", metavar="TEXT", help="What to say with it.")
@speaks()
def acknowledge(session: Session, handover_id: str, digest: str | None, note: str | None) -> None:
    """Take the watch over; without --digest it is printed first."""
    from watchkeeper.wire.handover import AcknowledgeHandover

    if digest is None:
        seen = session.call(lambda plane: plane.handover(handover_id))
        digest = seen.digest
        if seen.mine and not session.json:
            _show(seen)
    body = AcknowledgeHandover(digest=digest, note=note)
    found = session.call(lambda plane: plane.acknowledge_handover(handover_id, body))
    if session.json:
        print_json(found)
    else:
        watch = found.role or f"schedule {found.schedule}"
        say(f"You have taken {watch} over from {found.by}.")


def _show(found: HandoverDetail) -> None:
    said = f": {found.note}" if found.note else ""
    by = f" by {found.acknowledged_by} at {at(found.acknowledged_at)}{said}"
    print_facts(
        [
            ("watch", found.role or f"schedule {found.schedule}"),
            ("from", found.by),
            ("to", found.to),
            ("given", at(found.given_at)),
            ("due", at(found.due_at)),
            ("state", _state(found) + (by if found.acknowledged_by else "")),
            ("edited", "yes" if found.edited else "no: as it was generated"),
            ("ledger", f"up to event {found.sequence:,}"),
            ("mine", "yes" if found.mine else f"no: {found.why_not}"),
            ("digest", found.digest),
        ]
    )
    say()
    say(found.text)


def _state(row: HandoverRow) -> str:
    return "late" if row.late else row.state


def _next(people: tuple[str, ...]) -> str:
    return ", ".join(people) or "whoever holds it next"


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(Invalid(f"cannot be read: {error}", where=path))


def _edit(text: str) -> str:
    """Return what the person made of a text in their editor."""
    if not sys.stdin.isatty():
        fail(
            Invalid(
                "there is no terminal to edit on",
                remedy="hand over the summary as it is with --yes, or a text with --file PATH",
            )
        )
    try:
        edited = click.edit(text, extension=".md")
    except click.ClickException as error:
        fail(Invalid(error.message, remedy="set EDITOR, or give the text with --file PATH"))
    if edited is None or not edited.strip():
        fail(Invalid("nothing was saved, so nothing was handed over"))
    return edited
