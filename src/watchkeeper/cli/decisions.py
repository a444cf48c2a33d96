"""`decisions`: what agents asked for and what was decided, and what data passed."""

from __future__ import annotations

import click

from watchkeeper.cli.fleet import say_more
from watchkeeper.cli.output import print_json, print_table
from watchkeeper.cli.session import AFTER, LIMIT, Session, speaks
from watchkeeper.cli.words import at, read_span
from watchkeeper.wire.data import DATA_CLASSES
from watchkeeper.wire.decisions import DecisionRow


@click.command()
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@click.option("--run", metavar="RUN", help="Only of this run.")
@click.option("--verdict", type=click.Choice(["permit", "hold", "deny"]), help="Only these.")
@click.option("--data", type=click.Choice(DATA_CLASSES), help="Where such data passed, in or out.")
@click.option("--since", metavar="TIME", help="Of the last e.g. 12h, 7d.")
@AFTER
@LIMIT
@speaks()
def decisions(
    session: Session,
    agent: str | None,
    run: str | None,
    verdict: str | None,
    data: str | None,
    since: str | None,
    after: str | None,
    limit: int,
) -> None:
    """List decisions, newest first.

    `watchkeeper decisions --data email --since 24h` lists who touched e-mail addresses.
    DATA shows classes that came in with the arguments (`in:`), that the agent got (`out:`) and
    that it was not given (`redacted:`). Why one was decided so: `watchkeeper policy explain ID`.
    """
    seconds = read_span(since) if since else None
    page = session.call(
        lambda plane: plane.decisions(
            agent=agent,
            run=run,
            verdict=verdict,
            data=data,
            within_seconds=seconds,
            after=after,
            limit=limit,
        )
    )
    if session.json:
        print_json(page)
        return
    print_table(
        ("AT", "AGENT", "VERDICT", "ACTION", "OUTCOME", "DATA", "RULE", "DECISION"),
        [
            (
                at(row.at),
                row.agent,
                row.verdict,
                row.name,
                row.outcome or "-",
                _data(row),
                row.rule,
                row.decision,
            )
            for row in page.rows
        ],
    )
    say_more(page.next)


def _data(row: DecisionRow) -> str:
    kinds = {
        "in": row.classes_in,
        "out": tuple(one for one in row.classes_out if one not in row.classes_redacted),
        "redacted": row.classes_redacted,
    }
    return " ".join(f"{kind}:{','.join(names)}" for kind, names in kinds.items() if names) or "-"
