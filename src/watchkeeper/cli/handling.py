"""`requests edit|comment|break-glass|review|take-back|cancel`: what else becomes of a request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchkeeper.cli.output import fail, print_json, say
from watchkeeper.cli.session import DIGEST, REASON, Session, speaks
from watchkeeper.cli.words import at, what_is_asked
from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Invalid

if TYPE_CHECKING:
    from watchkeeper.wire.requests import RequestDetail


@click.command(short_help="Approve less: narrow arguments, and approve that instead.")
@click.argument("request")
@click.argument("values", metavar="NAME=VALUE...", nargs=-1, required=True)
@DIGEST
@click.option("--reason", metavar="TEXT", help="Why; the agent is told.")
@speaks()
def edit(
    session: Session,
    request: str,
    values: tuple[str, ...],
    digest: str | None,
    reason: str | None,
) -> None:
    """Narrow a request's arguments and approve that: another request stands for it.

    Which arguments may change, and how, is the tool's contract's to say; `show` prints it. What
    was text takes the VALUE as it is, everything else as JSON.
    """
    from watchkeeper.wire.requests import Edit

    seen = session.call(lambda plane: plane.request(request))
    try:
        arguments = _changed(seen, values)
    except Invalid as error:
        fail(error)
    body = Edit(digest=digest or seen.digest, arguments=arguments, reason=reason)
    found = session.call(lambda plane: plane.edit_request(request, body))
    if session.json:
        print_json(found)
        return
    for change in found.narrowed:
        say(f"  {change.argument}: {_written(change.before)} -> {_written(change.after)}")
    say(f"{found.request} stands for {request} and is {found.state}.")
    if found.state == "pending" and found.mine:
        say(f"Your vote is still to be cast: watchkeeper requests approve {found.request}")


@click.command(short_help="Say something of a request.")
@click.argument("request")
@click.argument("text")
@speaks()
def comment(session: Session, request: str, text: str) -> None:
    """Say something of a request, for everybody who decides it."""
    from watchkeeper.wire.requests import Comment

    body = Comment(text=text)
    found = session.call(lambda plane: plane.comment(request, body))
    if session.json:
        print_json(found)
    else:
        count = len(found.comments)
        say(f"{found.request} has {count} comment{'' if count == 1 else 's'}.")


@click.command("break-glass", short_help="Approve alone in an emergency; it is reviewed.")
@click.argument("request")
@DIGEST
@REASON
@click.option("--key", metavar="PATH", help="Sign with this SSH key.")
@speaks()
def break_glass(
    session: Session, request: str, digest: str | None, reason: str, key: str | None
) -> None:
    """Approve alone in an emergency. Everybody who may decide it is told, and somebody else
    reviews it within a day; until then an overdue review keeps you from doing it again."""
    from watchkeeper.client.votes import needs_signature, sign_vote
    from watchkeeper.wire.requests import BreakGlass

    seen = session.call(lambda plane: plane.request(request))
    if digest is None and not session.json:
        say(what_is_asked(seen))
    body = BreakGlass(digest=digest or seen.digest, reason=reason)
    if key or needs_signature(seen):
        path = Path(key).expanduser() if key else None
        unsigned = body
        body = session.call(
            lambda plane: sign_vote(
                plane,
                seen,
                unsigned,
                key=path,
                told=lambda text: say(text, err=True),
                quiet=False,
                state=session.state,
            )
        )
    signed = body
    found = session.call(lambda plane: plane.break_glass(request, signed))
    if session.json:
        print_json(found)
        return
    until = at(found.grant_expires_at or found.decide_by)
    say(f"{found.request} is {found.state}, by you alone; to be used until {until}.")
    if found.review_due_at is not None:
        roles = " or ".join(found.asked or (found.role,))
        say(f"Somebody else of {roles} has to review it by {at(found.review_due_at)}.")


@click.command(short_help="Review an approval that one person gave alone.")
@click.argument("request")
@click.argument("verdict", type=click.Choice(["justified", "unjustified"]))
@click.option("--note", required=True, metavar="TEXT", help="Why; kept in the ledger.")
@speaks()
def review(session: Session, request: str, verdict: str, note: str) -> None:
    """Say whether a break-glass approval was justified; `list --which review` lists what waits."""
    from watchkeeper.wire.requests import Review

    body = Review(verdict=verdict, note=note)
    found = session.call(lambda plane: plane.review(request, body))
    if session.json:
        print_json(found)
    else:
        say(f"{found.request}: {found.review_verdict}, says {found.reviewed_by}.")


@click.command("take-back", short_help="Take an approval back before it is used.")
@click.argument("request")
@click.option("--reason", metavar="TEXT", help="Why; kept in the ledger.")
@speaks()
def take_back(session: Session, request: str, reason: str | None) -> None:
    """Take an approval back before it is used. The agent has to ask anew."""
    from watchkeeper.wire.requests import TakeBack

    body = TakeBack(reason=reason)
    found = session.call(lambda plane: plane.take_back(request, body))
    if session.json:
        print_json(found)
    else:
        say(f"{found.request} is {found.state}: it was not used.")


@click.command(hidden=True)
@click.argument("request")
@click.option(
    "--token", envvar="WATCHKEEPER_RUN_TOKEN", required=True, metavar="TEXT",
    help="The run's token; better as WATCHKEEPER_RUN_TOKEN in the environment.",
)  # fmt: skip
@speaks()
def cancel(session: Session, request: str, token: str) -> None:
    """As the agent: take back a request of its run, or an approval that it has not used.

    People reject a request, or take its approval back.
    """
    found = session.call(lambda plane: plane.cancel_request(request), token=token)
    if session.json:
        print_json(found)
    else:
        say(f"{found.request} is {found.state}.")


COMMANDS = (edit, comment, break_glass, review, take_back, cancel)


def _changed(seen: RequestDetail, values: tuple[str, ...]) -> dict[str, Any]:
    """Return all arguments with those that were given anew; raise `Invalid`."""
    arguments = dict(seen.arguments)
    for given in values:
        name, equals, value = given.partition("=")
        if not equals or name not in arguments:
            raise Invalid(
                f"{given!r:.80} names no argument of this request",
                remedy="write NAME=VALUE; arguments: " + ", ".join(sorted(arguments)),
            )
        if isinstance(arguments[name], str):
            arguments[name] = value
            continue
        try:
            arguments[name] = parse(value)
        except Invalid as error:
            raise Invalid(
                f"{name}: {error.message}", remedy="write numbers and lists as JSON"
            ) from None
    return arguments


def _written(value: Any) -> str:
    return canonical(value).decode()
