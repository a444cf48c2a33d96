"""Has every budget over it room for what it may cost?"""

from __future__ import annotations

from watchkeeper.budgets.model import Cap
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.budgets.amounts import Asked, asked_of
from watchkeeper.decide.budgets.caps import caps_over
from watchkeeper.decide.facts import Facts, NoRoom
from watchkeeper.decide.gates.full import without_room
from watchkeeper.decide.gates.levels import caps_in_force
from watchkeeper.decide.gates.lowering import in_the_way, lower
from watchkeeper.decide.gates.timing import shorten
from watchkeeper.decide.model import Action, Progress, Ruling, deny

_TRIES = 3
"""How often it is looked again where room came and went meanwhile."""


def budget_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """Every budget has room: what it may cost is held in all of them, or in none.

    A run that is too old has none. A model call that finds too little room is answered in fewer
    tokens, where it may be.
    """
    too_old = _check_age(facts)
    if too_old is not None:
        return too_old
    model = (progress.model or action.name) if action.kind == "model" else None
    measures = caps_over(facts.catalogue, facts.run, model).measures
    asked = asked_of(action, facts, progress, measures)
    caps = [cap for cap in caps_in_force(action, facts, progress) if cap.measure in asked.amounts]
    refused = facts.reserve(caps, asked.amounts, asked.touches)
    if refused is None:
        return None
    return _respond(action, facts, progress, caps, asked, refused)


def _respond(
    action: Action,
    facts: Facts,
    progress: Progress,
    caps: list[Cap],
    asked: Asked,
    refused: NoRoom,
) -> Ruling | None:
    """Let a call through that finds no room as it is, or answer what its budgets say."""
    for _ in range(_TRIES):
        levels = facts.levels(caps)
        if lower(action, facts, progress, levels, asked):
            return None
        if shorten(action, facts, progress, levels, asked):
            return None
        # an object that is counted already needs no room
        found = [
            one
            for one in in_the_way(action, progress, levels, asked)
            if one.cap.measure != "objects" or refused.measure == "objects"
        ]
        ruling = without_room(found, asked.amounts, facts)
        if ruling is not None:
            return ruling
        again = facts.reserve(caps, asked.amounts, asked.touches)
        if again is None:
            return None
        refused = again
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
