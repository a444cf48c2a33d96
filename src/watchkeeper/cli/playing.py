"""`replay agent`, `replay report`: an agent that plays one of its runs again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.exits import REFUSED, WOULD_CHANGE
from watchkeeper.cli.output import fail, print_facts, print_json, print_table, say, say_line
from watchkeeper.cli.session import REASON, Session, read_text, speaks
from watchkeeper.cli.words import at as time_at
from watchkeeper.core.errors import Invalid

if TYPE_CHECKING:
    from watchkeeper.wire.replays import Playback, PlaybackOpened, PlayedCall

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OURS = ("WATCHKEEPER_", "OTEL_EXPORTER_")
"""Exporters of telemetry are given the agent's own credential, and report what nobody decided."""
_CREDENTIALS = frozenset({"OPENAI_ADMIN_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"})
"""What of this environment no agent gets that only plays: whoever acts elsewhere with it is real.
"""


@click.command(short_help="Have an agent play a run again, told another result.")
@click.argument("run")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--at", "at_", metavar="STEP", help="A call of a tool: its number, or decision.")
@click.option("--result", type=_FILE, help="What that tool is now to have answered.")
@click.option("--live-model", is_flag=True, help="Have a model answer what was not recorded.")
@click.option("--partly", is_flag=True, help="Begin though not all of it can be played.")
@REASON
@speaks()
def agent(
    session: Session,
    run: str,
    command: tuple[str, ...],
    at_: str | None,
    result: Path | None,
    live_model: bool,
    partly: bool,
    reason: str,
) -> None:
    """Open a replay of RUN in which its agent is told what it was told then.

    With `-- COMMAND ARGS…` the agent is started with all that it needs in its environment, and
    when it has ended you are told where it went another way. Else what it needs is printed, and
    `replay report RUN --end` tells. No tool is called: what was not recorded is refused.

    Exit 0 if it went the same way, 7 if it went another, 1 if the command failed.
    """
    from watchkeeper.wire.replays import Play

    text = read_text(result) if result is not None else None
    body = Play(at=at_, result=text, live_model=live_model, partly=partly, reason=reason)
    opened = session.call(lambda plane: plane.play(run, body))
    if not command:
        _print_opened(session, opened)
        return
    for one in opened.missing:
        say(f"! {one}", err=True)
    try:
        code = _start(command, environment_of(opened), quiet=session.json)
    finally:
        found = session.call(lambda plane: plane.end_playback(opened.run))
    _print(session, found)
    if code is None:
        fail(Invalid(f"{command[0]!r:.200} could not be started", where="command line"))
    if code:
        say_line(f"The command ended with {code}.")
    if _otherwise(found):
        sys.exit(WOULD_CHANGE)
    if code:
        sys.exit(REFUSED)


@click.command(short_help="What an agent did in its replay.")
@click.argument("run")
@click.option("--end", is_flag=True, help="End it: its token opens nothing any more.")
@speaks()
def report(session: Session, run: str, end: bool) -> None:
    """Say what an agent did in the replay RUN that `replay agent` opened.

    Exit 0 if it went the same way as then, 7 if it went another.
    """
    if end:
        found = session.call(lambda plane: plane.end_playback(run))
    else:
        found = session.call(lambda plane: plane.playback(run))
    _print(session, found)
    if _otherwise(found):
        sys.exit(WOULD_CHANGE)


def environment_of(opened: PlaybackOpened) -> dict[str, str]:
    """Return what an agent that plays a run finds the gateways by, as other agents do."""
    return {
        "WATCHKEEPER_URL": opened.mcp_url.removesuffix("/mcp"),
        "WATCHKEEPER_RUN_ID": opened.run,
        "WATCHKEEPER_RUN_TOKEN": opened.token,
        "WATCHKEEPER_MCP_URL": opened.mcp_url,
        "OPENAI_BASE_URL": opened.model_base_url,
        "OPENAI_API_KEY": opened.token,
        "ANTHROPIC_BASE_URL": opened.anthropic_base_url,
        "ANTHROPIC_API_KEY": opened.token,
        "OTEL_SDK_DISABLED": "true",
    }


def _start(command: tuple[str, ...], given: Mapping[str, str], *, quiet: bool) -> int | None:
    """Run a command to its end; return how it ended, None where it did not start.

    What it prints is not to stand within what this command prints for a script.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OURS) and name not in _CREDENTIALS
    }
    try:
        with subprocess.Popen(
            command, env={**kept, **given}, stdout=sys.stderr if quiet else None
        ) as child:
            while True:
                try:
                    return child.wait()
                except KeyboardInterrupt:
                    # the terminal told the agent too, which ends as it likes
                    continue
    except OSError:
        return None


def _print_opened(session: Session, opened: PlaybackOpened) -> None:
    if session.json:
        print_json(opened)
        return
    say(f"# run {opened.run} replays {opened.of_run} until {time_at(opened.expires_at)}")
    for name, value in environment_of(opened).items():
        say(f"export {name}={value}")
    for one in opened.missing:
        say_line(f"# not to be played: {one}")
    for one in opened.notes:
        say_line(f"# {one}")
    say(f"# then see what it did: watchkeeper replay report {opened.run} --end")


def _print(session: Session, found: Playback) -> None:
    if session.json:
        print_json(found)
        return
    say_line(f"A replay of {found.of_run} for {found.agent}, in {found.run}.")
    print_table(
        ("CALL", "STEP", "ACTION", "ANSWERED", "NOW", "RULE", "WHY"),
        [
            (
                f"{'*' if one.number == found.diverged_at else ' '}{one.number}",
                str(one.step or "-"),
                one.name,
                one.how,
                one.verdict,
                one.rule,
                one.why or (one.reason if one.verdict != "permit" else "-"),
            )
            for one in found.calls
        ],
    )
    print_facts(
        [
            ("played", f"{found.played} of {found.steps} recorded steps"),
            ("not played", _left_out(found) or None),
            ("ended", None if found.state == "ended" else "not yet"),
        ]
    )
    say_line(_way(found))
    for note in found.notes:
        say_line(f"! {note}")


def _otherwise(found: Playback) -> bool:
    """Tell whether it went another way: with a call, or without one in the end."""
    ended = found.state == "ended"
    return found.diverged_at is not None or (ended and bool(found.left_out))


def _way(found: Playback) -> str:
    first = next((one for one in found.calls if one.number == found.diverged_at), None)
    if first is not None:
        return f"It went another way with {_asked(first)}."
    if not found.left_out:
        return "It went the same way."
    so_far = "so far it" if found.state == "open" else "it"
    return (
        f"It made no call that was not recorded; {so_far} left out step {found.left_out[0].step}."
    )


def _left_out(found: Playback) -> str:
    named = ", ".join(f"{one.step} {one.name}" for one in found.left_out)
    return named + (f" and {found.left_out_more:,} more" if found.left_out_more else "")


def _asked(call: PlayedCall) -> str:
    return f"call {call.number}: {call.kind} {call.name} {call.asked or ''}".rstrip()
