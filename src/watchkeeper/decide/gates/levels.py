"""Is a budget over it used so far that the call goes to a cheaper model, or waits its turn?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from watchkeeper.budgets.changes import with_changes
from watchkeeper.budgets.filling import Level
from watchkeeper.budgets.model import Cap, written
from watchkeeper.budgets.responses import Response, reached
from watchkeeper.decide.budgets.caps import caps_over
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.routing import lead_on
from watchkeeper.decide.model import Action, Progress, Ruling
from watchkeeper.models.leading import Lead
from watchkeeper.tools.rates.rules import Limit, make_limit
from watchkeeper.wire.budgets import Response as Does


def levels_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """Budgets that are used so far lead it to a cheaper model, or let calls pass at a rate.

    The rate gate keeps the rate, with all others over the call. Balances are only read where a
    document in force has such a level.
    """
    if not any(one.early for one in facts.catalogue.responding.values()):
        return None
    levels = _watched(action, facts, progress)
    if action.kind == "model" and _degrade(action, facts, progress, levels):
        levels = _watched(action, facts, progress)
    progress.limits = (*progress.limits, *_throttles(facts.catalogue, levels))
    return None


def caps_in_force(action: Action, facts: Facts, progress: Progress) -> Sequence[Cap]:
    """Return the caps over an action as they hold now, where people changed some."""
    model = (progress.model or action.name) if action.kind == "model" else None
    caps = caps_over(facts.catalogue, facts.run, model).caps
    changed = facts.catalogue.changed_caps
    return with_changes(caps, changed, facts.now) if changed else caps


def _watched(action: Action, facts: Facts, progress: Progress) -> Sequence[Level]:
    known = facts.catalogue.responding
    caps = [
        cap
        for cap in caps_in_force(action, facts, progress)
        if cap.document and known[cap.document].early
    ]
    return facts.levels(caps) if caps else ()


def _degrade(action: Action, facts: Facts, progress: Progress, levels: Iterable[Level]) -> bool:
    """Lead a model call as the highest level that is reached says; tell whether it was led.

    It stays where it is refused at the cheaper model, which the reason of a permit then says.
    """
    level, response = _highest(facts.catalogue, levels, "degrade")
    if level is None or response is None or response.model is None:
        return False
    if response.model == (progress.model or action.name):
        return False
    words = f"{_used_words(level)}, so {response.model} answers"
    rule = f"budget/{level.budget}"
    refused = lead_on(action, facts, progress, Lead(response.model, "budget", words, rule))
    if refused is None:
        return True
    progress.permit_reason += f"; {words} where it may: {refused.reason}"
    return False


def _throttles(catalogue: Catalogue, levels: Iterable[Level]) -> list[Limit]:
    found = []
    for level in levels:
        responses = catalogue.responding[level.cap.document].responses
        response = reached(responses, "throttle", used=level.used, limit=level.limit)
        if response is not None and response.throttle is not None:
            rate = response.throttle
            limit = make_limit(
                f"budget/{level.budget}",
                f"{_used_words(level)}, so all who spend it",
                calls=rate.calls,
                seconds=rate.seconds,
                burst=rate.burst,
                words=rate.words,
            )
            found.append(limit)
    # two documents may slow the same budget: the slower counts
    return list({one.rule: one for one in sorted(found, key=lambda one: one.interval)}.values())


def _highest(
    catalogue: Catalogue, levels: Iterable[Level], does: Does
) -> tuple[Level | None, Response | None]:
    best: tuple[Level | None, Response | None] = (None, None)
    for level in levels:
        responses = catalogue.responding[level.cap.document].responses
        found = reached(responses, does, used=level.used, limit=level.limit)
        if found is not None and (best[1] is None or found.at > best[1].at):
            best = (level, found)
    return best


def _used_words(level: Level) -> str:
    measure = level.cap.measure
    return (
        f"budget {level.budget} is {level.percent} % used "
        f"({written(measure, level.used)} of {written(measure, level.limit)})"
    )
