"""`ask NAME`: the questions that documents ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import print_json, print_table, say, say_line
from watchkeeper.cli.periods import between, period_options
from watchkeeper.cli.session import Session, ask_quietly, speaks
from watchkeeper.cli.traces import print_spans
from watchkeeper.cli.words import at
from watchkeeper.core.money import dollars
from watchkeeper.wire.data import DATA_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from watchkeeper.client.api import PlaneClient
    from watchkeeper.wire.asking import Answer, Group, Saved

_WORDS = {
    "agent": "of this agent",
    "operation": "these: chat, execute_tool, approval …",
    "subject": "with this tool or model",
    "verdict": "permit, hold, deny, approved …",
    "outcome": "succeeded, failed, unknown or running",
    "rule": "what this rule decided",
    "principal": "for this person, or decided by them",
    "run": "of this run",
    "text": "where these words stand",
}
"""What may be asked in place of what the document says, of any value."""


class QuestionGroup(NamedGroup):
    """Takes a name that is no command of its own for a question that a document asks."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or make the one that asks the question of that name."""
        name = args[0] if args else "-"
        if name.startswith("-") or name in self.list_commands(ctx):
            return super().resolve_command(ctx, args)
        return name, _saved(name), args[1:]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the plane's own questions, and those of documents where a plane answers."""
        from click.shell_completion import CompletionItem

        offered = super().shell_complete(ctx, incomplete)
        known = ask_quietly(ctx, lambda plane: plane.questions())
        return offered + [
            CompletionItem(one.name, help=one.asks)
            for one in (known.rows if known else ())
            if one.saved and one.name.startswith(incomplete)
        ]


def _saved(name: str) -> click.Command:
    def show(session: Session, **asked: Any) -> None:
        since, until = asked.pop("since"), asked.pop("until")

        async def read(plane: PlaneClient) -> Saved:
            return await plane.ask_saved(name, **await between(plane, since, until), **asked)

        found = session.call(read)
        if session.json:
            print_json(found)
        else:
            _print(found)

    command: Callable[..., Any] = speaks()(show)
    command = period_options(since=None)(command)
    command = click.option("--limit", type=click.IntRange(1, 500), help="Rows at most.")(command)
    command = click.option("--version", type=int, metavar="N", help="Only of this version.")(
        command
    )
    command = click.option(
        "--data", type=click.Choice(DATA_CLASSES), metavar="CLASS", help="With such data."
    )(command)
    for word, said in reversed(_WORDS.items()):
        command = click.option(f"--{word}", metavar="WORD", help=f"Only {said}.")(command)
    words = "Ask what a document of this name asks; options stand in place of what it says."
    return click.command(name, help=words)(command)


def _print(found: Saved) -> None:
    say_line(f"{found.name}: {found.asks}")
    if found.where:
        say_line("  " + ", ".join(f"{name} {value}" for name, value in found.where.items()))
    if found.group_by and found.groups:
        print_table(
            (*(by.upper() for by in found.group_by), "STEPS", "RUNS", "ERRORS", "REFUSALS",
             "COST", "TOKENS", "LONGEST", "LAST"),
            [_group(one) for one in found.groups],
        )  # fmt: skip
    elif found.steps:
        print_spans(found.steps)
    else:
        say_line("Nothing of the kind happened.")
    if found.more:
        say("There is more: --limit 500")
    say_limits(found)


def _group(one: Group) -> tuple[object, ...]:
    return (
        *(value or "-" for value in one.values),
        f"{one.steps:,}",
        f"{one.runs:,}",
        f"{one.errors:,}",
        f"{one.refusals:,}",
        dollars(one.cost_micros) if one.cost_micros else "-",
        f"{one.tokens:,}" if one.tokens else "-",
        f"{one.longest_ms / 1000:.3f} s",
        at(one.last),
    )


def say_limits(found: Answer) -> None:
    """Say what was counted, when, and what cannot be known."""
    say()
    began = "the beginning" if found.since is None else at(found.since)
    say_line(f"From {began} to {at(found.until)}. Counted: {found.counted}.")
    for missing in found.missing:
        say_line(f"Not in it: {missing}.")
