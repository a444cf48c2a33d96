"""`requests`: the approval queue without a screen."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.fleet import say_more
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.handling import COMMANDS
from watchkeeper.cli.output import fail, print_facts, print_json, print_table, say, say_line
from watchkeeper.cli.quality import hints, judge, quality
from watchkeeper.cli.session import AFTER, DIGEST, FILTER, LIMIT, Session, speaks
from watchkeeper.cli.signatures import signatures
from watchkeeper.cli.words import at, left, proven, what_is_asked
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import dollars

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient
    from watchkeeper.wire.requests import RequestDetail, RequestRow, Verdict, Vote


@click.group(cls=NamedGroup)
def requests() -> None:
    """List, show and decide approval requests."""


requests.add_command(signatures)
for command in (quality, hints, judge):
    requests.add_command(command)
for _command in COMMANDS:
    requests.add_command(_command)
_VOTED: Mapping[str, str] = {
    "approve": "approves",
    "reject": "rejects",
    "changes": "asks for changes",
    "break-glass": "approves alone",
}
KEY = click.option(
    "--key", metavar="PATH", help="Sign with this SSH key; usually the agent's where one is needed."
)
FOR = click.option(
    "--for", "acting_for", metavar="PERSON", help="Cast the vote of who delegated it to you."
)


@requests.command("list")
@click.option(
    "--which", type=click.Choice(["pending", "decided", "all", "review"]), default="pending",
    show_default=True, help="Which requests.",
)  # fmt: skip
@click.option("--role", metavar="NAME", help="Only those that ask this role.")
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@AFTER
@LIMIT
@FILTER
@speaks()
def list_(
    session: Session,
    which: str,
    role: str | None,
    agent: str | None,
    after: str | None,
    limit: int,
    filter_: str | None,
) -> None:
    """List requests; pending ones by deadline."""
    page = session.call(
        lambda plane: plane.requests(
            state=which, role=role, agent=agent, filter=filter_, after=after, limit=limit
        )
    )
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("No requests.")
        return
    now = session.call(lambda plane: plane.status()).now
    print_table(
        ("LEFT", "RISK", "STATE", "ASKS", "AGENT", "ROLE", "LEVEL", "MINE", "REQUEST"),
        [
            (
                _left(row, now),
                row.risk,
                row.state,
                row.asks,
                row.agent,
                _still_asks(row),
                f"{row.level}/{row.levels}",
                "yes" if row.mine else "no",
                row.request,
            )
            for row in page.rows
        ],
    )
    say_more(page.next)


@requests.command(short_help="Show a request: what will happen, who asks.")
@click.argument("request")
@speaks()
def show(session: Session, request: str) -> None:
    """Show a request: what will happen, who asks, what it changes, which rule asked."""
    found = session.call(lambda plane: plane.request(request))
    if session.json:
        print_json(found)
    else:
        show_request(found)


@requests.command()
@click.argument("request")
@DIGEST
@click.option("--reason", metavar="TEXT", help="Why; kept in the ledger.")
@KEY
@FOR
@speaks()
def approve(
    session: Session,
    request: str,
    digest: str | None,
    reason: str | None,
    key: str | None,
    acting_for: str | None,
) -> None:
    """Approve a request: exactly what it asks, once."""
    _vote(session, request, "approve", digest, reason, key, acting_for)


@requests.command()
@click.argument("request")
@DIGEST
@click.option("--reason", required=True, metavar="TEXT", help="Why; the agent is told.")
@KEY
@FOR
@speaks()
def deny(
    session: Session,
    request: str,
    digest: str | None,
    reason: str,
    key: str | None,
    acting_for: str | None,
) -> None:
    """Deny a request; one denial decides."""
    _vote(session, request, "reject", digest, reason, key, acting_for)


@requests.command(short_help="Refuse it, and say what would do instead.")
@click.argument("request")
@DIGEST
@click.option("--reason", required=True, metavar="TEXT", help="What would do; the agent is told.")
@KEY
@FOR
@speaks()
def changes(
    session: Session,
    request: str,
    digest: str | None,
    reason: str,
    key: str | None,
    acting_for: str | None,
) -> None:
    """Refuse a request and say what would do instead; the agent may ask for that."""
    _vote(session, request, "changes", digest, reason, key, acting_for)


@requests.command()
@click.argument("request")
@click.option("--reason", metavar="TEXT", help="Why; kept in the ledger.")
@speaks()
def escalate(session: Session, request: str, reason: str | None) -> None:
    """Ask the next level now."""
    from watchkeeper.wire.requests import Escalate

    seen = session.call(lambda plane: plane.request(request))
    body = Escalate(level=seen.level, round=seen.round, reason=reason)
    found = session.call(lambda plane: plane.escalate(request, body))
    if session.json:
        print_json(found)
    else:
        say(f"{found.request} now asks {found.role} (level {found.level} of {found.levels}).")


@requests.command(short_help="Say that you are on it: nobody else is asked meanwhile.")
@click.argument("request")
@click.option(
    "--for", "seconds", metavar="SECONDS", type=click.IntRange(5, 86_400),
    help="How long the others wait; as its escalation says, if not given.",
)  # fmt: skip
@speaks()
def acknowledge(session: Session, request: str, seconds: int | None) -> None:
    """Say that you are on it: reminders and the next level wait, never past the deadline."""
    from watchkeeper.wire.requests import Acknowledge

    body = Acknowledge(seconds=seconds)
    found = session.call(lambda plane: plane.acknowledge(request, body))
    if session.json:
        print_json(found)
    else:
        until = at(found.acknowledged_until or found.decide_by)
        say(f"{found.request} waits for you until {until}; to be decided by {at(found.decide_by)}.")


def _vote(
    session: Session,
    request: str,
    verdict: Verdict,
    digest: str | None,
    reason: str | None,
    key: str | None,
    acting_for: str | None,
) -> None:
    from watchkeeper.client.votes import needs_signature
    from watchkeeper.wire.requests import Vote

    seen = session.call(lambda plane: plane.request(request))
    if digest is None and not session.json:
        say(what_is_asked(seen))
    if verdict == "approve" and seen.deciding.reason and seen.mine and not (reason or "").strip():
        # before a key is asked for, and touched, in vain
        fail(
            Invalid(
                f"approving {request} needs a reason",
                rule=f"risk/{seen.risk}/reason",
                remedy="say with --reason why it is right",
            )
        )
    body = Vote(
        verdict=verdict,
        digest=digest or seen.digest,
        reason=reason,
        view_seconds=_read(seen) if verdict == "approve" else None,
        acting_for=acting_for or seen.acting_for,
        channel="cli",
    )
    if key or (needs_signature(seen) and seen.mine):
        body = session.call(lambda plane: _sign(session, plane, seen, body, key))
    found = session.call(lambda plane: plane.vote(request, body))
    if session.json:
        print_json(found)
    else:
        owed = f", for {body.acting_for}" if body.acting_for else ""
        say(f"{found.request} is {_became(found, verdict)}{owed}.")


def _became(found: RequestDetail, verdict: Verdict) -> str:
    if found.state == "pending":
        return f"pending ({_agreed(found)})"
    if found.kind == "standing" and found.state == "succeeded":
        return f"approved; {found.standing} stands now"
    if found.kind == "top_up" and found.state == "succeeded":
        return "approved; the budget is topped up, and calls that wait for it go on"
    if found.kind == "interrupt" and found.state in ("approved", "denied"):
        return f"{found.state}; its runtime is being told"
    return "denied, and the agent is told what would do" if verdict == "changes" else found.state


def _left(row: RequestRow, now: int) -> str:
    if row.state == "pending":
        return left(row.decide_by, now)
    if row.review_due_at is not None and row.reviewed_by is None:
        return left(row.review_due_at, now)
    return "-"


def _still_asks(row: RequestRow) -> str:
    """Name the roles of which somebody is lacking yet; the level's stands in for the first."""
    if row.state != "pending" or len(row.groups) < 2:
        return row.role
    lacking = [one.role for one in row.groups[1:] if one.have < one.count]
    first = [row.role] if row.groups[0].have < row.groups[0].count else []
    return ", ".join(dict.fromkeys((*first, *lacking))) or row.role


def _read(seen: RequestDetail) -> float | None:
    """Show what has to be looked at for a time before it is approved; return how long it was."""
    if not seen.deciding.view_seconds or not sys.stdin.isatty():
        return None
    began = monotonic()
    show_request(seen)
    say(f"To be read for {seen.deciding.view_seconds:g} s, then approved.", err=True)
    click.confirm("Approve it?", abort=True, err=True)
    return monotonic() - began


def _agreed(found: RequestDetail) -> str:
    if len(found.groups) < 2:
        return f"{found.approvals} of {found.quorum}"
    return ", ".join(f"{one.have} of {one.count} {one.role}" for one in found.groups)


def _takes(found: RequestDetail) -> str | None:
    asked = found.deciding
    words = [
        *(["a signature"] if asked.signed else []),
        *(["a reason"] if asked.reason else []),
        *([f"{asked.view_seconds:g} s on screen"] if asked.view_seconds else []),
    ]
    return f"{' and '.join(words)}" if words else None


def _mine(found: RequestDetail) -> str:
    if not found.mine:
        return f"no: {found.why_not}"
    return f"yes, for {found.acting_for}" if found.acting_for else "yes"


async def _sign(
    session: Session, plane: PlaneClient, seen: RequestDetail, body: Vote, key: str | None
) -> Vote:
    from watchkeeper.client.votes import sign_vote

    return await sign_vote(
        plane,
        seen,
        body,
        key=Path(key).expanduser() if key else None,
        told=lambda text: say(text, err=True),
        quiet=False,
        state=session.state,
    )


def _state(found: RequestDetail) -> str:
    by = f" by {found.decided_by}" if found.decided_by else ""
    why = f": {found.decided_why}" if found.decided_why else ""
    if not found.break_glass:
        return f"{found.state}{by}{why}"
    if found.reviewed_by:
        return f"{found.state}{by} alone{why}; {found.reviewed_by} says {found.review_verdict}"
    return f"{found.state}{by} alone{why}; to be reviewed by {at(found.review_due_at or 0)}"


def show_request(found: RequestDetail) -> None:
    """Print a request in the order in which an approver reads it; the agent's words last."""
    thing = found.object
    behalf = f", on behalf of {found.on_behalf_of}" if found.on_behalf_of else ""
    if behalf:
        behalf += f" ({proven(found.on_behalf_of_proof)})"
    print_facts(
        [
            ("asks", found.asks),
            ("object", f"{thing.kind} {thing.id}" if thing else None),
            ("amount", dollars(found.amount_micros) if found.amount_micros else None),
            ("risk", found.risk),
            ("who", f"{found.agent} version {found.version}{behalf}"),
            ("standing" if found.kind == "standing" else "run", f"{found.run}: {found.goal}"),
            ("state", _state(found)),
            ("before", f"see {found.supersedes}" if found.supersedes else None),
            ("instead", f"see {found.superseded_by}" if found.superseded_by else None),
            ("caller", "hung up; nothing runs until it asks again" if found.caller_gone else None),
            ("beware", "\n".join(found.suspicious) or None),
            ("decide by", at(found.decide_by)),
            ("blast", f"{found.blast_radius} ({found.blast_source})"),
            ("rollback", found.way_back),
            ("rule", f"{found.rule}: {found.rule_text}"),
            ("agreed", _agreed(found)),
            ("takes", _takes(found)),
            ("mine", _mine(found)),
            ("asked", "\n".join(found.escalation)),
            ("history", found.history or None),
            ("digest", found.digest),
            ("arguments", found.canonical),
            ("narrow", ", ".join(f"{k} ({how})" for k, how in found.edits.items()) or None),
        ]
    )
    for change in found.changes:
        say_line(f"  {change.field}: {change.before} -> {change.after} ({change.source})")
    for vote in found.votes:
        signed = f", signed by {vote.key}" if vote.key else ""
        why = f": {vote.reason}" if vote.reason else ""
        owed = f" for {vote.acting_for}" if vote.acting_for else ""
        as_what = "" if vote.verdict == "break-glass" else f" as {vote.role}"
        say_line(
            f"  {at(vote.at)} {vote.person} {_VOTED[vote.verdict]}{as_what}{owed}{signed}{why}"
        )
    for less in found.narrowed:
        say_line(f"  {less.argument}: {less.before} -> {less.after} (by {found.narrowed_by})")
    for entry in found.timeline:
        say_line(f"  {at(entry.at)} {entry.text}")
    if found.explanation:
        say("the agent's own words, which nobody has checked:")
        for line in found.explanation.splitlines():
            say(f"  | {line}")
