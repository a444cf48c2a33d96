"""Has every budget over it room for what it may cost?"""

from __future__ import annotations

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.amounts import amounts_of, asked_of
from watchkeeper.decide.caps import caps_over
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.model import Action, Progress, Ruling, deny

__all__ = ["amounts_of", "budget_gate", "caps_over"]


def budget_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """Its run is not too old, and every budget over it has room: what it may cost is held in
    all of them, or in none.
    """
    too_old = _check_age(facts)
    if too_old is not None:
        return too_old
    model = (progress.model or action.name) if action.kind == "model" else None
    covering = caps_over(facts.catalogue, facts.run, model)
    asked = asked_of(action, facts, progress, covering.measures)
    caps = [cap for cap in covering.caps if cap.measure in asked.amounts]
    refused = facts.reserve(caps, asked.amounts, asked.touches)
    if refused is None:
        return None
    return deny(f"budget/{refused.budget}", refused.sentence, refused.remedy)


def _check_age(facts: Facts) -> Ruling | None:
    """The run is no older than its contract lets it be."""
    governed = facts.catalogue.agents.get(facts.run.agent)
    most = governed.contract.budgets.max_wall_seconds if governed else None
    opened = facts.run.opened_at
    if most is None or opened is None or facts.now - opened < most * MICROSECONDS:
        return None
    return deny(
        f"contract/{facts.run.agent}/budgets",
        f"the run was opened {(facts.now - opened) // MICROSECONDS:,} s ago, and its contract "
        f"lets a run act for {most:,} s",
        "open a new run",
    )
