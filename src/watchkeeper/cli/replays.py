"""`replay`: a run step by step, decided again, forked at a step, or played to its agent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.exits import REFUSED, WOULD_CHANGE
from watchkeeper.cli.fleet import say_more
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import print_facts, print_json, print_table, say, say_line
from watchkeeper.cli.playing import agent, report
from watchkeeper.cli.policy import finish_replay
from watchkeeper.cli.session import LIMIT, REASON, Session, read_text, speaks
from watchkeeper.cli.words import at as time_at
from watchkeeper.core.money import dollars

if TYPE_CHECKING:
    from watchkeeper.wire.replays import (
        BudgetThen,
        ForkResult,
        ReplayedRun,
        ReplayedStep,
        Said,
        StepDetail,
    )

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_AT = click.option("--at", "at_", metavar="STEP", help="A step: its number, or its decision.")


@click.group(cls=NamedGroup)
def replay() -> None:
    """Look at a run again: as it was, under other rules, or with another result.

    Nothing here changes the run that is looked at, or performs anything that it did.
    """


@replay.command(short_help="Step through a run as it happened.")
@click.argument("run")
@_AT
@click.option("--after", type=int, metavar="N", help="Go on after this step.")
@LIMIT
@speaks()
def step(session: Session, run: str, at_: str | None, after: int | None, limit: int) -> None:
    """List the steps of RUN; with --at show one with what was known at it."""
    if at_ is not None:
        wanted = at_
        detail = session.call(lambda plane: plane.step(run, wanted))
        if session.json:
            print_json(detail)
        else:
            _show_step(detail)
        return
    found = session.call(lambda plane: plane.steps(run, after=after, limit=limit))
    if session.json:
        print_json(found)
        return
    say_line(f"{found.run} of {found.agent}{_replays(found.replay_of)}")
    print_table(
        ("STEP", "AT", "ACTION", "VERDICT", "RULE", "OUTCOME", "COST", "BEFORE IT", "DECISION"),
        [
            (
                row.step,
                time_at(row.at),
                row.name,
                row.verdict,
                row.rule,
                row.error or row.outcome or "-",
                dollars(row.cost_micros) if row.cost_micros else "-",
                f"{dollars(row.spent_before)}, {row.tokens_before:,} tokens",
                row.decision,
            )
            for row in found.rows
        ],
    )
    say_more(str(found.next) if found.next is not None else None)


@replay.command(short_help="Decide a run again under other documents.")
@click.argument("run")
@click.option(
    "--policy", "policies", multiple=True, type=_FILE, help="A policy set, by its file's name."
)
@click.option("--contract", "contracts", multiple=True, type=_FILE, help="An agent or a tool.")
@click.option("--budget", "budgets", multiple=True, type=_FILE, help="Budgets.")
@speaks()
def decide(
    session: Session,
    run: str,
    policies: tuple[Path, ...],
    contracts: tuple[Path, ...],
    budgets: tuple[Path, ...],
) -> None:
    """Decide every step of RUN again with these files put over what is in force.

    Nothing is put in force, sent or held. Without a file it is decided under what is in force now.
    Exit 0 if no verdict would differ, 7 if one would.
    """
    from watchkeeper.wire.plane import File
    from watchkeeper.wire.policy import StartReplay

    paths = (*policies, *contracts, *budgets)
    files = tuple(File(path=str(one), text=read_text(one)) for one in paths)
    result = finish_replay(session, StartReplay(files=files, run=run))
    if session.json:
        print_json(result)
    else:
        for change in result.changes:
            say_line(change)
        if result.of_run is not None:
            _show_run(result.of_run)
        for note in result.notes:
            say_line(f"! {note}")
    if result.differ:
        sys.exit(WOULD_CHANGE)


@replay.command(short_help="Ask a model again, with another result of a tool.")
@click.argument("run")
@click.option("--at", "at_", required=True, metavar="STEP", help="Its number, or its decision.")
@click.option("--result", type=_FILE, help="What the tool is now to have answered.")
@click.option("--live-model", is_flag=True, help="Send it; else only say what would be asked.")
@REASON
@speaks()
def fork(
    session: Session, run: str, at_: str, result: Path | None, live_model: bool, reason: str
) -> None:
    """Send the model call of RUN at or after STEP once more.

    Of a tool call, --result replaces what the model was told that it answered. No tool is called.
    It is decided and paid for as the agent's own calls are, in a run of its own that is marked as
    a replay. Needs the permission `replay`. Exit 1 where no model answered.
    """
    from watchkeeper.wire.replays import Fork

    text = read_text(result) if result is not None else None
    body = Fork(at=at_, result=text, live_model=live_model, reason=reason)
    found = session.call(lambda plane: plane.fork(run, body))
    if session.json:
        print_json(found)
    else:
        _show_fork(found)
    if live_model and not found.answered:
        sys.exit(REFUSED)


replay.add_command(agent)
replay.add_command(report)


def _replays(of_run: str | None) -> str:
    return f", a replay of {of_run}" if of_run else ""


def _show_step(found: StepDetail) -> None:
    say_line(
        f"Step {found.step} of {found.steps} of {found.run}{_replays(found.replay_of)}: "
        f"{found.kind} {found.name}"
    )
    print_facts(
        [
            ("at", time_at(found.at)),
            ("decided", f"{found.verdict} by {found.rule}: {found.reason}"),
            ("under", f"version {found.version} of {found.agent}"),
            ("request", found.request),
            ("ended", found.error or found.outcome),
            ("took", None if found.took_ms is None else f"{found.took_ms:,} ms"),
            ("answered by", found.model),
            ("because", found.route),
            ("cost", f"{dollars(found.cost_micros)}, {found.tokens:,} tokens"),
            ("run before", f"{dollars(found.spent_before)}, {found.tokens_before:,} tokens"),
            ("decision", found.decision),
        ]
    )
    for one in found.would:
        say_line(f"! {one}")
    for budget in found.budgets:
        say_line(f"budget {budget.budget}: {_used(budget)}")
    for row in found.contents:
        say_line(f"{row.part}: {row.size:,} bytes")
        if row.text is not None:
            say("  " + row.text.replace("\n", "\n  "))
    for note in found.notes:
        say_line(f"! {note}")


def _used(one: BudgetThen) -> str:
    money = one.measure in ("spend", "value")
    used = dollars(one.used) if money else f"{one.used:,}"
    cap = dollars(one.cap) if money else f"{one.cap:,}"
    counted = f", counted {time_at(one.counted_at)}" if one.counted_at is not None else ""
    return f"{used} used of {cap} (its cap now){counted}"


def _show_run(found: ReplayedRun) -> None:
    print_table(
        ("STEP", "ACTION", "THEN → NOW", "RULE THEN → NOW", "COST", "WHY", "DECISION"),
        [
            (
                f"{'*' if one.differs else '~' if one.supposed else ' '}{one.step}",
                one.name,
                f"{one.before} → {one.after or '?'}",
                _rules(one),
                _cost(one),
                one.why or (one.after_reason if one.differs else None) or "-",
                one.decision,
            )
            for one in found.steps
        ],
    )
    if found.left_out:
        say(f"and {found.left_out:,} more steps, which are counted")
    diverges = found.diverges_at
    say(
        "No verdict would differ."
        if diverges is None
        else f"It first differs at step {diverges}. Of the steps that ran {found.blocked:,} would "
        f"not have run; of those that did not {found.allowed:,} would have."
    )
    say(f"It cost {dollars(found.cost_before)}; it would have cost {dollars(found.cost_after)}.")


def _rules(one: ReplayedStep) -> str:
    if one.after_rule in (None, one.before_rule):
        return one.before_rule
    return f"{one.before_rule} → {one.after_rule}"


def _cost(one: ReplayedStep) -> str:
    after = "?" if one.cost_after is None else dollars(one.cost_after)
    if one.cost_before == one.cost_after:
        return dollars(one.cost_before) if one.cost_before else "-"
    return f"{dollars(one.cost_before)} → {after}"


def _show_fork(found: ForkResult) -> None:
    say_line(f"A replay of {found.of_run}, forked at {found.at}.")
    print_facts(
        [
            ("asked again", f"{found.asked}, model {found.model}, {found.sent_bytes:,} bytes"),
            ("results replaced", found.replaced),
            ("in run", found.run),
            ("decision", found.decision),
            ("cost", dollars(found.cost_micros) if found.answered else None),
            ("not answered", found.error),
        ]
    )
    _show_said("then", found.then)
    _show_said("now", found.now)
    if found.differs is not None:
        say("It said something else." if found.differs else "It said the same.")
    for note in found.notes:
        say_line(f"! {note}")


def _show_said(when: str, said: Said | None) -> None:
    if said is None:
        return
    say_line(f"{when}:")
    if said.text:
        say("  " + said.text.replace("\n", "\n  "))
    for one in said.calls:
        say_line(f"  calls {one}")
