"""`trace` and `traces`: what happened in a run, and what happened anywhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from watchkeeper.cli import exits
from watchkeeper.cli.comparing import compare
from watchkeeper.cli.fleet import say_more
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import print_facts, print_json, print_table, say, say_line
from watchkeeper.cli.periods import between, period_options
from watchkeeper.cli.session import AFTER, LIMIT, Session, speaks
from watchkeeper.cli.words import at, read_span
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.money import dollars
from watchkeeper.core.words import count
from watchkeeper.wire.data import DATA_CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watchkeeper.client.api import PlaneClient
    from watchkeeper.wire.pages import Page
    from watchkeeper.wire.traces import SpanRow, Trace

_BY_PEOPLE = frozenset({"approved", "denied", "cancelled"})
_BAR = 16
"""Cells of a bar."""
_DEEPEST = 12
"""How deep spans are indented."""
_SPAN_LIMIT = click.option(
    "--limit", type=click.IntRange(1, 500), default=500, show_default=True, help="Spans at most."
)


@click.command()
@click.argument("run")
@AFTER
@_SPAN_LIMIT
@speaks()
def trace(session: Session, run: str, after: str | None, limit: int) -> None:
    """Show what happened in RUN, each step below what caused it.

    BAR is when and for how long, of the run's time. A mark `|` took no time.
    """
    found = session.call(lambda plane: plane.trace(run, after=after, limit=limit))
    if session.json:
        print_json(found)
        return
    if not found.rows:
        say(f"Nothing of run {run} is kept any more; its entries: watchkeeper events --run {run}")
        return
    say_line(_headline(found))
    began, ended = _window(found.rows)
    print_table(
        ("AT", "TOOK", "BAR", "SPAN", "HOW", "COST", "WHY", "ID"),
        [
            (
                f"+{(row.start - began) / MICROSECONDS:.3f}",
                took(row),
                bar(row, began, ended),
                "  " * min(row.depth, _DEEPEST) + row.name,
                how(row),
                dollars(row.cost_micros) if row.cost_micros else "-",
                row.error or row.rule or "-",
                row.key if row.source == "plane" else row.span,
            )
            for row in found.rows
        ],
    )
    say_more(found.next)


@click.group(cls=NamedGroup)
def traces() -> None:
    """List the steps of all runs."""


traces.add_command(compare)


@traces.command("list", short_help="List steps of every run, newest first.")
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@click.option("--version", type=int, metavar="N", help="Only of this version of it.")
@click.option("--operation", metavar="NAME", help="Only these: chat, execute_tool, approval …")
@click.option("--subject", metavar="NAME", help="Only with this tool or model.")
@click.option("--status", type=click.Choice(["unset", "ok", "error"]), help="Only these.")
@click.option("--verdict", metavar="WORD", help="Only permit, hold, deny, approved …")
@click.option("--rule", metavar="RULE", help="Only what this rule decided.")
@click.option("--data", type=click.Choice(DATA_CLASSES), metavar="CLASS", help="With such data.")
@click.option("--source", type=click.Choice(["plane", "agent"]), help="Only what this one tells.")
@period_options()
@AFTER
@LIMIT
@speaks()
def list_(session: Session, since: str | None, until: str | None, **asked: Any) -> None:
    """List spans of every run, newest first; the steps of one run: `watchkeeper trace RUN`."""

    async def read(plane: PlaneClient) -> Page[SpanRow]:
        return await plane.spans(**{**asked, **await between(plane, since, until)})

    page = session.call(read)
    if session.json:
        print_json(page)
        return
    print_spans(page.rows)
    say_more(page.next)


@traces.command(short_help="Search refusals, holds, errors and approvals.")
@click.argument("words", nargs=-1, required=True)
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@period_options()
@AFTER
@LIMIT
@speaks()
def search(
    session: Session, words: tuple[str, ...], since: str | None, until: str | None, **asked: Any
) -> None:
    """Search refusals, holds, errors and approvals for WORDS, newest first.

    All of the words must be there; each may go on, so `refund` finds refunds.
    """

    async def read(plane: PlaneClient) -> Page[SpanRow]:
        period = await between(plane, since, until)
        return await plane.spans(**{**asked, **period, "text": " ".join(words)})

    page = session.call(read)
    if session.json:
        print_json(page)
        return
    print_spans(page.rows)
    say_more(page.next)


@traces.command(short_help="Show what went into a call and came out of it.")
@click.argument("decision")
@speaks()
def show(session: Session, decision: str) -> None:
    """Show what went into the call that DECISION permitted, and what came out of it.

    How much is kept, its agent's contract says: `logging.trace_level`.
    """
    found = session.call(lambda plane: plane.contents(decision))
    if session.json:
        print_json(found)
        return
    say(f"{found.name} of {found.agent}, run {found.run}")
    for row in found.rows:
        say(f"{row.part}: {row.size:,} bytes, {row.digest or 'no digest'}")
        say(f"  not kept: {row.left_out}" if row.text is None else row.text)


@traces.command(short_help="Compare calls admitted with calls recorded.")
@click.option("--since", metavar="TIME", help="Of the last e.g. 12h, 7d; a day unless given.")
@speaks()
def check(session: Session, since: str | None) -> None:
    """Compare calls admitted with calls recorded; exit 1 where they differ."""
    seconds = read_span(since) if since else None
    found = session.call(lambda plane: plane.check_calls(within_seconds=seconds))
    if session.json:
        print_json(found)
    else:
        say("Every admitted call is recorded." if found.ok else "CALLS AND RECORDS DIFFER.")
        print_facts(
            [
                ("from", at(found.since)),
                ("until", at(found.until)),
                ("permits in the ledger", f"{found.admitted:,}"),
                ("permits to be settled", f"{found.decided:,}"),
                ("calls among the spans", f"{found.recorded:,}"),
                ("left out, as set", f"{found.left_out:,}" if found.left_out else None),
                ("still running", f"{found.running:,}"),
                ("without a span", ", ".join(found.missing) or None),
                ("decided by nobody", ", ".join(found.unknown) or None),
                ("not to be put down to anybody", ", ".join(found.unattributed) or None),
                ("contents lost", f"{found.lost_contents:,}" if found.lost_contents else None),
            ]
        )
    if not found.ok:
        sys.exit(exits.REFUSED)


def print_spans(rows: Sequence[SpanRow]) -> None:
    """Print spans of several runs."""
    print_table(
        ("AT", "AGENT", "SPAN", "TOOK", "HOW", "COST", "WHY", "RUN"),
        [
            (
                at(row.start),
                row.agent,
                row.name,
                took(row),
                how(row),
                dollars(row.cost_micros) if row.cost_micros else "-",
                row.error or row.rule or "-",
                row.run or "-",
            )
            for row in rows
        ],
    )


def _headline(found: Trace) -> str:
    top = found.rows[0]
    if top.kind != "run":
        return f"{found.run} of {found.agent}, continued"
    version = f" version {top.version}" if top.version is not None else ""
    behalf = f" for {top.principal}" if top.principal else ""
    tokens = top.input_tokens + top.output_tokens
    lasted = f", {took(top)}" if top.end is not None else ""
    return (
        f"{found.run}: {found.agent}{version}{behalf}, {how(top)}{lasted}, "
        f"{count(top.calls, 'call')}, {top.refusals} refused, {tokens:,} tokens, "
        f"{dollars(top.cost_micros)}"
    )


def _window(rows: Sequence[SpanRow]) -> tuple[int, int]:
    began = min(row.start for row in rows)
    return began, max(began + 1, *(row.end or row.start for row in rows))


def bar(row: SpanRow, began: int, ended: int) -> str:
    """Draw when a span was, within the time that is shown; what still lasts ends in `>`."""
    cells = _BAR / (ended - began)
    left = min(int((row.start - began) * cells), _BAR - 1)
    if row.end == row.start:
        return " " * left + "|" + " " * (_BAR - left - 1)
    right = _BAR if row.end is None else max(left + 1, round((row.end - began) * cells))
    drawn = "=" * (min(right, _BAR) - left)
    if row.end is None:
        drawn = drawn[:-1] + ">"
    return (" " * left + drawn).ljust(_BAR)


def took(row: SpanRow) -> str:
    """Say how long it took."""
    if row.end is None:
        return "-"
    return f"{(row.end - row.start) / MICROSECONDS:.3f} s" if row.end > row.start else "0"


def how(row: SpanRow) -> str:
    """Say how it was decided and how it ended, in a word or two."""
    if row.kind == "approval":
        state = "approved" if row.verdict == "redeemed" else row.verdict or "-"
        named = state in _BY_PEOPLE and row.principal
        return f"{state} by {str(row.principal).removeprefix('person/')}" if named else state
    if row.verdict in ("hold", "deny"):
        return "held" if row.verdict == "hold" else "denied"
    return row.outcome or ("failed" if row.status == "error" else "-")
