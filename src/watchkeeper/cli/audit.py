"""`audit`: proof that the ledger stands as it was written."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.erasing import erase, erasures, subjects
from watchkeeper.cli.evidence import KEY, verify_offline
from watchkeeper.cli.exits import REFUSED
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.holding import hold, holds, unhold
from watchkeeper.cli.output import print_facts, print_json, print_table, say
from watchkeeper.cli.session import LIMIT, REASON, Session, speaks
from watchkeeper.cli.waiting import shown_while
from watchkeeper.cli.words import at

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient
    from watchkeeper.wire.audit import AnchorRow, CheckpointRow, LogKeyRow, Verification
    from watchkeeper.wire.pages import Page


@click.group(cls=NamedGroup)
def audit() -> None:
    """Check the ledger, and prove what is in it."""


for _command in (subjects, erase, erasures, hold, unhold, holds):
    audit.add_command(_command)


@audit.command(short_help="Find the first bad entry.")
@click.option("--offline", metavar="BUNDLE", help="Verify this evidence bundle instead.")
@KEY
@speaks()
def verify(session: Session, offline: str | None, keys: tuple[str, ...]) -> None:
    """Verify the whole ledger; exit 1 if it is not what was written.

    Every entry, the chain, the log's files, each signed checkpoint and every anchor; the first
    bad entry is named, and what happened to it.
    """
    if offline is not None:
        verify_offline(offline, keys, as_json=session.json)
        return
    found = session.call(_verify)
    if session.json:
        print_json(found)
    else:
        print_facts(
            [
                ("ledger", "whole" if found.ok else "NOT AS WRITTEN"),
                (
                    "proven",
                    f"entry 1 to {found.entries:,}, against {found.checkpoints:,} checkpoints",
                ),
                ("first bad", found.first_bad),
                ("what", found.what),
                ("head", found.head or None),
                ("anchored", _anchored(found)),
                *(("anchor", _anchor(one)) for one in found.anchors),
                *(("note", note) for note in found.notes),
            ]
        )
    if not found.ok:
        sys.exit(REFUSED)


async def _verify(plane: PlaneClient) -> Verification:
    """Ask, and show at a terminal how far it is."""
    return await shown_while(plane.verification(), plane.verification_progress)


def _anchored(found: Verification) -> str:
    loose = found.entries - found.anchored
    if not found.anchored:
        return "nothing: all of it could be rewritten without a trace"
    after = f"; the {loose:,} after it could be cut off or rewritten without a trace"
    return f"up to entry {found.anchored:,}{after if loose > 0 else ''}"


def _anchor(one: AnchorRow) -> str:
    when = f" since {at(one.at)}" if one.at is not None else ""
    trouble = f"; {one.problem}" if one.problem else ""
    return f"{one.anchor}: up to entry {one.size:,}{when}{trouble}"


@audit.command(short_help="List signed checkpoints.")
@click.option("--before", type=int, metavar="N", help="From before this checkpoint.")
@LIMIT
@speaks()
def checkpoints(session: Session, before: int | None, limit: int) -> None:
    """List signed checkpoints, newest first."""
    page = session.call(lambda plane: plane.checkpoints(before=before, limit=limit))
    if session.json:
        print_json(page)
        return
    _print_checkpoints(page.rows)
    if page.next is not None:
        say(f"more: --before {page.next}", err=True)


@audit.command(short_help="Sign and anchor the ledger now.")
@speaks()
def checkpoint(session: Session) -> None:
    """Sign and anchor the ledger as it stands now, and print the signed checkpoint."""
    made = session.call(lambda plane: plane.make_checkpoint())
    if session.json:
        print_json(made)
    else:
        say(made.note.rstrip("\n"))


@audit.command(short_help="Prove that an entry is in the log.")
@click.argument("sequence", type=click.IntRange(min=1))
@speaks()
def proof(session: Session, sequence: int) -> None:
    """Print the proof that entry SEQUENCE is in the log, as C2SP tlog-proof.

    It holds the signed checkpoint, and verifies offline with the log's key alone.
    """
    found = session.call(lambda plane: plane.inclusion_proof(sequence))
    if session.json:
        print_json(found)
    else:
        say(found.text.rstrip("\n"))


@audit.command(short_help="Prove that the log only grew.")
@click.argument("old", type=click.IntRange(min=1))
@click.argument("new", type=click.IntRange(min=1))
@speaks()
def consistency(session: Session, old: int, new: int) -> None:
    """Print the proof that the log of NEW entries began as the one of OLD.

    Both are sizes of signed checkpoints; see `watchkeeper audit checkpoints`.
    """
    found = session.call(lambda plane: plane.consistency_proof(old, new))
    if session.json:
        print_json(found)
    else:
        say("\n".join([f"old {old}", *found.hashes, "", found.new.rstrip("\n")]))


@audit.command(short_help="List the keys of the log.")
@speaks()
def keys(session: Session) -> None:
    """List the keys that sign, or have signed, the log's checkpoints; newest first."""
    _show_keys(session, session.call(lambda plane: plane.log_keys()))


@audit.command("rotate-key", short_help="Sign with a new key.")
@REASON
@speaks()
def rotate_key(session: Session, reason: str) -> None:
    """Sign checkpoints with a new key from now on.

    The new one also signs the last checkpoint of the old, whose private half is forgotten; its
    public half is kept for ever. Witnesses need the new key.
    """
    from watchkeeper.wire.audit import RotateLogKey

    body = RotateLogKey(reason=reason)
    page = session.call(lambda plane: plane.rotate_log_key(body))
    _show_keys(session, page)
    if not session.json:
        say("A witness takes nothing more until it knows the new key. On its host, start it again "
            f"with --log '{page.rows[0].key}' besides those it has.")  # fmt: skip


@audit.command("accept-fork", short_help="Say why the ledger was forked.")
@REASON
@speaks()
def accept_fork(session: Session, reason: str) -> None:
    """Say why the ledger lacks what was signed before: it was restored from a copy.

    Until somebody does, `watchkeeper audit verify` fails.
    """
    from watchkeeper.wire.audit import AcceptForks

    body = AcceptForks(reason=reason)
    _show_keys(session, session.call(lambda plane: plane.accept_forks(body)))


def _show_keys(session: Session, page: Page[LogKeyRow]) -> None:
    if session.json:
        print_json(page)
        return
    rows = [(at(row.made_at), row.cause, row.key, row.reason) for row in page.rows]
    print_table(("SINCE", "CAUSE", "KEY", "WHY"), rows)


def _print_checkpoints(rows: tuple[CheckpointRow, ...]) -> None:
    print_table(
        ("CHECKPOINT", "AT", "ENTRIES", "ROOT", "ANCHORED"),
        [
            (row.checkpoint, at(row.at), row.size, row.root[:16], ", ".join(row.anchored) or "-")
            for row in rows
        ],
    )
