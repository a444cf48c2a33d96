"""`report`: what a period came to, written for people to read, print and file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from watchkeeper.cli.output import say
from watchkeeper.cli.session import Session, speaks
from watchkeeper.cli.waiting import shown_while
from watchkeeper.cli.words import read_time
from watchkeeper.wire.data import DATA_CLASSES
from watchkeeper.wire.reports import ReportForm, ReportKind

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient

_ENDINGS: dict[str, ReportForm] = {
    ".html": "html", ".htm": "html", ".md": "markdown", ".csv": "csv", ".json": "json",
}  # fmt: skip


@click.command(short_help="Report on a period.")
@click.argument("kind", type=click.Choice(get_args(ReportKind)))
@click.option("--from", "since", required=True, metavar="TIME", help="A date or time (UTC), or 7d.")
@click.option("--to", "until", metavar="TIME", help="Before this; now unless told.")
@click.option(
    "--format", "form", type=click.Choice(get_args(ReportForm)), help="[by FILE, or html]"
)
@click.option("--data", type=click.Choice(DATA_CLASSES), help="Of `access`: only this class.")
@click.option("-o", "--output", required=True, metavar="FILE", help="Where; it must not be there.")
@speaks(json=False)
def report(
    session: Session,
    kind: ReportKind,
    since: str,
    until: str | None,
    form: ReportForm | None,
    data: str | None,
    output: str,
) -> None:
    """Write what a period came to, of one KIND, to FILE.

    access: who touched personal data. approvals: with overrides. kills: with drills. policies:
    what changed. operators: what people did. spending. controls: OWASP Agentic Top 10, EU AI Act,
    SOC 2, with what shows each claim, and gaps.
    """
    from watchkeeper.client.saving import save

    place = Path(output)
    form = form or _ENDINGS.get(place.suffix.lower())
    if form is None and place.suffix:
        raise click.UsageError(f"{place.suffix} names no format: say --format, or end FILE in "
                               ".html, .md, .csv or .json")  # fmt: skip
    form = form or "html"

    async def write(plane: PlaneClient) -> int:
        now = (await plane.status()).now
        begins = read_time(since, now)
        ends = now + 1 if until is None else read_time(until, now)
        return await save(plane.report(kind, since=begins, until=ends, form=form, data=data), place)

    size = session.call(lambda plane: shown_while(write(plane), plane.report_progress))
    say(f"Written to {output}, {size:,} bytes.")
