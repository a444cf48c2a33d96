"""Who answers a model call that has come to a model, and how that is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.legs import MOST_NAMED, Leg
from watchkeeper.decide.model import Action
from watchkeeper.decide.models.pricing import GovernedTarget
from watchkeeper.models.leading import Asking, Judging, Lead, judging
from watchkeeper.models.targets import name_of
from watchkeeper.registry.providers import Ensemble
from watchkeeper.wire.models import Leg as LegShown
from watchkeeper.wire.models import RouteCause, Routed, Strategy, TargetShown

_NAMED = "called by its name"
_ALONE = frozenset({"embeddings", "count_tokens"})
"""Endpoints that one model answers."""
_JUDGED = 2


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers: one model, one and a stronger one, or two and an adjudicator."""

    names: tuple[str, ...]
    ensemble: Ensemble | None = None
    judged: Judging | None = None
    rule: str = ""
    """Of what makes several answer."""


def answering(
    action: Action, facts: Facts, name: str, *, escalated: bool, degraded: bool
) -> Answering:
    """Return who answers a call that has come to a model.

    `escalated`: the contract led it there; `degraded`: a budget did, to spend less: then no
    answer is judged, which would have the dearer model answer after all.
    """
    models = facts.catalogue.models
    model = models.get(name)
    if model is None or action.endpoint in _ALONE:
        return Answering((name,))
    ensemble = model.document.ensemble
    if ensemble is not None:
        names = (*ensemble.models, ensemble.adjudicator)
        return Answering(names, ensemble, rule=f"model/{name}/ensemble")
    if degraded:
        return Answering((name,))
    cause: RouteCause = "contract" if escalated else "named"
    judged = judging_of(facts.catalogue, facts.run.agent, action.name, name, cause)
    if judged is None:
        return Answering((name,))
    return Answering((name, judged.model), judged=judged, rule=judged.rule)


def judging_of(
    catalogue: Catalogue, agent: str, named: str, answering: str, cause: RouteCause
) -> Judging | None:
    """Return what is asked of the answer of a model that a call of another has come to."""
    asked, answers = catalogue.models.get(named), catalogue.models.get(answering)
    if asked is None or answers is None:
        return None
    # what was escalated already is judged as its own document says
    asking = Asking("", 0, "") if cause == "contract" else _asking(catalogue, agent)
    return judging(asked.document, answers.document, asking)


def asking_of(facts: Facts) -> Asking:
    """Return what the contract of the run's agent asks of routing."""
    run = facts.run
    return _asking(facts.catalogue, run.agent, run.version, run.run)


def _asking(catalogue: Catalogue, agent: str, version: int = 0, run: str = "") -> Asking:
    governed = catalogue.agents.get(agent)
    routing = governed.contract.model_routing if governed else None
    if routing is None:
        return Asking(agent, version, run)
    return Asking(agent, version, run, routing.default, routing.escalate_to, routing.escalate_on)


def routed_of(
    name: str, leads: tuple[Lead, ...], legs: tuple[Leg, ...], who: Answering, left: Iterable[str]
) -> Routed:
    """Return where a call goes, with the reason in words; `left`: what was left out, and why."""
    cause: RouteCause = leads[-1].cause if leads else "ensemble" if who.ensemble else "named"
    words = ["; then ".join(lead.words for lead in leads)] if leads else []
    if who.ensemble is not None:
        first, second, last = who.names
        words.append(f"{first} and {second} answer, and {last} from both")
    words = words or [_NAMED]
    if who.judged is not None:
        words.append(f"{who.judged.model} answers where its answer does not do")
    words += [leg.chosen.words for leg in legs if leg.chosen.words]
    words += dict.fromkeys(one.words for leg in legs for one in leg.barred[:MOST_NAMED])
    unpriced = [name_of(one) for leg in legs for one in leg.chosen.targets if one.price is None]
    if unpriced:
        words.append(f"nobody knows the price of {', '.join(unpriced)}: it counts as $0")
    shown = tuple((leg.model, tuple(_place(one) for one in leg.chosen.targets)) for leg in legs)
    strategy = legs[0].chosen.strategy
    reason = "; ".join((*words, *left))
    return _show(name, cause, strategy, reason, shown, who.ensemble is not None)


def _place(target: GovernedTarget) -> tuple[str, str]:
    return target.provider.name, target.model.name


@lru_cache(maxsize=1024)
def _show(
    name: str,
    cause: RouteCause,
    strategy: Strategy,
    reason: str,
    legs: tuple[tuple[str, tuple[tuple[str, str], ...]], ...],
    combined: bool,
) -> Routed:
    """Return it as it is told; most calls of a model are told the same."""
    shown = tuple(
        LegShown(
            model=model,
            targets=tuple(TargetShown(provider=one, model=its) for one, its in targets),
        )
        for model, targets in legs
    )
    return Routed(
        model=name,
        cause=cause,
        strategy=strategy,
        reason=reason,
        targets=() if combined else shown[0].targets,
        ensemble=shown if combined else (),
        stronger=shown[1] if len(shown) == _JUDGED and not combined else None,
    )
