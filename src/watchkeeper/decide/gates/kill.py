"""Does a lock in force cover the action?"""

from __future__ import annotations

from watchkeeper.decide.facts import Facts
from watchkeeper.decide.model import Action, Progress, Ruling, deny
from watchkeeper.kill.model import Covered
from watchkeeper.kill.rules import covering


def kill_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """No lock in force covers what the action touches."""
    agent = facts.catalogue.agents[facts.run.agent]
    lock = covering(
        facts.locks,
        Covered(
            facts.run.run,
            facts.run.agent,
            agent.contract.owner,
            action.name if action.kind == "tool" else None,
            action.name if action.kind == "model" else None,
        ),
    )
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
