"""`agents` and `runs`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from watchkeeper.cli.output import fail, print_facts, print_json, print_table, say
from watchkeeper.cli.session import AFTER, FILTER, LIMIT, Session, speaks
from watchkeeper.cli.words import at, proven
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import dollars, micros_from_text

if TYPE_CHECKING:
    from watchkeeper.wire.agents import AgentRow
    from watchkeeper.wire.base import Shown
    from watchkeeper.wire.pages import Page

Row = TypeVar("Row", bound="Shown")

_MAY = {"yes": "may", "approval": "may, asks", "never": "never"}


@click.command()
@click.argument("name", required=False)
@AFTER
@LIMIT
@FILTER
@speaks()
def agents(
    session: Session, name: str | None, after: str | None, limit: int, filter_: str | None
) -> None:
    """List agents and what each is doing; with NAME, show one with its contract."""
    if name is not None:
        _show_agent(session, name)
        return
    page = session.call(lambda plane: plane.agents(after=after, limit=limit, filter=filter_))
    print_page(
        session,
        page,
        ("AGENT", "STATE", "HEALTH", "OWNER", "RUNS", "CALLS/H", "DENIED/H", "SPEND/H", "DOING"),
        lambda row: (
            row.name,
            row.state,
            _health(row),
            row.owner,
            row.open_runs,
            row.calls_hour,
            row.denied_hour,
            dollars(row.spend_hour_micros),
            row.why or row.doing,
        ),
    )


def _health(row: AgentRow) -> str:
    """Say how the best of its runs does, and how many ail."""
    ailing = f", {row.ailing_runs} of {row.open_runs} ail" if row.ailing_runs else ""
    return f"{row.health or '-'}{ailing}"


def print_page(
    session: Session,
    page: Page[Row],
    headings: Sequence[str],
    cells: Callable[[Row], Sequence[object]],
    *,
    empty: str | None = None,
) -> None:
    """Print a page of rows as a table, or `empty`, and how to go on; or all of it as JSON."""
    if session.json:
        print_json(page)
    elif empty is not None and not page.rows:
        say(empty)
    else:
        print_table(headings, [cells(row) for row in page.rows])
        say_more(page.next)


def say_more(key: str | None) -> None:
    """Tell how to go on where a list was cut."""
    if key is not None:
        say(f"more: --after {key}", err=True)


def _show_agent(session: Session, name: str) -> None:
    found = session.call(lambda plane: plane.agent(name))
    if session.json:
        print_json(found)
        return
    print_facts(
        [
            ("agent", f"{found.name}, version {found.version}, owned by {found.owner}"),
            ("mission", found.mission),
            ("process", found.business_process),
            ("state", found.state),
            ("health", _health(found) if found.health else None),
            ("doing", found.doing),
            ("why", found.why),
            ("last hour", f"{found.calls_hour} calls, {found.denied_hour} denied"),
            ("spend", f"{dollars(found.spend_day_micros)} in 24 h"),
            ("locks", ", ".join(found.locks) or None),
            ("models", ", ".join(found.models) or "none"),
            ("budgets", "\n".join(found.budgets) or "none"),
        ]
    )
    for row in found.envelope.rows:
        say(f"  {_MAY[row.may]:<9} {row.kind:<6} {row.name}: {row.words}")
    say()
    say(found.contract_yaml)


@click.command()
@click.argument("run", required=False)
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@click.option("--version", type=int, metavar="N", help="Only of this version of the contract.")
@click.option("--in", "run_state", metavar="STATE", help="Only runs in this state, e.g. open.")
@click.option("--for", "principal", metavar="NAME", help="Only on behalf of such a principal.")
@click.option("--cost", metavar="AMOUNT", help="Only what cost at least e.g. 0.05 dollars.")
@click.option("--replay-of", metavar="RUN", help="Only replays of this run; `any` has all.")
@AFTER
@LIMIT
@speaks()
def runs(
    session: Session,
    run: str | None,
    agent: str | None,
    version: int | None,
    run_state: str | None,
    principal: str | None,
    cost: str | None,
    replay_of: str | None,
    after: str | None,
    limit: int,
) -> None:
    """List runs, newest first; with RUN, show one with its decisions."""
    if run is not None:
        _show_run(session, run)
        return
    try:
        least = None if cost is None else micros_from_text(cost)
    except Invalid as error:
        fail(error)
    page = session.call(
        lambda plane: plane.runs(
            agent=agent,
            version=version,
            state=run_state,
            on_behalf_of=principal,
            cost_at_least=least,
            replay_of=replay_of,
            after=after,
            limit=limit,
        )
    )
    print_page(
        session,
        page,
        ("RUN", "AGENT", "STATE", "HEALTH", "CALLS", "DENIED", "SPEND", "GOAL"),
        lambda row: (
            row.run,
            row.agent,
            row.state,
            row.health or "-",
            row.calls,
            row.denied,
            dollars(row.spend_micros),
            row.goal,
        ),
    )


def _show_run(session: Session, run: str) -> None:
    found = session.call(lambda plane: plane.run(run))
    if session.json:
        print_json(found)
        return
    thing = found.business_object
    print_facts(
        [
            ("run", f"{found.run} of {found.agent}, version {found.version}"),
            ("state", found.state),
            ("why", found.why),
            ("health", ": ".join(one for one in (found.health, found.health_why) if one) or None),
            ("last sign", at(found.seen_at) if found.seen_at else None),
            ("goal", found.goal),
            ("on behalf of", found.on_behalf_of),
            ("proof", proven(found.on_behalf_of_proof) if found.on_behalf_of else None),
            ("parent", found.parent),
            ("replay of", found.replay_of),
            ("scope", found.scope),
            ("SPIFFE id", found.spiffe_id),
            ("object", f"{thing.kind} {thing.id}" if thing else None),
            ("opened", at(found.opened_at)),
            ("closed", at(found.closed_at) if found.closed_at else None),
            ("summary", found.summary),
            ("used", f"{found.calls} calls, {found.tokens} tokens, {dollars(found.spend_micros)}"),
        ]
    )
    say()
    page = session.call(lambda plane: plane.decisions(run=run, limit=100))
    print_table(
        ("AT", "VERDICT", "ACTION", "RULE", "OUTCOME"),
        [
            (at(row.at), row.verdict, row.name, row.rule, row.outcome or "-")
            for row in reversed(page.rows)
        ],
    )
