"""`kill`, `pause`, `resume` and `locks`."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

import click

from watchkeeper.cli.exits import REFUSED, UNCONFIRMED
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_json, print_table, say, say_line
from watchkeeper.cli.session import REASON, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.durations import read_duration
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import dollars
from watchkeeper.core.places import SWITCH_FILE, state_directory, write_switch
from watchkeeper.core.words import count

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient
    from watchkeeper.wire.locks import BlastRadius, LockRow, Mode, Target, TargetKind

KINDS = (
    "run", "agent", "version", "tool", "upstream", "model", "provider", "team", "person",
    "runtime", "workflow", "approval", "everything",
)  # fmt: skip
_AGAIN_SECONDS = 0.25
_WAY_OUT = "on the plane's machine, `watchkeeper kill everything --local` stops it all the same"


def complete_targets(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Offer the kinds of targets to the shell."""
    offered = [*(f"{kind}/" for kind in KINDS if kind != "everything"), "everything"]
    return [one for one in offered if one.startswith(incomplete)]


_YES = click.option("--yes", is_flag=True, help="Do not ask; needed without a terminal.")


_FOR = click.option(
    "--for", "lasting", metavar="TIME", help="Lift it by itself after so long, as 30m or 8h."
)
_WAIT = click.option(
    "--wait", type=click.IntRange(0, 600), default=10, show_default=True,
    help="Seconds to wait for receipts that are still open.",
)  # fmt: skip


@click.command()
@click.argument("target", shell_complete=complete_targets)
@click.option(
    "--mode", type=click.Choice(("stop", "drain", "deny-new")), default="stop", show_default=True,
    help="stop: cut now. drain: let calls in flight end. deny-new: no new runs.",
)  # fmt: skip
@REASON
@_FOR
@_WAIT
@click.option(
    "--local",
    is_flag=True,
    help="Everything: write the plane's switch file on this machine; no plane need answer.",
)
@_YES
@speaks()
def kill(
    session: Session,
    target: str,
    mode: Literal["stop", "drain", "deny-new"],
    reason: str,
    lasting: str | None,
    wait: int,
    local: bool,
    yes: bool,
) -> None:
    """Stop TARGET now: an agent or a run by its name, KIND/NAME, or `everything`.

    Kinds: run, agent, version (AGENT@NUMBER), tool, upstream, model, provider, team, person,
    runtime, approval. Shows what it would stop, asks, and prints a receipt for each effect.
    Once it answers, nothing it covers is permitted until the lock is lifted. Exits with 9 if a
    receipt is unconfirmed by then: the lock is in force, and what it stops may go on there.
    """
    if local:
        _switch_off(session, target, reason, yes)
    else:
        _lock(session, target, mode, reason, lasting, wait, yes)


@click.command()
@click.argument("target", shell_complete=complete_targets)
@REASON
@_FOR
@_YES
@speaks()
def pause(session: Session, target: str, reason: str, lasting: str | None, yes: bool) -> None:
    """Refuse TARGET's actions until it is resumed; runs and tokens stay."""
    _lock(session, target, "pause", reason, lasting, 0, yes)


@click.command()
@click.argument("target", shell_complete=complete_targets)
@REASON
@speaks()
def resume(session: Session, target: str, reason: str) -> None:
    """Lift every pause on exactly TARGET; kills stay in force."""
    from watchkeeper.wire.locks import Lift, LockRow
    from watchkeeper.wire.pages import Page

    wanted = _read(target)
    page = session.call(lambda plane: plane.locks(state="in_force"))
    pauses = [row for row in page.rows if row.mode == "pause" and row.target == wanted]
    body = Lift(reason=reason)

    async def lift_all(plane: PlaneClient) -> list[LockRow]:
        return [await plane.lift(row.lock, body) for row in pauses]

    lifted = session.call(lift_all)
    if session.json:
        print_json(Page[LockRow](rows=tuple(lifted), total=len(lifted), sequence=page.sequence))
        return
    kills = [row for row in page.rows if row.mode != "pause" and row.target == wanted]
    if not lifted:
        say(f"No pause is in force on {wanted.words}.", err=True)
        for row in kills:
            say(f"  {row.lock} ({row.mode}): end it with `watchkeeper locks lift`", err=True)
        sys.exit(REFUSED)
    say(f"Resumed: {wanted.words}.")
    if kills:
        say(f"! still {kills[0].mode} by lock {kills[0].lock}", err=True)


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
    ends = "LIFTED" if every else "UNTIL"
    print_table(
        ("LOCK", "MODE", "TARGET", "RECEIPTS", "BY", "SINCE", ends, "REASON"),
        [
            (
                row.lock,
                row.mode,
                row.target.words,
                _receipts(row),
                row.by.removeprefix("person/"),
                at(row.created_at),
                at(row.lifted_at if every else row.expires_at),
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
        say(f"Lifted: {found.mode} on {found.target.words}.")


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
            remedy=f"give everything, or KIND/NAME with one of: {', '.join(KINDS[:-1])}",
        )
    return Target(kind=cast("TargetKind", kind), name=name)


def _read(text: str) -> Target:
    try:
        return read_target(text)
    except Invalid as error:
        fail(error)


def _lock(
    session: Session, text: str, mode: Mode, reason: str, lasting: str | None, wait: int, yes: bool
) -> None:
    from watchkeeper.wire.locks import Lock

    target = _read(text)
    try:
        seconds = read_duration(lasting) if lasting else None
    except Invalid as error:
        fail(error)
    way_out = "" if mode == "pause" else _WAY_OUT
    if not yes:
        blast = session.call(lambda plane: plane.preview_lock(target), way_out=way_out)
        _confirm(blast, mode)
    body = Lock(target=target, mode=mode, reason=reason, expires_in_seconds=seconds)
    found = session.call(lambda plane: plane.lock(body), way_out=way_out)
    if wait and any(receipt.state == "attempted" for receipt in found.receipts):
        if not session.json:
            say(f"{found.lock} is in force; receipts are coming in …", err=True)
        found = session.call(partial(_answered, found.lock, wait))
    if session.json:
        print_json(found)
    else:
        _show(found)
    if yes:
        # asked only now, so that nothing delays the lock; said last, where it is seen
        blast = session.call(lambda plane: plane.preview_lock(target))
        _warn_of_nobody(blast, f"; `watchkeeper locks lift {found.lock} --reason …` ends it")
    if _is_unconfirmed(found):
        sys.exit(UNCONFIRMED)


def _switch_off(session: Session, text: str, reason: str, yes: bool) -> None:
    """Write the switch file, whatever the plane does; say whether the plane heeded it."""
    if _read(text).kind != "everything":
        fail(Invalid("the switch file stops everything", remedy="kill everything --local"))
    directory = state_directory(session.state)
    if not directory.is_dir():
        fail(Invalid("no plane keeps its state here", where=str(directory), remedy="give --state"))
    file = directory / SWITCH_FILE
    if not yes:
        if not sys.stdin.isatty():
            say("watchkeeper: nothing was stopped: there is no terminal to ask on", err=True)
            say("  try:  the same with --yes", err=True)
            sys.exit(REFUSED)
        typed = click.prompt(f"Type everything to write {file}", default="", err=True)
        if typed != "everything":
            say("Nothing was stopped.", err=True)
            sys.exit(REFUSED)
    try:
        write_switch(file, reason)
    except Invalid as error:
        fail(error)
    say(f"Written: {file}. While it is there nothing is permitted here.")
    say("To go on: remove the file, then lift the lock on everything (watchkeeper locks list).")


async def _answered(lock: str, seconds: int, plane: PlaneClient) -> LockRow:
    """Return the lock once every party has said something, or so many seconds have passed."""
    import asyncio

    found = await plane.read_lock(lock)
    for _ in range(int(seconds / _AGAIN_SECONDS)):
        if all(receipt.state != "attempted" for receipt in found.receipts):
            break
        await asyncio.sleep(_AGAIN_SECONDS)
        found = await plane.read_lock(lock)
    return found


def _confirm(blast: BlastRadius, mode: str) -> None:
    say(
        f"{mode} {blast.target.words}: {count(len(blast.agents), 'agent')}, "
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


def _warn_of_nobody(blast: BlastRadius, way_back: str = "") -> None:
    if not blast.known:
        known = f"! nothing here is known as {blast.target.words}: check the name"
        say(f"{known}{way_back}", err=True)


def _receipts(row: LockRow) -> str:
    """Count the effects that are done, are waited for, and may not have come about."""
    states = [receipt.state for receipt in row.receipts]
    said = [f"{states.count('acknowledged')} done"]
    said += [
        f"{states.count(state)} {word}"
        for state, word in (("attempted", "open"), ("unconfirmed", "UNCONFIRMED"))
        if state in states
    ]
    return ", ".join(said)


def _is_unconfirmed(found: LockRow) -> bool:
    return any(receipt.state == "unconfirmed" for receipt in found.receipts)


def _show(found: LockRow) -> None:
    state = f"lifted {at(found.lifted_at)} by {found.lifted_by}" if found.lifted_at else "in force"
    say(f"{found.lock}: {found.mode} on {found.target.words}, {state}")
    say_line(f"by {found.by} at {at(found.created_at)}: {found.reason}")
    if found.expires_at and not found.lifted_at:
        say_line(f"the plane lifts it at {at(found.expires_at)}")
    for receipt in found.receipts:
        party = "" if receipt.party == "plane" else f"{receipt.party}: "
        say(f"  {receipt.state:<14} {receipt.effect:<17} {party}{receipt.detail}")
    if _is_unconfirmed(found):
        say("! unconfirmed is told again until it answers: check it by hand meanwhile")
