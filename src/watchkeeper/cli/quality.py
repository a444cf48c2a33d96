"""`requests quality`, `hints` and `judge`: how approving goes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import click

from watchkeeper.cli.output import print_json, print_table, say, say_line
from watchkeeper.cli.session import Session, speaks
from watchkeeper.cli.words import at, read_time
from watchkeeper.core.money import dollars

if TYPE_CHECKING:
    from watchkeeper.wire.quality import QualityRow


@click.command(short_help="Say how approving goes, by role, person or tool.")
@click.option(
    "--by", type=click.Choice(["role", "person", "tool"]), default="role", show_default=True
)
@click.option("--since", "span", metavar="TIME", default="30d", show_default=True)
@speaks()
def quality(session: Session, by: str, span: str) -> None:
    """Say how approving goes: how long it takes, how much is read, what was wrong.

    Rows are by name. It is for finding out what is asked too often, too late or at too great a
    length, not for comparing people.
    """
    from watchkeeper.wire.quality import CHARACTERS_PER_SECOND, FEWEST

    now = session.call(lambda plane: plane.status()).now
    since = read_time(span, now)
    found = session.call(lambda plane: plane.quality(by=by, since=since))
    if session.json:
        print_json(found)
        return
    _print_known(
        (
            by.upper(), "DECIDED", "MEDIAN", "P95", "ON SCREEN", "UNREAD", "OVERRIDDEN", "WRONG",
            "LATE YES", "ELSE YES", "EXPIRED", "ESCALATED", "AN HOUR", "PENDING", "HOLDERS",
        ),
        [_row(row) for row in (*found.rows, found.everything)],
    )  # fmt: skip
    if found.rows_left_out:
        say(f"{found.rows_left_out} more are left out.")
    say(
        f"Of fewer than {FEWEST} decisions nothing is said. Unread: approved faster than\n"
        f"{CHARACTERS_PER_SECOND} characters a second, of those whose time on screen is known.\n"
        "Late yes: approvals among votes in the last tenth of the time there was; else yes:\n"
        "among the others. Overridden: approvals later rejected, narrowed or judged wrong."
    )


def _print_known(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print the columns that say something of anybody."""
    said = [place for place in range(len(headings)) if any(row[place] != "-" for row in rows)]
    print_table(
        [headings[place] for place in said], [[row[place] for place in said] for row in rows]
    )


def _row(row: QualityRow) -> tuple[object, ...]:
    counts = (
        "-" if row.pending is None else row.pending,
        "-" if row.holders is None else row.holders,
    )
    expired = _share(row.expired_share, row.requests)
    escalated = _share(row.escalated_share, row.requests)
    if not row.enough:
        few = f"{row.decisions}: too few to say"
        return (row.name, few, *("-",) * 8, expired, escalated, "-", *counts)
    return (
        row.name,
        row.decisions,
        _seconds(row.decide_seconds_median),
        _seconds(row.decide_seconds_p95),
        _seconds(row.view_seconds_median),
        _share(row.unread_share, row.timed),
        _share(row.overridden_share, row.approved),
        f"{row.wrong} of {row.judged}" if row.judged else "-",
        _share(row.late_approved_share, row.late),
        _share(row.early_approved_share, row.decisions - row.late),
        expired,
        escalated,
        f"{row.per_hour or 0:.1f}",
        *counts,
    )


def _share(share: float | None, whole: int | None) -> str:
    return "-" if share is None else f"{share:.0%} of {whole}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    if value < 90:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} m" if value < 5400 else f"{value / 3600:.1f} h"


@click.command(short_help="Say what would spare approvers work.")
@speaks()
def hints(session: Session) -> None:
    """Say what would spare approvers work: what may be approved beforehand, or in one go."""
    page = session.call(lambda plane: plane.hints())
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("No hints.")
    for hint in page.rows:
        say_line(f"- {hint.text}")
        if hint.kind == "standing":
            same = (f"{name}={json.dumps(value)}" for name, value in hint.pins.items())
            say(f"  the same each time: {', '.join(same)}")
            pins = " ".join(f"--pin {name}" for name in hint.pins)
            money = ""
            if hint.each_micros:
                each = dollars(hint.each_micros).replace(",", "").lstrip("$")
                total = dollars(hint.each_micros * hint.count).replace(",", "").lstrip("$")
                money = f" --each {each} --total {total}"
            say(
                f"  watchkeeper standing propose --from {hint.requests[0]} {pins} "
                f"--uses {hint.count} --for 7d{money} --reason TEXT"
            )
        elif hint.decide_by is not None:
            say(f"  the first is due {at(hint.decide_by)}: {hint.requests[0]}")


@click.command(short_help="Say later whether a decision was right.")
@click.argument("request")
@click.argument("verdict", type=click.Choice(["right", "wrong"]))
@click.option("--note", metavar="TEXT", help="Why; kept in the ledger.")
@speaks()
def judge(
    session: Session, request: str, verdict: Literal["right", "wrong"], note: str | None
) -> None:
    """Say later whether the decision on REQUEST was right. Nobody judges their own vote."""
    from watchkeeper.wire.requests import Judge

    body = Judge(verdict=verdict, note=note)
    found = session.call(lambda plane: plane.judge(request, body))
    if session.json:
        print_json(found)
    else:
        say(f"{found.request} was judged {verdict}.")
