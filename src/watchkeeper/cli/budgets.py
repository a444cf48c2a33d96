"""`budgets`: caps, what is used, top-ups."""

from __future__ import annotations

import sys

import click

from watchkeeper.cli.exits import REFUSED
from watchkeeper.cli.fleet import say_more
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_facts, print_json, print_table
from watchkeeper.cli.session import AFTER, FILTER, LIMIT, REASON, Session, speaks
from watchkeeper.cli.words import amount, at
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import micros_from_text


@click.group(cls=NamedGroup)
def budgets() -> None:
    """List, show and top up budgets."""


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
        ("BUDGET", "STATE", "USED", "HELD", "CAP", "TOPPED UP", "REFUSED", "RESETS"),
        [
            (
                row.budget,
                row.state,
                amount(row.measure, row.posted),
                amount(row.measure, row.held),
                amount(row.measure, row.cap),
                amount(row.measure, row.topped_up) if row.topped_up else "-",
                row.refused,
                at(row.resets_at),
            )
            for row in page.rows
        ],
    )
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
    topped = f" + {amount(found.measure, found.topped_up)} topped up" if found.topped_up else ""
    print_facts(
        [
            ("budget", found.budget),
            ("state", found.state),
            ("used", amount(found.measure, found.posted)),
            ("held", amount(found.measure, found.held)),
            ("cap", amount(found.measure, found.cap) + topped),
            ("period", f"{found.period} {found.period_key}"),
            ("resets", at(found.resets_at)),
            ("refused", found.refused),
            ("runs out", at(found.exhausts_at) if found.exhausts_at else None),
        ]
    )
    for one in found.spenders:
        print_facts([("  spent", f"{amount(found.measure, one.amount)} by {one.agent}")])


@budgets.command("top-up", short_help="Raise a budget's cap for its current period.")
@click.argument("budget")
@click.argument("by")
@REASON
@speaks()
def top_up(session: Session, budget: str, by: str, reason: str) -> None:
    """Raise BUDGET's cap for its current period by an amount: `$5`, or a count."""
    from watchkeeper.wire.budgets import TopUp

    try:
        more = micros_from_text(by) if budget.endswith("/spend") else int(by.replace(",", ""))
    except ValueError:
        fail(Invalid(f"not a whole number: {by!r:.40}", remedy="give a count, such as 500"))
    except Invalid as error:
        fail(error)
    if more <= 0:
        fail(Invalid("a top-up must be more than zero"))
    body = TopUp(amount=more, reason=reason)
    found = session.call(lambda plane: plane.top_up(budget, body))
    if session.json:
        print_json(found)
        return
    cap = amount(found.measure, found.cap + found.topped_up)
    print_facts([("budget", found.budget), ("cap now", cap), ("state", found.state)])


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
