"""Which locks cover an action, and how a person confirms one: pure rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from watchkeeper.kill.model import Covered, LockInForce, LockTarget


def covers(target: LockTarget, action: Covered) -> bool:
    """Tell whether a lock on `target` covers an action. Names are compared literally.

    A lock on a run, an agent or a team covers the child runs below it too.
    """
    if any(covers(target, one) for one in action.above):
        return True
    match target.kind:
        case "everything":
            return True
        case "run":
            return target.name == action.run
        case "agent":
            return target.name == action.agent
        case "team":
            return target.name == action.team
        case "tool":
            return target.name == action.tool or target.name in action.hosted
        case "model":
            return target.name == action.model or target.name in action.beside


def covering(locks: Iterable[LockInForce], action: Covered) -> LockInForce | None:
    """Return the lock that refuses an action: kills before pauses, older before newer."""
    matching = [lock for lock in locks if covers(lock.target, action)]
    return min(matching, key=lambda lock: (lock.mode != "kill", lock.epoch), default=None)


def confirmation(target: LockTarget) -> tuple[Literal["enter", "name", "word"], str]:
    """Return how a lock on `target` is confirmed, and what must be typed.

    The effort grows with the blast radius: enter for a run, the name for an agent, tool or
    model, a word for a team or everything.
    """
    if target.kind == "run":
        return "enter", ""
    if target.kind == "everything":
        return "word", "everything"
    if target.kind == "team":
        return "word", target.name
    return "name", target.name


def wider(target: LockTarget, agent: str | None, team: str | None) -> tuple[LockTarget, ...]:
    """Return the targets beyond this one, each wider than the last."""
    steps: list[LockTarget] = []
    if target.kind == "run" and agent:
        steps.append(LockTarget("agent", agent))
    if target.kind in {"run", "agent"} and team:
        steps.append(LockTarget("team", team))
    if target.kind != "everything":
        steps.append(LockTarget("everything", "*"))
    return tuple(steps)
