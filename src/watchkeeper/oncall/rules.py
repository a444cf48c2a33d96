"""What an escalation policy does next. No clock, no storage."""

from __future__ import annotations

from collections.abc import Callable, Set

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.oncall.model import (
    ANYONE,
    Entry,
    EscalationPolicy,
    Position,
    Step,
)


def covers(held: Set[str], role: str) -> bool:
    """Whether a set of held roles includes a role; `*` includes every one."""
    return role in held or ANYONE in held


def next_step(policy: EscalationPolicy, position: Position, *, decide_by: int) -> Step:
    """Return the one step that follows a position; at the latest the timeout.

    Levels count from the beginning of the round, reminders from the entry into the level; while
    somebody is on it, both wait. A deadline comes before an escalation of the same time, and
    that before a reminder.
    """
    steps = [Step("timeout", decide_by, position.level)]
    if position.acknowledged_until is not None:
        steps.append(Step("resume", position.acknowledged_until, position.level))
        return min(steps, key=lambda step: step.due_at)
    if position.level < len(policy.levels):
        after = policy.levels[position.level].after_seconds
        due_at = position.counts_from + after * MICROSECONDS
        steps.append(Step("escalate", due_at, position.level + 1))
    elif position.round < policy.rounds:
        due_at = position.counts_from + policy.round_seconds * MICROSECONDS
        steps.append(Step("repeat", due_at, 1))
    if policy.remind_every_seconds is not None:
        pause = (position.reminders + 1) * policy.remind_every_seconds * MICROSECONDS
        steps.append(Step("remind", position.entered_at + pause, position.level))
    return min(steps, key=lambda step: step.due_at)


def enter(policy: EscalationPolicy, level: int, is_empty: Callable[[str], bool]) -> Entry:
    """Return the level that is entered when one is due: past those that nobody holds.

    Channels of levels passed over are told. With none left that anybody holds all count as
    asked: whoever comes on call for one of them may decide.
    """
    first = policy.levels[level - 1].role
    if not policy.skip_if_empty or not first:
        return Entry(level, empty=bool(first) and is_empty(first))
    passed: list[int] = []
    for number in range(level, len(policy.levels) + 1):
        role = policy.levels[number - 1].role
        if role and not is_empty(role):
            return Entry(number, tuple(passed))
        passed.append(number)
    return Entry(len(policy.levels), tuple(passed), empty=True)
