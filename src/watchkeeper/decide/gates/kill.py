"""Does a lock in force cover the action?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.model import Action, Progress, Ruling, deny
from watchkeeper.identity.model import RunFacts
from watchkeeper.kill.model import Covered
from watchkeeper.kill.rules import covering
from watchkeeper.wire.models import Routed


def covered_by(catalogue: Catalogue, run: RunFacts, action: Action) -> Covered:
    """Return what an action touches, as locks see it."""
    return Covered(
        run.run,
        run.agent,
        catalogue.team_of(run.agent),
        action.name if action.kind == "tool" else None,
        action.name if action.kind == "model" else None,
        above=runs_above(catalogue, run.ancestors),
    )


def covered_there(covered: Covered, routed: Routed, hosted: tuple[str, ...] = ()) -> Covered:
    """Return what a model call touches that is routed: every model that may answer it, and the
    tools that its provider may run along (`hosted`).
    """
    legs = (*routed.ensemble, *((routed.stronger,) if routed.stronger else ()))
    if routed.model == covered.model and not legs and not hosted:
        return covered
    beside = tuple(leg.model for leg in legs)
    return replace(covered, model=routed.model, beside=beside, hosted=hosted)


def runs_above(catalogue: Catalogue, ancestors: Iterable[tuple[str, str]]) -> tuple[Covered, ...]:
    """Return the runs that a child run was opened under, as locks see them."""
    return tuple(Covered(run, agent, catalogue.team_of(agent)) for run, agent in ancestors)


def kill_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """No lock in force covers what the action touches."""
    lock = covering(facts.locks, covered_by(facts.catalogue, facts.run, action))
    if lock is not None:
        verb = "killed" if lock.mode == "kill" else "paused"
        return deny(
            f"lock/{lock.lock}",
            f"{lock.target.kind} {lock.target.name} is {verb}: {lock.reason}",
            "nothing until a person lifts the lock; do not retry",
        )
    if facts.run.state == "stopped":
        return deny(
            "lock/run-stopped",
            f"run {facts.run.run} was stopped by a kill",
            "open a new run",
        )
    return None
