"""`tools`: contracts and pins, quarantine, drafts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from watchkeeper.cli.fleet import print_page
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_diff, print_facts, print_json, say
from watchkeeper.cli.session import AFTER, FILTER, LIMIT, REASON, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.errors import Conflict, NotFound

if TYPE_CHECKING:
    from watchkeeper.wire.tools import QuarantineRow, ToolDetail

_DIGEST = click.option(
    "--digest", metavar="TEXT", help="Of the definition you looked at; as `quarantine` prints it."
)
_SHORT = 19
"""`sha256:` and twelve digits: enough to tell definitions apart in a list."""


@click.group(cls=NamedGroup)
def tools() -> None:
    """List and show tools; accept or reject what upstreams offer."""


@tools.command("list", short_help="List tools, with a contract or without.")
@AFTER
@LIMIT
@FILTER
@speaks()
def list_(session: Session, after: str | None, limit: int, filter_: str | None) -> None:
    """List tools; those that an upstream offers without a contract too."""
    page = session.call(lambda plane: plane.tools(after=after, limit=limit, filter=filter_))
    print_page(
        session,
        page,
        ("TOOL", "STATE", "ACCESS", "RISK", "AGENTS", "CALLS/D", "DENIED/D", "DOES"),
        lambda row: (
            row.name,
            row.state if row.covered else "uncovered",
            row.access or "-",
            row.risk or "-",
            row.agents,
            row.calls_day,
            row.denied_day,
            row.does[:60],
        ),
        empty="No tools.",
    )


@tools.command(short_help="Show a tool: contract, definitions, decisions.")
@click.argument("name")
@speaks()
def show(session: Session, name: str) -> None:
    """Show a tool: its contract in words, its definitions, what was decided of it."""
    found = session.call(lambda plane: plane.tool(name))
    if session.json:
        print_json(found)
    else:
        _show(found)


@tools.command(short_help="List definitions that wait for a person.")
@LIMIT
@speaks()
def quarantine(session: Session, limit: int) -> None:
    """List definitions that nobody has accepted, each with what differs."""
    page = session.call(lambda plane: plane.quarantine(limit=limit))
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("Nothing is in quarantine.")
        return
    for row in page.rows:
        _show_quarantined(row)
    if page.total is not None and page.total > len(page.rows):
        say(f"{page.total - len(page.rows)} more", err=True)
    if any(row.acceptable for row in page.rows):
        say(
            "Once you have looked: watchkeeper tools accept NAME --digest OFFERED --reason TEXT,\n"
            "or reject in the place of accept.",
            err=True,
        )


@tools.command(short_help="Trust exactly the definition of a digest.")
@click.argument("name")
@_DIGEST
@REASON
@speaks()
def accept(session: Session, name: str, digest: str | None, reason: str) -> None:
    """Trust exactly the definition with this digest; NAME is a contract or UPSTREAM/TOOL."""
    _judge(session, name, digest, reason, "accept")


@tools.command(short_help="Keep a definition refused until it changes.")
@click.argument("name")
@_DIGEST
@REASON
@speaks()
def reject(session: Session, name: str, digest: str | None, reason: str) -> None:
    """Keep a definition refused; it is asked about again only when it changes."""
    _judge(session, name, digest, reason, "reject")


@tools.command(short_help="Draft contracts for what has none.")
@click.argument("upstream")
@speaks()
def draft(session: Session, upstream: str) -> None:
    """Print contracts drafted from what UPSTREAM says of its tools, to be finished by hand."""
    found = session.call(lambda plane: plane.draft(upstream))
    if session.json:
        print_json(found)
        return
    say(found.yaml.rstrip("\n") or f"# {upstream} offers nothing without a contract")
    for left_out in found.left_out:
        say(f"left out: {left_out}", err=True)
    say(f"{found.drafted} drafted, {found.covered} have a contract already", err=True)


def _judge(
    session: Session,
    name: str,
    digest: str | None,
    reason: str,
    verdict: Literal["accept", "reject"],
) -> None:
    from watchkeeper.wire.tools import JudgeDefinition

    row = _find(session, name)
    if digest is None:
        _show_quarantined(row)
        fail(
            Conflict(
                "nothing was changed: name the definition that you looked at",
                code="digest_missing",
                remedy=f"watchkeeper tools {verdict} {name} --digest {row.digest} --reason TEXT",
            )
        )
    body = JudgeDefinition(upstream=row.upstream, tool=row.tool, digest=digest, reason=reason)
    found = session.call(
        lambda plane: (
            plane.accept_definition(body) if verdict == "accept" else plane.reject_definition(body)
        )
    )
    if session.json:
        print_json(found)
    else:
        deed = "is trusted now" if verdict == "accept" else "stays refused"
        say(f"{found.upstream}/{found.tool} {found.digest[:_SHORT]} {deed}.")


def _find(session: Session, name: str) -> QuarantineRow:
    page = session.call(lambda plane: plane.quarantine(limit=500))
    for row in page.rows:
        if name in row.names or name == f"{row.upstream}/{row.tool}":
            return row
    fail(
        NotFound(
            f"no definition of {name} waits for a person",
            remedy="see `watchkeeper tools quarantine`",
        )
    )


def _show_quarantined(row: QuarantineRow) -> None:
    names = ", ".join(row.names) or "no contract"
    say(f"{row.upstream}/{row.tool} ({names}): {row.state} since {at(row.since)}")
    say(f"  {row.why}")
    say(f"  offered  {row.digest}")
    if row.pinned:
        say(f"  pinned   {row.pinned}")
    if row.rejected_by:
        say(f"  rejected by {row.rejected_by}: {row.rejected_why}")
    print_diff("\n".join(line.replace("\n", "␊") for line in row.diff) or "(nothing to compare)")


def _show(found: ToolDetail) -> None:
    pinned = f"by {found.pinned_by} ({found.pinned_how}) at {at(found.pinned_at)}"
    definition = found.pinned
    print_facts(
        [
            ("tool", found.name),
            ("state", "; ".join(filter(None, (found.state, found.why)))),
            *((clause.about, clause.text) for clause in found.clauses),
            ("says", None if found.covered else found.does or None),
            ("used by", ", ".join(found.used_by) or "no agent"),
            ("locks", ", ".join(found.locks) or None),
            ("pinned", f"{definition.digest} {pinned}" if definition else None),
            ("offered", found.observed.digest if found.observed else None),
            ("looks like", found.like),
            ("rejected", found.rejected_by),
            ("calls", f"{found.calls_day} in 24 hours, {found.denied_day} denied"),
        ]
    )
    for rule in found.rules:
        say(f"  {rule.count:>6}  {rule.verdict:<6}  {rule.rule}")
    if found.diff:
        print_diff("\n".join(line.replace("\n", "␊") for line in found.diff))
