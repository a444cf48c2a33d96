"""`kill`, `pause` and `locks`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal, cast

import click

from watchkeeper.cli.exits import REFUSED
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_json, print_table, say, say_line
from watchkeeper.cli.session import REASON, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import dollars
from watchkeeper.core.words import count

if TYPE_CHECKING:
    from watchkeeper.wire.locks import BlastRadius, LockRow, Target, TargetKind

KINDS = ("run", "agent", "tool", "model", "team", "everything")
_YES = click.option("--yes", is_flag=True, help="Do not ask; needed without a terminal.")


@click.command()
@click.argument("target")
@REASON
@_YES
@speaks()
def kill(session: Session, target: str, reason: str, yes: bool) -> None:
    """Stop TARGET now: an agent, a run, `tool/NAME`, `model/NAME`, `team/NAME`, `everything`.

    Shows what it would stop, asks, and prints a receipt for each effect. Once it answers,
    nothing it covers is permitted until the lock is lifted.
    """
    _lock(session, target, "kill", reason, yes)


@click.command()
@click.argument("target")
@REASON
@_YES
@speaks()
def pause(session: Session, target: str, reason: str, yes: bool) -> None:
    """Refuse TARGET's actions until the lock is lifted; runs and tokens stay."""
    _lock(session, target, "pause", reason, yes)


@click.group(cls=NamedGroup)
def locks() -> None:
    """List, show and lift locks."""


@locks.command("list")
@click.option("--all", "every", is_flag=True, help="Lifted ones too.")
@speaks()
def list_(session: Session, every: bool) -> None:
    """List locks, newest first."""
    page = session.call(lambda plane: plane.locks(state="all" if every else "in_force"))
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("No lock is in force.")
        return
    print_table(
        ("LOCK", "MODE", "TARGET", "BY", "SINCE", "LIFTED", "REASON"),
        [
            (
                row.lock,
                row.mode,
                _target_text(row.target),
                row.by,
                at(row.created_at),
                at(row.lifted_at),
                row.reason,
            )
            for row in page.rows
        ],
    )


@locks.command()
@click.argument("lock")
@speaks()
def show(session: Session, lock: str) -> None:
    """Show a lock with its receipts."""
    found = session.call(lambda plane: plane.read_lock(lock))
    if session.json:
        print_json(found)
    else:
        _show(found)


@locks.command(short_help="End a lock; what it stopped stays stopped.")
@click.argument("lock")
@REASON
@speaks()
def lift(session: Session, lock: str, reason: str) -> None:
    """End a lock; runs that a kill stopped stay stopped, new ones may be opened."""
    from watchkeeper.wire.locks import Lift

    body = Lift(reason=reason)
    found = session.call(lambda plane: plane.lift(lock, body))
    if session.json:
        print_json(found)
    else:
        say(f"Lifted: {found.mode} on {_target_text(found.target)}.")


def read_target(text: str) -> Target:
    """Read `everything`, `KIND/NAME`, a run's id, or an agent's name; raise `Invalid`."""
    from watchkeeper.wire.locks import Target

    if text == "everything":
        return Target(kind="everything", name="*")
    kind, slash, name = text.partition("/")
    if not slash:
        kind, name = ("run" if text.startswith("run_") else "agent"), text
    if kind not in KINDS or not name or kind == "everything":
        raise Invalid(
            f"not a target: {text!r:.80}",
            remedy="give agent/NAME, run/ID, tool/NAME, model/NAME, team/NAME or everything",
        )
    return Target(kind=cast("TargetKind", kind), name=name)


def _lock(
    session: Session, text: str, mode: Literal["kill", "pause"], reason: str, yes: bool
) -> None:
    from watchkeeper.wire.locks import Lock

    try:
        target = read_target(text)
    except Invalid as error:
        fail(error)
    if not yes:
        blast = session.call(lambda plane: plane.preview_lock(target))
        _confirm(blast, mode)
    body = Lock(target=target, mode=mode, reason=reason)
    found = session.call(lambda plane: plane.lock(body))
    if yes:
        # asked only now: nothing delays the lock itself
        _warn_of_nobody(session.call(lambda plane: plane.preview_lock(target)))
    if session.json:
        print_json(found)
    else:
        _show(found)


def _confirm(blast: BlastRadius, mode: str) -> None:
    say(
        f"{mode} {_target_text(blast.target)}: {count(len(blast.agents), 'agent')}, "
        f"{count(blast.open_runs, 'open run')}, {count(blast.in_flight, 'call')} in flight, "
        f"{count(blast.pending_requests, 'pending request')}, "
        f"{dollars(blast.live_holds_micros)} reserved; told: {', '.join(blast.told)}",
        err=True,
    )
    _warn_of_nobody(blast)
    if not sys.stdin.isatty():
        say("watchkeeper: nothing was locked: there is no terminal to ask on", err=True)
        say("  try:  the same with --yes", err=True)
        sys.exit(REFUSED)
    if blast.confirmation == "enter":
        agreed = click.confirm("Go on?", default=False, err=True)
    else:
        answer = click.prompt(f"Type {blast.confirm_text} to go on", default="", err=True)
        agreed = answer == blast.confirm_text
    if not agreed:
        say("Nothing was locked.", err=True)
        sys.exit(REFUSED)


def _warn_of_nobody(blast: BlastRadius) -> None:
    if blast.target.kind in {"agent", "team"} and not blast.agents:
        say(f"! no contract in force knows {_target_text(blast.target)}: check the name", err=True)


def _show(found: LockRow) -> None:
    state = f"lifted {at(found.lifted_at)} by {found.lifted_by}" if found.lifted_at else "in force"
    say(f"{found.lock}: {found.mode} on {_target_text(found.target)}, {state}")
    say_line(f"by {found.by} at {at(found.created_at)}: {found.reason}")
    for receipt in found.receipts:
        say(f"  {receipt.state:<14} {receipt.effect:<17} {receipt.detail}")


def _target_text(target: Target) -> str:
    return "everything" if target.kind == "everything" else f"{target.kind} {target.name}"
