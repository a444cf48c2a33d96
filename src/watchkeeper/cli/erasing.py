"""`audit subjects`, `audit erase`: people's data in the vault, and its end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.exits import REFUSED
from watchkeeper.cli.output import print_facts, print_json, print_table, say
from watchkeeper.cli.session import LIMIT, Session, speaks
from watchkeeper.cli.waiting import shown_while
from watchkeeper.cli.words import at

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient
    from watchkeeper.wire.erasing import EraseSubject, SubjectData


@click.command(short_help="List people whose data is kept.")
@LIMIT
@speaks()
def subjects(session: Session, limit: int) -> None:
    """List people whose data entries of the ledger commit to, newest first."""
    page = session.call(lambda plane: plane.subjects(limit=limit))
    if session.json:
        print_json(page)
        return
    print_table(
        ("SUBJECT", "NAME", "SINCE", "VALUES", "ERASED"),
        [
            (row.subject, row.name or "-", at(row.since), row.values,
             "-" if row.erased_at is None else at(row.erased_at))
            for row in page.rows
        ],
    )  # fmt: skip
    if page.total is not None and page.total > len(page.rows):
        say(f"and {page.total - len(page.rows):,} more: --limit", err=True)


@click.command(short_help="List erasures, ended or not.")
@LIMIT
@speaks()
def erasures(session: Session, limit: int) -> None:
    """List erasures, newest first.

    One that has not ended has destroyed the keys, and the plane goes on removing copies.
    """
    page = session.call(lambda plane: plane.erasures(limit=limit))
    if session.json:
        print_json(page)
        return
    print_table(
        ("ERASURE", "SUBJECT", "BY", "KEYS DESTROYED", "ROWS", "ENDED"),
        [
            (row.erasure, row.subject, row.by, at(row.began_at), row.rows,
             "it goes on" if row.ended_at is None else at(row.ended_at))
            for row in page.rows
        ],
    )  # fmt: skip


@click.command(short_help="Erase a person's data.")
@click.argument("subject")
@click.option("--also", multiple=True, metavar="NAME", help="Another name of the same person.")
@click.option("--despite", multiple=True, metavar="INCIDENT", help="An incident that holds it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--preview", is_flag=True, help="Only say what there is.")
@click.option("--reason", metavar="TEXT", help="Why; kept in the ledger, so it names nobody.")
@speaks()
def erase(
    session: Session,
    subject: str,
    also: tuple[str, ...],
    despite: tuple[str, ...],
    yes: bool,
    preview: bool,
    reason: str | None,
) -> None:
    """Erase what the plane keeps of SUBJECT: an address, a number, or a name that runs are for.

    What entries of the ledger commit to is destroyed with its keys, and every other copy with it.
    The ledger stays whole, and says what is erased. It cannot be undone.
    """
    from watchkeeper.wire.erasing import EraseSubject, SeekSubject

    if reason is None and not preview:
        raise click.UsageError("say why with --reason, or ask for a --preview")
    seek = SeekSubject(subject=subject, also=also)
    found = session.call(lambda plane: plane.preview_erasure(seek))
    if reason is None or preview:
        _show(session, found)
        return
    if not yes:
        _confirm(found, subject)
    wanted = EraseSubject(subject=subject, also=also, reason=reason, despite=despite)
    total = sum(found.rows.values())
    _show(session, session.call(lambda plane: _erase(plane, wanted, total)))


async def _erase(plane: PlaneClient, wanted: EraseSubject, total: int) -> SubjectData:
    """Have it erased, and show at a terminal how far it is."""
    from watchkeeper.wire.audit import Progress

    async def progress() -> Progress:
        newest = (await plane.erasures(limit=1)).rows
        done = newest[0].rows if newest and newest[0].ended_at is None else 0
        return Progress(what="rows", done=min(done, total), total=total)

    return await shown_while(plane.erase_subject(wanted), progress)


def _holder(held_by: str) -> str:
    legal = held_by.removeprefix("hold/")
    return f"legal hold {legal}" if legal != held_by else f"incident {held_by}"


def _confirm(found: SubjectData, subject: str) -> None:
    _print(found, to_stderr=True)
    if not sys.stdin.isatty():
        say("watchkeeper: nothing was erased: there is no terminal to ask on", err=True)
        say("  try:  the same with --yes", err=True)
        sys.exit(REFUSED)
    if click.prompt(f"Type {subject} to erase it for ever", default="", err=True) != subject:
        say("Nothing was erased.", err=True)
        sys.exit(REFUSED)


def _show(session: Session, found: SubjectData) -> None:
    if session.json:
        print_json(found)
    else:
        _print(found)


def _print(found: SubjectData, *, to_stderr: bool = False) -> None:
    rows = sum(found.rows.values())
    tables = ", ".join(f"{name} {count:,}" for name, count in sorted(found.rows.items()))
    stays = f"{found.entries:,} hold the name themselves, and stay" if found.entries else None
    facts = [
        ("erased", f"by {found.erasure}, entry {found.sequence}" if found.sequence else None),
        ("in the vault", f"{found.values:,} values"),
        ("runs for it", f"{found.runs:,}"),
        ("rows", f"{rows:,}: {tables}" if rows else "none"),
        ("logs", ", ".join(found.files) or None),
        ("entries", stays),
        ("held by", ", ".join(map(_holder, found.held_by)) or None),
        ("still open", ", ".join((*found.open_runs, *found.open_requests)) or None),
        ("backups", "copies of the database and its sealing key still open it: delete them too"),
    ]
    if to_stderr:
        for name, value in facts:
            if value is not None:
                say(f"{name:<14}{value}", err=True)
    else:
        print_facts(facts)
