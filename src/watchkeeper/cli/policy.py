"""`policy`: test, check, explain, replay, stages, versions."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from watchkeeper.cli.exits import WOULD_CHANGE
from watchkeeper.cli.explanations import show_explanation, show_replay
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_diff, print_facts, print_json, print_table, say
from watchkeeper.cli.session import LIMIT, REASON, Session, speaks
from watchkeeper.cli.words import at, read_span
from watchkeeper.core.errors import Invalid

if TYPE_CHECKING:
    from watchkeeper.wire.policy import PolicySetDetail, ReplayResult, StartReplay

_OFFLINE = {
    "test": "watchkeeper.plane.policy_command:test",
    "check": "watchkeeper.plane.policy_command:check",
}
"""Commands that need no plane, reached by name: they live in a room below."""

_PROGRESS = 32
"""Columns that the progress of a replay takes, and is wiped from."""


class PolicyGroup(NamedGroup):
    """The commands here, with those that live below."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order a policy is worked on."""
        return [*_OFFLINE, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command from below, or find one here."""
        if cmd_name not in _OFFLINE:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = _OFFLINE[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=PolicyGroup)
def policy() -> None:
    """Test, explain, replay and stage policies."""


@policy.command()
@click.argument("subject", metavar="AGENT|DECISION")
@click.argument("name", required=False, metavar="[TOOL|MODEL]")
@click.option("--argument", "-a", "pairs", multiple=True, metavar="K=V", help="One argument.")
@click.option("--json-arguments", metavar="JSON", help="All arguments; - reads them.")
@click.option("--model", "is_model", is_flag=True, help="NAME is a model.")
@click.option("--tokens", type=int, default=0, metavar="N", help="Input tokens of a model call.")
@click.option("--environment", metavar="NAME", help="[the contract's first]")
@click.option("--on-behalf-of", metavar="WHO", help="For whom the agent would act.")
@click.option("--run", metavar="RUN", help="With this run's approvals and budgets.")
@speaks()
def explain(
    session: Session,
    subject: str,
    name: str | None,
    pairs: tuple[str, ...],
    json_arguments: str | None,
    is_model: bool,
    tokens: int,
    environment: str | None,
    on_behalf_of: str | None,
    run: str | None,
) -> None:
    """Say why an action is decided as it is, gate by gate.

    Nothing is done, recorded or reserved. With a DECISION: the recorded action again, under
    what is in force now.
    """
    from watchkeeper.wire.decisions import Usage
    from watchkeeper.wire.policy import Explain

    if name is None:
        if not subject.startswith("dec_"):
            raise click.UsageError(f"Name a TOOL or MODEL that {subject} wants, or a DECISION.")
        body = Explain(decision=subject)
    else:
        kind: Literal["tool", "model"] = "model" if is_model else "tool"
        body = Explain(
            agent=subject,
            kind=kind,
            name=name,
            arguments=_arguments(pairs, json_arguments),
            estimate=Usage(input_tokens=tokens),
            environment=environment,
            on_behalf_of=on_behalf_of,
            run=run,
        )
    found = session.call(lambda plane: plane.explain(body))
    if session.json:
        print_json(found)
    else:
        show_explanation(found)


@policy.command(short_help="Decide recorded decisions again and show what differs.")
@click.argument("directory", required=False, metavar="[NEWDIR]")
@click.option("--since", default="7d", show_default=True, metavar="TIME", help="e.g. 12h, 7d.")
@click.option("--agent", metavar="NAME", help="Only this agent's decisions.")
@click.option("--prune", is_flag=True, help="NEWDIR instead of what is in force, not over it.")
@click.option("--most", type=click.IntRange(1, 1_000_000), default=100_000, show_default=True,
    help="Decisions at most.")  # fmt: skip
@speaks()
def replay(
    session: Session,
    directory: str | None,
    since: str,
    agent: str | None,
    prune: bool,
    most: int,
) -> None:
    """Decide recorded decisions again under NEWDIR and show what would differ.

    Nothing is put in force. Locks, budgets and rates are not decided again: what they refused
    stays refused. Exit 0 if no decision would differ, 7 if one would.
    """
    from watchkeeper.wire.policy import StartReplay

    files = _read(directory) if directory else ()
    body = StartReplay(
        files=files, prune=prune, since_seconds=read_span(since), agent=agent, most=most
    )
    result = finish_replay(session, body)
    if session.json:
        print_json(result)
    else:
        show_replay(result)
    if result.differ or result.other_rule:
        sys.exit(WOULD_CHANGE)


def finish_replay(session: Session, body: StartReplay) -> ReplayResult:
    """Have decisions decided again and return what came of it; fail where the plane could not."""
    result = session.call(lambda plane: plane.start_replay(body))
    while result.state == "running":
        if not session.json and sys.stderr.isatty():
            far = f"{result.looked_at:,} of {result.total:,}"
            click.echo(f"\r{far:<{_PROGRESS}}", nl=False, err=True)
        name = result.replay
        result = session.call(lambda plane, name=name: plane.replay(name, wait_seconds=2))  # type: ignore[misc]
    if not session.json and sys.stderr.isatty():
        click.echo("\r" + " " * _PROGRESS + "\r", nl=False, err=True)
    if result.state == "failed":
        if session.json:
            print_json(result)
        fail(Invalid(result.error or "the replay failed"))
    return result


@policy.command("list")
@speaks()
def list_(session: Session) -> None:
    """List policy sets with their stage and what they did in a day."""
    page = session.call(lambda plane: plane.policies())
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("No policy set is in force: contracts alone decide.")
        return
    print_table(
        ("SET", "STAGE", "VERSION", "SINCE", "BY", "DENIED/D", "HELD/D", "WOULD/D", "LAST FIRED"),
        [
            (
                row.name,
                row.stage,
                row.version,
                at(row.active_since),
                row.by,
                row.denials_day,
                row.holds_day,
                row.would_day,
                at(row.last_fired_at),
            )
            for row in page.rows
        ],
    )


@policy.command()
@click.argument("name", metavar="SET")
@speaks()
def show(session: Session, name: str) -> None:
    """Show a policy set: its policies, what they did, its text."""
    found = session.call(lambda plane: plane.policy(name))
    if session.json:
        print_json(found)
    else:
        _show_set(found)


@policy.command()
@click.argument("name", metavar="SET")
@click.argument("to", type=click.Choice(["observe", "warn", "enforce"]))
@REASON
@speaks()
def stage(
    session: Session, name: str, to: Literal["observe", "warn", "enforce"], reason: str
) -> None:
    """Move a policy set to a stage: observe, warn or enforce.

    observe asks and records; warn also tells the agent; enforce decides.
    """
    from watchkeeper.wire.policy import SetStage

    seen = session.call(lambda plane: plane.policy(name))
    body = SetStage(stage=to, version=seen.version, seen=seen.stage, reason=reason)
    found = session.call(lambda plane: plane.stage_policy(name, body))
    if session.json:
        print_json(found)
    else:
        say(f"{found.name}: {seen.stage} → {found.stage} (version {found.version}).")


@policy.command()
@click.argument("name", metavar="SET")
@click.option("--diff", is_flag=True, help="With what each version changed.")
@LIMIT
@speaks()
def versions(session: Session, name: str, diff: bool, limit: int) -> None:
    """List the versions of a policy set, newest first."""
    page = session.call(lambda plane: plane.policy_versions(name, limit=limit))
    if session.json:
        print_json(page)
        return
    for row in page.rows:
        mark = "*" if row.in_force else " "
        digest = row.digest.removeprefix("sha256:")[:12]
        say(f"{mark} {row.version:>4}  {at(row.applied_at)}  {row.by}  {row.path}  {digest}")
        if diff and row.diff:
            print_diff(row.diff)


@policy.command(short_help="Put an earlier version in force again.")
@click.argument("name", metavar="SET")
@click.option("--to", type=int, metavar="N", help="Version to go back to [the one before].")
@REASON
@speaks()
def rollback(session: Session, name: str, to: int | None, reason: str) -> None:
    """Put an earlier version of a policy set in force again, in one step."""
    from watchkeeper.wire.policy import Rollback

    seen = session.call(lambda plane: plane.policy(name))
    body = Rollback(to=to, version=seen.version, reason=reason)
    found = session.call(lambda plane: plane.roll_back_policy(name, body))
    if session.json:
        print_json(found)
    else:
        say(f"{found.name}: version {seen.version} → {found.version}, as it was before.")


def _read(directory: str) -> Any:
    from watchkeeper.client.directory import read_directory

    try:
        return read_directory(Path(directory))
    except Invalid as error:
        fail(error)


def _arguments(pairs: tuple[str, ...], text: str | None) -> dict[str, Any]:
    from watchkeeper.core.digest import parse

    try:
        found = {} if text is None else parse(sys.stdin.read() if text == "-" else text)
        if not isinstance(found, dict):
            raise Invalid("arguments are an object", where="--json-arguments")
    except Invalid as error:
        fail(error)
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise click.BadParameter(f"{pair!r} is not K=V")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    """Read a value as JSON where it is some; anything else is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _show_set(found: PolicySetDetail) -> None:
    print_facts(
        [
            ("set", f"{found.name}, version {found.version}, {found.stage}"),
            ("since", f"{at(found.active_since)} by {found.by}"),
            ("file", found.path),
            ("in 24 h", f"{found.denials_day} denied, {found.holds_day} held"),
            ("would", f"{found.would_day} in 24 h" if found.would_day else None),
            ("last fired", at(found.last_fired_at)),
        ]
    )
    say()
    for rule in found.rules:
        say(f"  {rule.effect:<7} {rule.policy}  {found.path}:{rule.line}  {rule.message}")
    say()
    say(found.text)
