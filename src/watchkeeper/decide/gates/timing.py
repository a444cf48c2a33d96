"""Giving a tool call less time, so that it fits what budgets have left."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.budgets.filling import Level
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.budgets.amounts import Asked
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.model import Action, Progress
from watchkeeper.wire.decisions import Duty


def shorten(
    action: Action, facts: Facts, progress: Progress, levels: Sequence[Level], asked: Asked
) -> bool:
    """Hold the time that is left of a tool call's, in whole seconds; tell whether there was some.

    Its performer must be able to end it then, which the permit says.
    """
    time = [one for one in levels if one.cap.measure == "wall_time" and not one.cap.soft]
    if action.kind != "tool" or not time or "max_seconds" not in action.fulfils:
        return False
    binds = min(time, key=lambda one: one.left)
    seconds = binds.left // MICROSECONDS
    if not 1 <= seconds < asked.amounts["wall_time"] // MICROSECONDS:
        return False
    wanted = {**asked.amounts, "wall_time": seconds * MICROSECONDS}
    if facts.reserve([one.cap for one in levels], wanted, asked.touches) is not None:
        return False
    rule = f"budget/{binds.budget}"
    duty = Duty(kind="max_seconds", policy=rule, max_seconds=seconds)
    progress.obligations = (*progress.obligations, duty)
    progress.permit_reason += (
        f"; it may take {seconds} s at most: budget {binds.budget} has no more time left"
    )
    return True
