"""Answering a model call in fewer tokens, so that it fits what budgets have left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from watchkeeper.budgets.filling import Level
from watchkeeper.budgets.model import written
from watchkeeper.budgets.responses import SMALLEST_OUTPUT
from watchkeeper.decide.budgets.amounts import Asked, amounts_of
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.legs import estimate_within
from watchkeeper.decide.model import Action, Progress
from watchkeeper.wire.budgets import Measure
from watchkeeper.wire.decisions import Duty, Usage


def lower(
    action: Action, facts: Facts, progress: Progress, levels: Sequence[Level], asked: Asked
) -> bool:
    """Hold what fits under every cap of a call whose answer may be shorter; tell whether it did.

    `levels` is how full the caps over it are. At least 16 tokens must be left to answer in; its
    performer must be able to keep to that. What binds is named in the permit's reason and duty.
    """
    if not _may_be_shorter(action, progress):
        return False
    most = _output_of(action, progress)

    def amounts(tokens: int) -> dict[Measure, int]:
        return _amounts_within(progress, asked, tokens)

    fitting = largest(lambda tokens: _binding(levels, amounts(tokens)) is None, most)
    if fitting is None:
        return False
    binds = _binding(levels, amounts(fitting + 1))
    usage, wanted = estimate_within(progress.legs, fitting), amounts(fitting)
    caps = [one.cap for one in levels]
    if binds is None or facts.reserve(caps, wanted, asked.touches) is not None:
        return False
    _say(progress, binds, fitting, usage)
    return True


def in_the_way(
    action: Action, progress: Progress, levels: Sequence[Level], asked: Asked
) -> Sequence[Level]:
    """Return the caps that a call is refused by: those without room for its shortest answer.

    What a shorter answer would fit under is not what ends the call, nor what people are asked
    about. All of them where each would fit, or where the answer's length is its performer's.
    """
    if not _may_be_shorter(action, progress):
        return levels
    least = _amounts_within(progress, asked, SMALLEST_OUTPUT)
    return [one for one in levels if not one.has_room(least[one.cap.measure])] or levels


def largest(fits: Callable[[int], bool], most: int) -> int | None:
    """Return the most tokens under `most` that fit, 16 at least, or None.

    What fits goes on to fit with less.
    """
    low, high = SMALLEST_OUTPUT, most - 1
    if high < low or not fits(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _may_be_shorter(action: Action, progress: Progress) -> bool:
    """Tell whether a call's performer keeps to a ceiling on its answers, and one may be lower."""
    most = _output_of(action, progress)
    return most > SMALLEST_OUTPUT and "max_output_tokens" in action.fulfils


def _amounts_within(progress: Progress, asked: Asked, tokens: int) -> dict[Measure, int]:
    """Return what a call asks of its budgets where each answer has so many tokens at most."""
    return {**asked.amounts, **amounts_of(estimate_within(progress.legs, tokens))}


def _output_of(action: Action, progress: Progress) -> int:
    """Return how long each answer may be."""
    if action.kind != "model" or not progress.legs:
        return 0
    return (progress.estimate or action.estimate).output_tokens // len(progress.legs)


def _binding(levels: Sequence[Level], asked: dict[Measure, int]) -> Level | None:
    """Return the first cap without room for some amounts, or None."""
    return next((one for one in levels if not one.has_room(asked[one.cap.measure])), None)


def _say(progress: Progress, binds: Level, tokens: int, usage: Usage) -> None:
    rule = f"budget/{binds.budget}"
    duty = Duty(kind="max_output_tokens", policy=rule, max_output_tokens=tokens)
    kept = tuple(one for one in progress.obligations if one.kind != "max_output_tokens")
    progress.obligations = (*kept, duty)
    progress.estimate = usage
    progress.legs = tuple(
        replace(leg, chosen=replace(leg.chosen, output_tokens=tokens)) for leg in progress.legs
    )
    left = written(binds.cap.measure, binds.left)
    progress.permit_reason += (
        f"; answered in at most {tokens:,} tokens: budget {binds.budget} has {left} left"
    )
