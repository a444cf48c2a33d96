"""`apply`: plan a directory of contracts and policies, show it, put it in force."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.exits import REFUSED, WOULD_CHANGE
from watchkeeper.cli.output import fail, print_diff, print_json, say
from watchkeeper.cli.session import Session, speaks
from watchkeeper.core.errors import Invalid

if TYPE_CHECKING:
    from watchkeeper.wire.plane import File, Plan

_SIGNS = {"create": "+", "update": "~", "delete": "-", "unchanged": "="}


@click.command()
@click.option("-f", "--from", "directory", required=True, metavar="DIR", help="What to apply.")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option("--check", is_flag=True, help="Like --dry-run; exit 7 if anything would change.")
@click.option("--prune", is_flag=True, help="Also delete what the directory does not hold.")
@click.option("--yes", is_flag=True, help="Do not ask; needed without a terminal.")
@speaks()
def apply(
    session: Session, directory: str, dry_run: bool, check: bool, prune: bool, yes: bool
) -> None:
    """Put a directory of contracts and policies in force: plan, show, apply.

    Every *.yaml, *.yml and *.cedar file counts. All of it is applied, or on any mistake
    nothing. What is in force already stays as it is; --prune deletes the rest.
    """
    from watchkeeper.client.directory import read_directory

    try:
        files = read_directory(Path(directory))
    except Invalid as error:
        fail(error)
    plan = _plan(session, files, prune=prune)
    changes = sum(line.change != "unchanged" for line in plan.lines)
    if dry_run or check or not changes:
        _show(session, plan)
        if check and changes:
            sys.exit(WOULD_CHANGE)
        return
    if not session.json:
        _show(session, plan)
    if not yes:
        _confirm(plan, changes)
    applied = _apply(session, files, prune=prune, digest=plan.digest)
    if session.json:
        print_json(applied)
    else:
        say(f"Applied: {_summary(applied, done=True)}.")


def _plan(session: Session, files: tuple[File, ...], *, prune: bool) -> Plan:
    from watchkeeper.wire.plane import Apply

    body = Apply(files=files, dry_run=True, prune=prune)
    return session.call(lambda plane: plane.apply(body))


def _apply(session: Session, files: tuple[File, ...], *, prune: bool, digest: str) -> Plan:
    from watchkeeper.wire.plane import Apply

    # bound to the plan that was shown: if anything else was applied meanwhile, it refuses
    body = Apply(files=files, prune=prune, plan=digest)
    return session.call(lambda plane: plane.apply(body))


def _show(session: Session, plan: Plan) -> None:
    if session.json:
        print_json(plan)
        return
    for line in plan.lines:
        if line.change == "unchanged":
            continue
        place = f"  ({line.path})" if line.path else ""
        say(f"{_SIGNS[line.change]} {line.change} {line.kind} {line.name}{place}")
        if line.diff:
            print_diff(line.diff)
    for warning in plan.warnings:
        say(f"! {warning}")
    say(f"Plan: {_summary(plan)}.")


_DONE = {"create": "created", "update": "updated", "delete": "deleted"}


def _summary(plan: Plan, *, done: bool = False) -> str:
    counts = dict.fromkeys(_SIGNS, 0)
    for line in plan.lines:
        counts[line.change] += 1
    told = {change: _DONE[change] if done else f"to {change}" for change in _DONE}
    return (
        ", ".join(f"{n} {told.get(change, change)}" for change, n in counts.items() if n)
        or "nothing"
    )


def _confirm(plan: Plan, changes: int) -> None:
    if not sys.stdin.isatty():
        say("watchkeeper: nothing was applied: there is no terminal to ask on", err=True)
        say("  try:  look at the plan above and apply it with --yes", err=True)
        sys.exit(REFUSED)
    deleted = sum(line.change == "delete" for line in plan.lines)
    question = f"Apply {changes} changes" + (f", {deleted} of them deletions" if deleted else "")
    if not click.confirm(question + "?", default=False):
        say("Nothing was applied.", err=True)
        sys.exit(REFUSED)
