"""The one path that every action takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.approval import approval_gate
from watchkeeper.decide.gates.breaker import breaker_gate
from watchkeeper.decide.gates.budget import budget_gate
from watchkeeper.decide.gates.contract import contract_gate
from watchkeeper.decide.gates.hosted import hosted_gate
from watchkeeper.decide.gates.identity import identity_gate, limits_gate
from watchkeeper.decide.gates.kill import kill_gate
from watchkeeper.decide.gates.levels import levels_gate
from watchkeeper.decide.gates.policy import policy_gate
from watchkeeper.decide.gates.rate import rate_gate
from watchkeeper.decide.gates.routing import routing_gate
from watchkeeper.decide.model import Action, Progress, Ruling

Gate = Callable[[Action, Facts, Progress], Ruling | None]

GATES: tuple[Gate, ...] = (
    identity_gate,
    kill_gate,
    contract_gate,
    limits_gate,
    breaker_gate,
    policy_gate,
    hosted_gate,
    routing_gate,
    levels_gate,
    approval_gate,
    rate_gate,
    budget_gate,
)
"""In order; the first that answers decides."""


def decide(
    action: Action,
    facts: Facts,
    watch: Callable[[Gate, Ruling | None], None] | None = None,
    *,
    gates: Sequence[Gate] = GATES,
    progress: Progress | None = None,
) -> tuple[Ruling, Progress]:
    """Put an action through the gates and return the ruling with what they found out.

    `watch` is told what each gate said, in order, up to the one that decided. A replay that
    lacks what a gate looks at leaves that gate out and gives the `progress` it made then.
    """
    progress = Progress() if progress is None else progress
    for gate in gates:
        ruling = gate(action, facts, progress)
        if watch is not None:
            watch(gate, ruling)
        if ruling is not None:
            return ruling, progress
    return (
        Ruling(
            "permit",
            progress.permit_rule,
            progress.permit_reason,
            grant=progress.grant,
            standing=progress.standing,
            request=progress.grant.request if progress.grant else None,
        ),
        progress,
    )
