"""`decisions`: what agents asked for, what was decided, what data passed and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from watchkeeper.cli.fleet import print_page
from watchkeeper.cli.named import of
from watchkeeper.cli.output import fail
from watchkeeper.cli.periods import between, period_options
from watchkeeper.cli.session import AFTER, LIMIT, Session, speaks
from watchkeeper.cli.waiting import said_while
from watchkeeper.cli.words import at
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import dollars, micros_from_text
from watchkeeper.wire.data import DATA_CLASSES
from watchkeeper.wire.decisions import DecisionRow

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient
    from watchkeeper.wire.pages import Page

_OUTCOMES = ["succeeded", "failed", "unknown", "running"]
_ENDED = "Only succeeded, failed, unknown or running."
_PASSED = "Where it went in, came out or was redacted."


@click.command()
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@click.option("--run", metavar="RUN", help="Only of this run.")
@of("kind", "name")
@click.option("--verdict", type=click.Choice(["permit", "hold", "deny"]), help="Only these.")
@click.option("--outcome", type=click.Choice(_OUTCOMES), metavar="HOW", help=_ENDED)
@click.option("--data", type=click.Choice(DATA_CLASSES), metavar="CLASS", help=_PASSED)
@click.option("--budget", metavar="BUDGET", help="Only what this budget paid for, in its period.")
@click.option("--cost", metavar="AMOUNT", help="Only what cost at least e.g. 0.05 dollars.")
@period_options()
@click.option(
    "--order", type=click.Choice(["newest", "dearest"]), default="newest", show_default=True
)
@AFTER
@LIMIT
@speaks()
def decisions(
    session: Session,
    named: dict[str, Any],
    cost: str | None,
    since: str | None,
    until: str | None,
    **asked: Any,
) -> None:
    """List decisions, newest or dearest first.

    BY: kind, name, or as in `spending --by`. Why so: `policy explain`.
    """
    try:
        least = micros_from_text(cost) if cost is not None else None
    except Invalid as error:
        fail(error)

    async def read(plane: PlaneClient) -> Page[DecisionRow]:
        period = await between(plane, since, until)
        return await plane.decisions(cost_at_least=least, **{**asked, **named, **period})

    with said_while("looking through decisions"):
        page = session.call(read)
    print_page(
        session,
        page,
        ("AT", "AGENT", "VERDICT", "ACTION", "OUTCOME", "COST", "DATA", "RULE", "DECISION"),
        lambda row: (
            at(row.at),
            row.agent,
            row.verdict,
            _action(row),
            _outcome(row),
            dollars(row.cost_micros) if row.cost_micros else "-",
            _data(row),
            row.rule,
            row.decision,
        ),
    )


def _action(row: DecisionRow) -> str:
    """Return what was called, and the model that answered where that is another one."""
    if row.kind != "model" or row.model in (None, row.name):
        return row.name
    return f"{row.name} > {row.model}"


def _outcome(row: DecisionRow) -> str:
    """Return how it ended, and whose word that is where nobody knew."""
    said = row.reconciled
    by = f", says {said.by.removeprefix('person/')} (was unknown)" if said else ""
    return f"{row.outcome or '-'}{by}"


def _data(row: DecisionRow) -> str:
    kinds = {
        "in": row.classes_in,
        "out": tuple(one for one in row.classes_out if one not in row.classes_redacted),
        "redacted": row.classes_redacted,
    }
    return " ".join(f"{kind}:{','.join(names)}" for kind, names in kinds.items() if names) or "-"
