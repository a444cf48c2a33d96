"""Putting the next calls of what a lock covers to the decision path, with the lock in force."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.gates.kill import covered_run
from watchkeeper.decide.kill.drills.world import World
from watchkeeper.decide.kill.effects import agents_under, tools_under
from watchkeeper.decide.model import Action
from watchkeeper.decide.path import decide
from watchkeeper.decide.replay.rehearsal import RehearsalFacts
from watchkeeper.decide.replay.service import PAUSE_SECONDS, SLICE_SECONDS
from watchkeeper.kill.model import LockInForce, LockTarget
from watchkeeper.kill.rules import OWNS_RUNS, covering
from watchkeeper.wire.decisions import ActionKind
from watchkeeper.wire.drills import DrillAction

MOST_CHECKED = 5_000
"""Calls that one drill puts to the decision path."""
REHEARSED = "rehearsed"
"""Stands for the lock in what refuses."""
_SAMPLE = 5
"""Tools of each run's contract that are asked for, where the lock is not on a tool or model."""
_MOST_LISTED = 50


@dataclass(slots=True)
class Checked:
    """What the decision path said."""

    refused_by: Counter[str] = field(default_factory=Counter)
    passing: list[DrillAction] = field(default_factory=list)
    passing_count: int = 0
    checked: int = 0
    left_out: int = 0
    milliseconds: list[float] = field(default_factory=list)


async def check(catalogue: Catalogue, lock: LockInForce, world: World, now: int) -> Checked:
    """Put the next calls of all that is covered to the decision path, with the lock only."""
    in_force = (_renamed(lock),)
    found = Checked(left_out=world.runs_left_out)
    target = lock.target
    turn = time.perf_counter()
    for name in opened_by(catalogue, target):
        governed = catalogue.agents[name]
        covered = covered_run(catalogue, "", name, governed.version, None)
        refusing = covering(in_force, covered, opening=True)
        _count(found, None if refusing is None else f"lock/{refusing.lock}",
               DrillAction(agent=name, kind="run", name="open a run", verdict="permit",
                           rule="", reason="the lock does not cover it"))  # fmt: skip
    if lock.mode == "deny-new" and target.kind in OWNS_RUNS:
        return found  # open runs go on: that is what it is for
    for run in world.runs:
        for kind, name in _calls_of(catalogue, target, run.agent):
            if found.checked >= MOST_CHECKED:
                found.left_out += 1
                continue
            _ask(RehearsalFacts(now, catalogue, run, in_force), kind, name, found)
            if time.perf_counter() - turn > SLICE_SECONDS:
                await asyncio.sleep(PAUSE_SECONDS)
                turn = time.perf_counter()
    return found


def opened_by(catalogue: Catalogue, target: LockTarget) -> list[str]:
    """Return the agents whose next runs a lock should refuse."""
    if target.kind not in {"agent", "version", "team", "runtime", "everything"}:
        return []
    return sorted(agents_under(catalogue, target))


def _ask(facts: RehearsalFacts, kind: ActionKind, name: str, found: Checked) -> None:
    run = facts.run
    begun = time.perf_counter()
    try:
        ruling, _ = decide(Action(kind, name, {}), facts)
        verdict, rule, reason = ruling.verdict, ruling.rule, ruling.reason
    except WatchkeeperError as error:
        verdict, rule, reason = "deny", error.rule or error.code, error.message
    found.milliseconds.append((time.perf_counter() - begun) * 1000)
    by = rule if verdict == "deny" and rule.startswith("lock/") else None
    _count(found, by, DrillAction(agent=run.agent, run=run.run, kind=kind, name=name,
                                  verdict=verdict, rule=rule, reason=reason))  # fmt: skip


def _calls_of(
    catalogue: Catalogue, target: LockTarget, agent: str
) -> Iterator[tuple[ActionKind, str]]:
    """Yield what a covered run might ask for next: what the lock is on, or a sample."""
    governed = catalogue.agents.get(agent)
    tools = sorted(governed.tools) if governed else []
    models = catalogue.reached_by(agent)
    if target.kind in {"tool", "upstream"}:
        locked = tools_under(catalogue, target)
        yield from (("tool", name) for name in tools if name in locked)
    elif target.kind == "model":
        yield from (("model", name) for name in models if name == target.name)
    elif target.kind == "provider":
        for name in models:
            known = catalogue.models.get(name)
            if known and any(one.provider.name == target.name for one in known.targets):
                yield "model", name
    elif target.kind not in {"approval", "workflow"}:
        yield from (("tool", name) for name in tools[:_SAMPLE])
        yield from (("model", name) for name in models[:1])


def _count(found: Checked, rule: str | None, action: DrillAction) -> None:
    found.checked += 1
    if rule is not None:
        found.refused_by[rule] += 1
        return
    found.passing_count += 1
    if len(found.passing) < _MOST_LISTED:
        found.passing.append(action)


def _renamed(lock: LockInForce) -> LockInForce:
    return LockInForce(
        REHEARSED, lock.target, lock.mode, lock.reason, lock.by, lock.epoch, lock.created_at
    )
