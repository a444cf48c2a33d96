"""`budgets`: caps, what is used, top-ups."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.exits import REFUSED
from watchkeeper.cli.fleet import say_more
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_facts, print_json, print_table, say
from watchkeeper.cli.session import AFTER, FILTER, LIMIT, REASON, Session, speaks
from watchkeeper.cli.words import amount, at
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import micros_from_text

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient
    from watchkeeper.wire.budgets import BudgetDetail, BudgetRow

_PARTS = 12


@click.group(cls=NamedGroup)
def budgets() -> None:
    """List, show and top up budgets; change their caps."""


@budgets.command("list")
@click.option("--scope", metavar="SCOPE", help="run, all, team/NAME or agent/NAME.")
@AFTER
@LIMIT
@FILTER
@speaks()
def list_(
    session: Session, scope: str | None, after: str | None, limit: int, filter_: str | None
) -> None:
    """List the budgets of the current periods."""
    page = session.call(
        lambda plane: plane.budgets(scope=scope, filter=filter_, after=after, limit=limit)
    )
    if session.json:
        print_json(page)
        return
    print_table(
        ("BUDGET", "STATE", "USED", "HELD", "CAP", "TOPPED UP", "LAST HOUR", "REFUSED", "RESETS"),
        [
            (
                row.budget,
                row.state,
                amount(row.measure, row.posted),
                amount(row.measure, row.held),
                amount(row.measure, row.cap) + ("*" if row.cap_by else ""),
                amount(row.measure, row.topped_up) if row.topped_up else "-",
                amount(row.measure, row.per_hour),
                row.refused,
                at(row.resets_at),
            )
            for row in page.rows
        ],
    )
    if any(row.cap_by for row in page.rows):
        say("* a person changed the cap: see `watchkeeper budgets show`")
    say_more(page.next)


@budgets.command()
@click.argument("budget")
@speaks()
def show(session: Session, budget: str) -> None:
    """Show a budget with who draws on it."""
    found = session.call(lambda plane: plane.budget(budget))
    if session.json:
        print_json(found)
        return
    measure = found.measure
    topped = f" + {amount(measure, found.topped_up)} topped up" if found.topped_up else ""
    zone = f" ({found.zone})" if found.zone != "UTC" else ""
    print_facts(
        [
            ("budget", found.budget),
            ("state", found.state),
            ("used", amount(measure, found.posted)),
            ("held", amount(measure, found.held)),
            ("cap", amount(measure, found.cap) + topped),
            ("changed", _changed(found)),
            ("period", f"{found.period} {found.period_key.partition('@')[0]}{zone}"),
            ("mode", found.mode),
            ("resets", at(found.resets_at)),
            ("last hour", amount(measure, found.per_hour)),
            ("lately", _lately(found)),
            ("runs out", at(found.exhausts_at) if found.exhausts_at else None),
            ("warns at", ", ".join(f"{one} %" for one in found.warn_at) or None),
            ("then", "\n".join(one.says for one in found.responses) or None),
            (
                "asked",
                f"see `watchkeeper requests show {found.request}`" if found.request else None,
            ),
            ("breaker", f"{found.breaker} is open" if found.breaker else None),
            ("refused", found.refused),
        ]
    )
    for one in found.spenders:
        print_facts([("  spent", f"{amount(measure, one.amount)} by {one.agent}")])
    if found.spent:
        say()
        print_table(
            ("AT", "AGENT", "CALL", "AMOUNT", "STATE", "DECISION"),
            [
                (at(one.at), one.agent, one.name, amount(measure, one.amount), one.state,
                 one.decision)
                for one in found.spent
            ],
        )  # fmt: skip


def _changed(found: BudgetDetail) -> str | None:
    if found.cap_by is None:
        return None
    until = f"until {at(found.cap_until)}" if found.cap_until else "until it is taken back"
    return f"by {found.cap_by}, {until}"


def _lately(found: BudgetDetail) -> str | None:
    if not any(found.history):
        return None
    parts = " ".join(amount(found.measure, one) for one in found.history[-_PARTS:])
    return f"{parts} (each of {found.history_seconds // 60:,} min, newest last)"


def _read_amount(budget: str, text: str) -> int:
    """Read an amount of a budget's measure: `$5`, seconds of time, or a count; end on another."""
    measure = budget.rpartition("/")[2]
    try:
        if measure in ("spend", "value"):
            return micros_from_text(text)
        plain = text.replace(",", "")
        found = int(plain.removesuffix("s") if measure == "wall_time" else plain)
    except ValueError:
        fail(Invalid(f"not a whole number: {text!r:.40}", remedy="give a count, such as 500"))
    except Invalid as error:
        fail(error)
    return found * 1_000_000 if measure == "wall_time" else found


@budgets.command("top-up", short_help="Raise a budget's cap for its current period.")
@click.argument("budget")
@click.argument("by")
@REASON
@speaks()
def top_up(session: Session, budget: str, by: str, reason: str) -> None:
    """Raise BUDGET's cap for its current period by an amount: `$5`, or a count."""
    from watchkeeper.wire.budgets import TopUp

    more = _read_amount(budget, by)
    if more <= 0:
        fail(Invalid("a top-up must be more than zero"))
    body = TopUp(amount=more, reason=reason)
    found = session.call(lambda plane: plane.top_up(budget, body))
    if session.json:
        print_json(found)
        return
    cap = amount(found.measure, found.cap + found.topped_up)
    print_facts([("budget", found.budget), ("cap now", cap), ("state", found.state)])


@budgets.command("cap", short_help="Put another cap in place of the documents'.")
@click.argument("budget")
@click.argument("to", required=False, metavar="AMOUNT")
@click.option("--remove", is_flag=True, help="Go back to the documents' cap.")
@click.option("--until", metavar="TIME", help="When the documents' cap holds again.")
@REASON
@speaks()
def change_cap(
    session: Session, budget: str, to: str | None, remove: bool, until: str | None, reason: str
) -> None:
    """Put another cap in place of the documents' on BUDGET: `$5`, seconds, or a count.

    It holds at once, over an apply and a restart, until TIME or until it is taken back with
    --remove. TIME is on the wall of the budget's zone (18:00 or 2026-12-24T18:00) unless it
    carries an offset or Z; +4h is so long from now.
    """
    from watchkeeper.core.wall import read_time, wall_clock
    from watchkeeper.wire.budgets import CapChange

    if remove == (to is not None) or (remove and until):
        raise click.UsageError("give an amount, or --remove alone")
    cap = None if to is None else _read_amount(budget, to)
    if cap is not None and cap < 0:
        fail(Invalid("a cap is zero or more"))

    async def change(plane: PlaneClient) -> BudgetRow:
        ends = None
        if until is not None:
            row, status = await plane.budget(budget), await plane.status()
            ends = read_time(until, wall_clock(row.zone), status.now)
        return await plane.change_cap(budget, CapChange(cap=cap, until=ends, reason=reason))

    found = session.call(change)
    if session.json:
        print_json(found)
        return
    print_facts(
        [
            ("budget", found.budget),
            ("cap now", amount(found.measure, found.cap)),
            ("until", at(found.cap_until) if found.cap_until else None),
            ("state", found.state),
        ]
    )


@budgets.command(short_help="Add every balance up from its holds; exit 1 where one differs.")
@speaks()
def check(session: Session) -> None:
    """Add every balance up from its holds, and say which differ; exit 1 if one does."""
    found = session.call(lambda plane: plane.check_balances())
    if session.json:
        print_json(found)
    else:
        wrong = len(found.differences)
        print_facts(
            [
                ("balances", f"{found.balances:,}"),
                ("holds", f"{found.holds:,}"),
                ("differ", f"{wrong} (the first of them below)" if wrong else "none"),
            ]
        )
        for one in found.differences:
            words = f"{one.part} is {one.kept:,}, its holds add up to {one.summed:,}"
            print_facts([(f"{one.budget} {one.period_key}", words)])
    if found.differences:
        sys.exit(REFUSED)
