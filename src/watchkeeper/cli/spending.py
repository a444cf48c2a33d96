"""`spending`: by whom and on what, what runs cost, and the report to charge it by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.named import BY, of
from watchkeeper.cli.output import fail, print_facts, print_json, print_table, say
from watchkeeper.cli.session import LIMIT, Session, speaks
from watchkeeper.cli.waiting import said_while
from watchkeeper.cli.words import read_time
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import dollars
from watchkeeper.core.words import count
from watchkeeper.wire.spending import NOTHING

if TYPE_CHECKING:
    from watchkeeper.wire.spending import NotCounted, RunCostRow, SpendingRow


@click.group(cls=NamedGroup, invoke_without_command=True, short_help="Say what was spent.")
@click.option("--by", type=click.Choice(BY), default="agent", show_default=True)
@click.option("--since", "span", metavar="TIME", default="7d", show_default=True)
@of()
@LIMIT
@speaks()
def spending(session: Session, by: str, span: str, limit: int, named: dict[str, Any]) -> None:
    """Say what was spent, by agent, model, team …, beside the same time before.

    An action counts when it was permitted, and once it has ended. The calls behind a row:
    `watchkeeper decisions --order dearest --of BY=NAME`. BY is one of those of --by.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return
    with said_while("reading what was spent"):
        now = session.call(lambda plane: plane.status()).now + 1
        since = read_time(span, now)
        found = session.call(
            lambda plane: plane.spending(by=by, since=since, until=now, limit=limit, **named)
        )
    if session.json:
        print_json(found)
        return
    print_table(
        (by.upper(), "COST", "SHARE", "BEFORE", "CALLS", "FAILED", "IN", "CACHED", "OUT", "VALUE"),
        [_row(row) for row in (*found.rows, found.total)],
    )
    if found.more:
        say(f"{count(found.more, 'row')} more; `all` has them too.")
    _say_not_counted(found.not_counted)


def _row(row: SpendingRow) -> tuple[object, ...]:
    return (
        row.name or NOTHING,
        dollars(row.cost_micros),
        f"{row.share_percent:.1f} %",
        dollars(row.before_micros),
        row.calls,
        row.failed or NOTHING,
        f"{row.input_tokens:,}",
        f"{row.cache_read_tokens:,}",
        f"{row.output_tokens:,}",
        dollars(row.value_micros) if row.value_micros else NOTHING,
    )


def _say_not_counted(missing: NotCounted) -> None:
    if missing.unsettled:
        held = dollars(missing.unsettled_micros)
        say(f"Not counted: {count(missing.unsettled, 'action')} still running, at most {held}.")
    if missing.unknown_micros:
        more = dollars(missing.unknown_micros)
        say(f"Budgets count {more} more, for actions of which nobody knows how they ended.")


@spending.command(short_help="Say what runs cost, and how that drifts.")
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@LIMIT
@speaks()
def runs(session: Session, agent: str | None, limit: int) -> None:
    """Say what the runs of each version cost that ended in the last seven days.

    P95: 95 % of the runs cost no more. DRIFT compares it with the seven days before, and
    is marked with ! beyond 10 %.
    """
    with said_while("reading what runs cost"):
        found = session.call(lambda plane: plane.run_costs(agent=agent, limit=limit))
    if session.json:
        print_json(found)
        return
    print_table(
        ("AGENT", "VERSION", "RUNS", "P50", "P95", "P95 BEFORE", "DRIFT"),
        [
            (
                row.agent,
                row.version,
                row.runs,
                dollars(row.p50_micros),
                dollars(row.p95_micros),
                NOTHING if row.before_p95_micros is None else dollars(row.before_p95_micros),
                _drift(row, found.fewest),
            )
            for row in found.rows
        ],
    )
    if found.more:
        say(f"{count(found.more, 'version')} more.")


def _drift(row: RunCostRow, fewest: int) -> str:
    if row.drift_percent is not None:
        return f"{row.drift_percent:+.1f} %{' !' if row.drifts else ''}"
    if min(row.runs, row.before_runs) < fewest:
        return f"fewer than {fewest} runs"
    return "from nothing !" if row.drifts else "both nothing"


@spending.command(short_help="Write the report to charge it by.")
@click.option(
    "--period", required=True, metavar="TIME", help="2026-11, 2026-W47, 2026-11-20, FROM..TO."
)
@click.option("--zone", metavar="NAME", default="UTC", show_default=True, help="Whose days.")
@click.option("--by", default="team,project", show_default=True, help="Comma-separated.")
@click.option("--format", "form", type=click.Choice(["markdown", "csv", "json"]), help="[markdown]")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Into this file."
)
@of()
@speaks()
def report(
    session: Session,
    period: str,
    zone: str,
    by: str,
    form: str | None,
    output: Path | None,
    named: dict[str, Any],
) -> None:
    """Write what is charged to whom for a period: Markdown, CSV or JSON.

    Lines are the dearest first and add up to the total, to the micro-dollar; shares add up to
    100 %. Days, weeks (ISO 8601, from Monday) and months are those of the zone. Both days of
    FROM..TO are in it. Names that a spreadsheet would run are led by an apostrophe.
    """
    form = form or ("json" if session.json else "markdown")
    if session.json and form != "json":
        fail(Invalid("--json and --format say different things", remedy="give one of them"))
    with said_while("reading what was spent"):
        text = session.call(
            lambda plane: plane.chargeback_text(period, form, zone=zone, by=by, **named)
        )
    if output is None:
        # the plane made it safe; but JSON may hold what a terminal obeys
        click.echo(_plain(text) if form == "json" else text, nl=form == "json")
        return
    try:
        output.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        fail(Invalid(f"cannot be written: {error.strerror}", where=str(output)))
    print_facts([("written", f"{output} ({len(text.encode()):,} bytes)")])


def _plain(text: str) -> str:
    import json

    return json.dumps(json.loads(text), indent=2).replace("\x7f", "\\u007f")
