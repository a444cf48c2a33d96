"""Explanations and replays as commands print them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchkeeper.cli.output import print_facts, say
from watchkeeper.cli.words import at

if TYPE_CHECKING:
    from watchkeeper.wire.policy import ExplainResult, ReplayResult

_MARKS = {"pass": "✓", "refuse": "✗", "hold": "…", "not reached": " "}


def show_explanation(found: ExplainResult) -> None:
    """Print why an action is decided as it is."""
    version = f" (version {found.version})" if found.version else ""
    who = f"{found.agent}{version} in {found.environment}"
    say(f"{found.verdict.upper()}  {who}: {found.does}")
    say(f"  {found.reason}")
    print_facts(
        [
            ("  rule", found.rule),
            ("  asked", found.role),
            ("  instead", found.allowed_instead),
            (
                "  then",
                f"{found.recorded} by {found.recorded_rule}, {at(found.recorded_at)}"
                if found.recorded
                else None,
            ),
        ]
    )
    say()
    for gate in found.gates:
        why = f"{gate.rule}: {gate.reason}" if gate.rule else gate.does
        say(f"  {_MARKS[gate.result]} {gate.gate:<9} {gate.result:<11} {why}")
    if found.matches:
        say()
        say("Policies that speak of it:")
    for match in found.matches:
        mark = "*" if match.decided else " "
        stage_ = "" if match.stage == "enforce" else f" [{match.stage}]"
        say(f"  {mark} {match.effect:<7} {match.policy}{stage_}  {match.where}")
        if match.message:
            say(f"      {match.message}")
    for title, lines in (
        ("A permit carries:", found.obligations),
        ("What would change the answer:", found.would_change),
        ("Note:", found.notes),
    ):
        if lines:
            say()
            say(title)
            for line in lines:
                say(f"  - {line}")


def show_replay(result: ReplayResult) -> None:
    """Print what a replay found."""
    for change in result.changes:
        say(change)
    if result.changes:
        say()
    for group in result.groups:
        what = f"{group.before} → {group.after}" if group.before != group.after else group.before
        say(f"{group.count:>6}  {what:<15} {group.agent}  {group.name}")
        say(f"        {group.before_rule} → {group.rule}")
        for example in group.examples:
            say(f"          {example.decision}  {at(example.at)}  {example.after_reason}")
    if result.groups_left_out:
        say(f"and {result.groups_left_out} more groups")
    say(
        f"{result.looked_at:,} decisions since {at(result.since)}: {result.same:,} the same, "
        f"{result.differ:,} differ, {result.other_rule:,} by another rule, "
        f"{result.kept:,} refusals kept, {result.skipped:,} left out."
    )
    for note in result.notes:
        say(f"! {note}")
