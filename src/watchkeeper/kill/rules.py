"""Which locks cover an action, and how a person confirms one: pure rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from watchkeeper.kill.model import Covered, LockInForce, LockTarget
from watchkeeper.wire.locks import Mode, TargetKind

OWNS_RUNS: frozenset[TargetKind] = frozenset(
    {"run", "agent", "version", "team", "person", "runtime", "everything"}
)
"""Targets whose runs end with them; a lock on another refuses what uses it."""
_STRONGEST: dict[Mode, int] = {"stop": 0, "drain": 1, "pause": 2, "deny-new": 3}
DID: dict[Mode, str] = {
    "stop": "killed",
    "drain": "drained",
    "deny-new": "closed to what is new",
    "pause": "paused",
}
"""What a lock did to its target, in words."""


def mode_of(kept: str) -> Mode:
    """Return a lock's mode as it is kept; of one that only a newer plane knows, the strongest."""
    return next((mode for mode in _STRONGEST if mode == kept), "stop")


def covers(target: LockTarget, action: Covered) -> bool:
    """Tell whether a lock on `target` covers an action. Names are compared literally.

    A lock on what owns runs covers the child runs below those too.
    """
    if any(covers(target, one) for one in action.above):
        return True
    name = target.name
    match target.kind:
        case "run":
            return name == action.run
        case "agent":
            return name == action.agent
        case "version":
            return action.version is not None and name == f"{action.agent}@{action.version}"
        case "team":
            return name == action.team
        case "person":
            return name in action.persons
        case "runtime":
            return name in action.runtimes
        case "tool":
            return name == action.tool or name in action.hosted
        case "upstream":
            return name in action.upstreams
        case "model":
            return name == action.model or name in action.beside
        case "provider":
            return name == action.provider
        case "approval":
            return name == action.approval
        case "workflow":  # no action is a workflow's yet
            return False
        case _:  # everything; also what only a newer plane on the same store can tell
            return True


def covering(
    locks: Iterable[LockInForce], action: Covered, *, opening: bool = False
) -> LockInForce | None:
    """Return the lock that refuses an action: the strongest first, older before newer.

    `opening`: it opens a run, or gets it a token; what only refuses new runs refuses that alone.
    """
    matching = [
        lock
        for lock in locks
        if (opening or lock.mode != "deny-new" or lock.target.kind not in OWNS_RUNS)
        and covers(lock.target, action)
    ]
    return min(matching, key=lambda lock: (_STRONGEST[lock.mode], lock.epoch), default=None)


def confirmation(target: LockTarget) -> tuple[Literal["enter", "name", "word"], str]:
    """Return how a lock on `target` is confirmed, and what must be typed.

    The effort grows with the blast radius: enter for a run or an approval, a word for a team or
    everything, the name for what is between.
    """
    if target.kind in {"run", "approval"}:
        return "enter", ""
    if target.kind == "everything":
        return "word", "everything"
    if target.kind == "team":
        return "word", target.name
    return "name", target.name


def wider(target: LockTarget, agent: str | None, team: str | None) -> tuple[LockTarget, ...]:
    """Return the targets beyond this one, each wider than the last."""
    steps: list[LockTarget] = []
    if target.kind in {"run", "version"} and agent:
        steps.append(LockTarget("agent", agent))
    if target.kind in {"run", "version", "agent"} and team:
        steps.append(LockTarget("team", team))
    if target.kind != "everything":
        steps.append(LockTarget("everything", "*"))
    return tuple(steps)
