"""`ask`: what caused a rise, who touched what, what an output rested on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import click

from watchkeeper.cli.output import print_json, print_table, say, say_line
from watchkeeper.cli.periods import between, period_options
from watchkeeper.cli.questions import QuestionGroup, say_limits
from watchkeeper.cli.session import Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.money import dollars
from watchkeeper.core.words import count
from watchkeeper.wire.asking import Measure, Part
from watchkeeper.wire.data import DATA_CLASSES

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient
    from watchkeeper.wire.asking import Rest, Spike, SpikePart, Toucher, Under

_SHORT = 19
"""Of a digest; `--json` has all of it."""


@click.group(cls=QuestionGroup)
def ask() -> None:
    """Ask what happened: each question is a query with parameters, `ask list` has them all.

    `watchkeeper ask NAME` asks a question that a document of kind `question` adds.
    """


@ask.command("list", short_help="List the questions.")
@speaks()
def list_(session: Session) -> None:
    """List the questions, each with an example."""
    found = session.call(lambda plane: plane.questions())
    if session.json:
        print_json(found)
        return
    for one in found.rows:
        say_line(f"{one.name}: {one.asks}")
        say_line(f"    {one.example}")


@ask.command(short_help="Which version made something rise?")
@click.argument("measure", type=click.Choice(get_args(Measure)))
@click.option("--by", type=click.Choice(get_args(Part)), default="version", show_default=True)
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@period_options(since="24h")
@speaks()
def spike(
    session: Session, measure: Measure, by: Part, agent: str | None, since: str, until: str | None
) -> None:
    """Say which versions of which agents made MEASURE rise against the period before.

    `--by model`, `tool` or `rule` splits each version further.
    """

    async def read(plane: PlaneClient) -> Spike:
        period = await between(plane, since, until)
        return await plane.ask_spike(measure=measure, by=by, agent=agent, **period)

    found = session.call(read)
    if session.json:
        print_json(found)
        return
    how = _rose(found.before, found.during)
    say_line(
        f"{found.measure}: {_amount(measure, found.during)}, before "
        f"{_amount(measure, found.before)}{how}"
    )
    what = () if by == "version" else (by.upper(),)
    print_table(
        ("AGENT", "VERSION", *what, "BEFORE", "NOW", "RISE", "SHARE", "CALLS", "RUNS"),
        [_part(found, part) for part in found.rows],
    )
    if found.left_out:
        say(f"{count(found.left_out, 'row')} more add less than these.")
    say_limits(found)


def _part(found: Spike, part: SpikePart) -> tuple[object, ...]:
    what = () if found.by == "version" else (part.what or "-",)
    return (
        part.agent,
        "-" if part.version is None else part.version,
        *what,
        _amount(found.measure, part.before),
        _amount(found.measure, part.during),
        _amount(found.measure, part.rise),
        "-" if part.share is None else f"{part.share:.0%}",
        f"{part.calls_before:,} > {part.calls:,}",
        part.runs,
    )


def _rose(before: int, during: int) -> str:
    if before == 0 or before == during:
        return ""
    return f", {during / before:.1f} times as much"


def _amount(measure: Measure, value: int) -> str:
    return dollars(value) if measure == "cost" else f"{value:,}"


@ask.command(short_help="Which agents touched a class of data?")
@click.argument("data", type=click.Choice(DATA_CLASSES), metavar="CLASS")
@period_options(since="24h")
@speaks()
def touched(session: Session, data: str, since: str, until: str | None) -> None:
    """Say which agents touched data of CLASS: secret, card, iban, national-id, email, phone."""

    async def read(plane: PlaneClient) -> Any:
        return await plane.ask_touched(data, **await between(plane, since, until))

    found = session.call(read)
    if session.json:
        print_json(found)
        return
    if found.rows:
        print_table(
            ("AGENT", "VERSIONS", "ACTIONS", "RUNS", "FIRST", "LAST", "EXAMPLES"),
            [_toucher(row) for row in found.rows],
        )
    else:
        say_line(f"No agent is known to have touched data of class {data}.")
    say_limits(found)


def _toucher(row: Toucher) -> tuple[object, ...]:
    return (
        row.agent,
        ", ".join(map(str, row.versions)) or "-",
        row.actions,
        row.runs,
        at(row.first),
        at(row.last),
        ", ".join(f"{one.key} ({one.name})" for one in row.examples),
    )


@ask.command("rested-on", short_help="What did an output rest on?")
@click.argument("key", metavar="RUN|STEP")
@speaks()
def rested_on(session: Session, key: str) -> None:
    """Say what the output of RUN, or of one STEP of it, rested on.

    STEP is an id that `watchkeeper trace RUN` shows: dec_…
    """
    found = session.call(lambda plane: plane.ask_rested_on(key))
    if session.json:
        print_json(found)
        return
    say_line(f"{found.key} ({found.name}), up to {at(found.until)}:")
    for one in found.runs:
        say_line("  " + _under(one))
    if found.policies:
        sets = (f"{name} {digest[:_SHORT]}" for name, digest in sorted(found.policies.items()))
        say_line(f"  policy sets: {', '.join(sets)}")
    say()
    if found.rows:
        print_table(
            ("AT", "BASIS", "WHAT", "HOW", "RULE", "BY", "DIGESTS", "ID"),
            [_rest(row) for row in found.rows],
        )
    else:
        say_line("Nothing that the plane saw came before it.")
    if found.left_out:
        say(f"{count(found.left_out, 'step')} before these.")
    say_limits(found)


def _under(one: Under) -> str:
    version = "" if one.version is None else f" version {one.version}"
    facts = [
        f"contract {one.contract[:_SHORT]}" if one.contract else "contract not known",
        f"policies {one.policies[:_SHORT]}" if one.policies else "",
        f"for {one.principal}" if one.principal else "",
        f"locks known up to {one.epoch}" if one.epoch else "",
        f"decided by {', '.join(one.rules)}" if one.rules else "",
    ]
    return f"{one.run}: {one.agent}{version}; {'; '.join(filter(None, facts))}"


def _rest(row: Rest) -> tuple[object, ...]:
    basis = row.basis if row.source == "plane" else f"{row.basis} (agent's word)"
    if row.data_source:
        basis += f" from {row.data_source}"
    digests = " ".join(f"{name} {value[:_SHORT]}" for name, value in row.digests.items())
    return (
        at(row.at), basis, row.name, row.outcome or "-", row.rule or "-", row.by or "-",
        digests or "-", row.key,
    )  # fmt: skip
