"""Who holds a role, and what an escalation policy does next. No clock, no storage."""

from __future__ import annotations

from collections.abc import Iterable, Set

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.oncall.model import ANYONE, OWNER, EscalationPolicy, Position, Role, Step


def holds(person: str, role: Role, *, is_owner: bool = False) -> bool:
    """Whether a person (by plain name) is a member of a role."""
    members = role.members
    return person in members or ANYONE in members or (is_owner and OWNER in members)


def roles_of(person: str, roles: Iterable[Role], *, is_owner: bool = False) -> frozenset[str]:
    """Return the names of all roles that a person holds."""
    return frozenset(role.name for role in roles if holds(person, role, is_owner=is_owner))


def covers(held: Set[str], role: str) -> bool:
    """Whether a set of held roles includes a role; `*` includes every one."""
    return role in held or ANYONE in held


def next_step(
    policy: EscalationPolicy, position: Position, *, created_at: int, decide_by: int
) -> Step:
    """Return the one step that follows a position; at the latest the timeout.

    Levels count from the creation, reminders from the entry into the level. A deadline
    comes before an escalation of the same time, and that before a reminder.
    """
    steps = [Step("timeout", decide_by, position.level)]
    if position.level < len(policy.levels):
        after = policy.levels[position.level].after_seconds
        steps.append(Step("escalate", created_at + after * MICROSECONDS, position.level + 1))
    if policy.remind_every_seconds is not None:
        pause = (position.reminders + 1) * policy.remind_every_seconds * MICROSECONDS
        steps.append(Step("remind", position.entered_at + pause, position.level))
    return min(steps, key=lambda step: step.due_at)
