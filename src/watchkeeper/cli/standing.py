"""`standing`: approvals that people gave beforehand, within bounds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from watchkeeper.cli.fleet import print_page
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_facts, print_json, say
from watchkeeper.cli.session import AFTER, LIMIT, REASON, Session, speaks
from watchkeeper.cli.words import at, read_span
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import dollars, micros_from_text

if TYPE_CHECKING:
    from watchkeeper.wire.standing import StandingRow


@click.group(cls=NamedGroup)
def standing() -> None:
    """List, propose and end standing approvals."""


@standing.command("list")
@click.option("--which", type=click.Choice(["open", "all"]), default="open", show_default=True)
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@click.option("--tool", metavar="NAME", help="Only for this tool.")
@AFTER
@LIMIT
@speaks()
def list_(
    session: Session,
    which: str,
    agent: str | None,
    tool: str | None,
    after: str | None,
    limit: int,
) -> None:
    """List standing approvals: what stands and what is proposed."""
    page = session.call(
        lambda plane: plane.standing_approvals(
            state=which, agent=agent, tool=tool, after=after, limit=limit
        )
    )
    print_page(
        session,
        page,
        ("STATE", "AGENT", "TOOL", "PINS", "USES", "MONEY", "UNTIL", "BY", "STANDING"),
        lambda row: (
            row.state,
            row.agent,
            row.tool,
            _pins(row),
            f"{row.uses}/{row.max_uses}",
            _money(row),
            at(row.expires_at),
            ", ".join(row.approved_by) or f"proposed by {row.proposed_by}",
            row.standing,
        ),
        empty="No standing approvals.",
    )


@standing.command()
@click.argument("name", metavar="STANDING")
@speaks()
def show(session: Session, name: str) -> None:
    """Show a standing approval with what is left of it."""
    found = session.call(lambda plane: plane.standing_approval(name))
    if session.json:
        print_json(found)
    else:
        _show(found)


@standing.command(short_help="Ask people to approve beforehand, within bounds.")
@click.option("--from", "request", metavar="REQUEST", help="Agent, tool, values from a request.")
@click.option("--agent", metavar="NAME")
@click.option("--tool", metavar="NAME")
@click.option(
    "--pin", "pins", multiple=True, metavar="ARGUMENT[=JSON]",
    help="An argument and its one value; with --from the value it has there.",
)  # fmt: skip
@click.option("--uses", type=click.IntRange(1, 10_000), required=True, help="How often at most.")
@click.option(
    "--for", "span", metavar="TIME", required=True, help="How long, e.g. 7d; 30d at most."
)
@click.option("--each", metavar="DOLLARS", help="The most that one call may move.")
@click.option("--total", metavar="DOLLARS", help="The most that all of them may move.")
@REASON
@speaks()
def propose(
    session: Session,
    request: str | None,
    agent: str | None,
    tool: str | None,
    pins: tuple[str, ...],
    uses: int,
    span: str,
    each: str | None,
    total: str | None,
    reason: str,
) -> None:
    """Propose that an agent may do something again without asking each time.

    It is decided like a request, by the same people as one such action, without you.
    """
    from watchkeeper.wire.standing import LONGEST_SECONDS, ProposeStanding

    if read_span(span) > LONGEST_SECONDS:
        raise click.BadParameter("30d at most", param_hint="--for")
    try:
        values = {} if request else dict(_pin(one) for one in pins)
        body = ProposeStanding(
            agent=agent,
            tool=tool,
            request=request,
            pin=pins if request else (),
            pins=values,
            uses=uses,
            seconds=read_span(span),
            each_micros=micros_from_text(each) if each else None,
            total_micros=micros_from_text(total) if total else None,
            reason=reason,
        )
    except Invalid as error:
        fail(error)
    found = session.call(lambda plane: plane.propose_standing(body))
    if session.json:
        print_json(found)
        return
    _show(found)
    say(f"Decide it with `watchkeeper requests show {found.request}`.")


@standing.command()
@click.argument("name", metavar="STANDING")
@REASON
@speaks()
def end(session: Session, name: str, reason: str) -> None:
    """End a standing approval at once, or take its proposal back."""
    from watchkeeper.wire.standing import EndStanding

    found = session.call(lambda plane: plane.end_standing(name, EndStanding(reason=reason)))
    if session.json:
        print_json(found)
    else:
        say(f"{found.standing} is {found.state}: used {found.uses} of {found.max_uses} times.")


def _pin(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise Invalid(
            f"--pin {text!r:.60} has no value",
            remedy="write --pin charge_id=ch_1, or take it from a request with --from",
        )
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _show(found: StandingRow) -> None:
    print_facts(
        [
            ("standing", found.standing),
            ("state", found.state + (f": {found.ended_why}" if found.ended_why else "")),
            ("agent", found.agent),
            ("tool", found.tool),
            ("pins", _pins(found)),
            ("uses", f"{found.uses} of {found.max_uses}"),
            ("money", _money(found)),
            ("until", at(found.expires_at) if found.expires_at else "once it is approved"),
            ("risk", found.risk),
            ("quorum", " and ".join(f"{one.count} of {one.role}" for one in found.groups)),
            ("reason", found.reason),
            ("proposed", f"{at(found.proposed_at)} by {found.proposed_by}"),
            ("approved", ", ".join(found.approved_by) or "not yet"),
            ("request", found.request),
        ]
    )


def _pins(row: StandingRow) -> str:
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in row.pins.items()) or "any"


def _money(row: StandingRow) -> str:
    if row.total_micros is None:
        return "-"
    each = f", {dollars(row.each_micros)} each" if row.each_micros is not None else ""
    return f"{dollars(row.used_micros)} of {dollars(row.total_micros)}{each}"
