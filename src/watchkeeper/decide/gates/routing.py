"""Where does a model call go: which logical model, at which targets, and why?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.legs import Leg, estimate_of, limits_of, lowered_by, qualify
from watchkeeper.decide.gates.obligation import led_by_policy, permitted_there, unfulfilled
from watchkeeper.decide.model import Action, Progress, Ruling, deny
from watchkeeper.decide.pricing import GovernedTarget
from watchkeeper.models.leading import Asking, Judging, Lead, follow, judging
from watchkeeper.models.targets import name_of
from watchkeeper.policy.model import Obligation
from watchkeeper.registry.providers import Ensemble, LogicalModel
from watchkeeper.wire.decisions import Duty, Risk
from watchkeeper.wire.models import Leg as LegShown
from watchkeeper.wire.models import RouteCause, Routed, Strategy, TargetShown

_NAMED = "called by its name"
_ALONE = frozenset({"embeddings", "count_tokens"})
"""Endpoints that one model answers."""
_UNLED = frozenset({"embeddings"})
"""Endpoints whose answers of different models can't be compared: only policies lead them."""
_ADJUDICATES = 2
_JUDGED = 2


def routing_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """A model call goes where contract, policies and the run lead it, to targets that qualify."""
    if action.kind != "model":
        return None
    duty, refused = led_by_policy(action.name, progress.policy.duties if progress.policy else ())
    if refused is not None:
        return refused
    leads: tuple[Lead, ...] = ()
    if duty is not None and duty.model is not None:
        words = f"policy {duty.policy} leads the call to {duty.model}"
        leads = (Lead(duty.model, "policy", words, f"policy/{duty.policy}"),)
    avoided: list[str] = []
    while True:
        found = _follow(action, facts, progress, leads, avoided)
        plan = _plan(action, facts, progress, found)
        tried = next((lead for lead in found if lead.cause == "canary"), None)
        if isinstance(plan, Ruling) and tried is not None:
            # who tries something out does not let it stand in the way
            avoided.append(tried.model)
            progress.avoided += (f"canary {tried.model} is left out ({plan.rule})",)
            continue
        break
    if isinstance(plan, Ruling):
        return plan
    plan.put(action, progress)
    return None


def lead_on(action: Action, facts: Facts, progress: Progress, lead: Lead) -> Ruling | None:
    """Lead a call that is routed already to another model, as a budget does that degrades.

    Nothing changes where it is refused there, or would need an approval that nobody was asked
    for, or a policy has led it: then that is returned.
    """
    routed = progress.routed
    if routed is not None and routed.cause == "policy":
        return deny(lead.rule, f"{lead.words}, but a policy leads it to {routed.model}", None)
    plan = _plan(action, facts, progress, (lead,))
    if isinstance(plan, Ruling):
        return plan
    if not set(plan.asks) <= set(progress.asks):
        return deny(lead.rule, f"{lead.words}, which needs an approval of its own there", None)
    plan.put(action, progress)
    return None


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where a call goes, and what comes with it."""

    routed: Routed
    legs: tuple[Leg, ...]
    asks: tuple[Obligation, ...]
    duties: tuple[Duty, ...]
    output_tokens: int

    def put(self, action: Action, progress: Progress) -> None:
        """Say so to the gates that follow."""
        progress.routed = self.routed
        progress.asks = self.asks
        progress.obligations = (*self.duties, *progress.strips)
        progress.legs = self.legs
        progress.model = None
        reason = progress.permit_reason
        if progress.policy is not None:
            reason = progress.policy.message
        if self.routed.model != action.name:
            progress.model = self.routed.model
            reason += f"; {progress.model} answers instead of {action.name}"
        if progress.grant is None and progress.standing is None:
            progress.permit_reason = reason
        progress.estimate = estimate_of(action, self.legs, self.output_tokens)


def _follow(
    action: Action,
    facts: Facts,
    progress: Progress,
    leads: tuple[Lead, ...],
    avoided: Iterable[str],
) -> tuple[Lead, ...]:
    if action.endpoint in _UNLED:
        return leads
    start = leads[-1].model if leads else action.name
    models = facts.catalogue.models

    def find(name: str) -> LogicalModel | None:
        model = models.get(name)
        return model.document if model else None

    more = follow(start, find, _asking(facts), _Looking(facts, progress), avoided=avoided)
    found = (*leads, *more)
    document = find(found[-1].model if found else action.name)
    if action.endpoint == "count_tokens" and document is not None and document.ensemble:
        # tokens are counted by one model alone
        first = document.ensemble.models[0]
        words = f"{first} counts the tokens, the first model of {document.name}"
        return (*found, Lead(first, "ensemble", words, f"model/{document.name}/ensemble"))
    return found


def _plan(
    action: Action, facts: Facts, progress: Progress, leads: tuple[Lead, ...]
) -> _Plan | Ruling:
    """Return where a call goes that is led so, or why it can't."""
    name = leads[-1].model if leads else action.name
    who = _answering(action, facts, name, escalated=any(one.cause == "contract" for one in leads))
    policy = progress.policy
    asks = list(policy.asks if policy else ())
    duties = list(policy.duties if policy else ())
    for one in dict.fromkeys((name, *who.names)):
        if one == action.name:
            continue
        by_policy = bool(leads) and leads[-1].cause == "policy" and one == name
        there, refused = permitted_there(action, one, facts, progress, implied=not by_policy)
        if refused is not None:
            return _led(refused, leads, who, one)
        if there is not None:
            asks += [ask for ask in there.asks if ask not in asks]
            duties += [duty for duty in there.duties if duty not in duties]
    duties = [duty for duty in duties if duty.kind != "route"]
    duties = [*_route_duties(action, leads, policy.duties if policy else ()), *duties]
    if who.rule:
        duties.append(Duty(kind="compose", policy=who.rule, model=who.names[-1]))
    agent = facts.catalogue.agents[facts.run.agent]
    limits = limits_of(action, agent, duties, hosted=bool(progress.hosted))
    legs: list[Leg] = []
    for place, one in enumerate(who.names):
        from_others = (
            (who.ensemble, tuple(legs)) if who.ensemble and place == _ADJUDICATES else None
        )
        leg = qualify(one, limits, facts, from_others)
        if isinstance(leg, Ruling):
            return _led(leg, leads, who, one)
        legs.append(leg)
    most = min(leg.chosen.output_tokens for leg in legs)
    duties += lowered_by(limits, legs, most)
    refused = unfulfilled(action, duties) or limits.too_dear(legs)
    if refused is not None:
        return refused
    routed = _routed(name, leads, tuple(legs), who, progress.avoided)
    return _Plan(routed, tuple(legs), tuple(asks), tuple(duties), most)


@dataclass(frozen=True, slots=True)
class _Answering:
    """Who answers: one model, one and a stronger one, or two and an adjudicator."""

    names: tuple[str, ...]
    ensemble: Ensemble | None = None
    judged: Judging | None = None
    rule: str = ""
    """Of what makes several answer."""


def _answering(action: Action, facts: Facts, name: str, *, escalated: bool) -> _Answering:
    models = facts.catalogue.models
    model = models.get(name)
    if model is None or action.endpoint in _ALONE:
        return _Answering((name,))
    ensemble = model.document.ensemble
    if ensemble is not None:
        names = (*ensemble.models, ensemble.adjudicator)
        return _Answering(names, ensemble, rule=f"model/{name}/ensemble")
    cause: RouteCause = "contract" if escalated else "named"
    judged = judging_of(facts.catalogue, facts.run.agent, action.name, name, cause)
    if judged is None:
        return _Answering((name,))
    return _Answering((name, judged.model), judged=judged, rule=judged.rule)


def judging_of(
    catalogue: Catalogue, agent: str, named: str, answering: str, cause: RouteCause
) -> Judging | None:
    """Return what is asked of the answer of a model that a call of another has come to."""
    asked, answers = catalogue.models.get(named), catalogue.models.get(answering)
    if asked is None or answers is None:
        return None
    # what was escalated already is judged as its own document says
    asking = Asking("", 0, "") if cause == "contract" else _asking_of(catalogue, agent)
    return judging(asked.document, answers.document, asking)


def _route_duties(
    action: Action, leads: tuple[Lead, ...], policy: Iterable[Duty]
) -> Iterator[Duty]:
    """Yield what says that another model answers: the policy's own words, or another rule's."""
    if not leads or leads[-1].model == action.name:
        return
    last = leads[-1]
    if last.cause == "policy":
        yield from (one for one in policy if one.kind == "route" and one.model == last.model)
    else:
        yield Duty(kind="route", policy=last.rule, model=last.model)


def _asking(facts: Facts) -> Asking:
    run = facts.run
    return _asking_of(facts.catalogue, run.agent, run.version, run.run)


def _asking_of(catalogue: Catalogue, agent: str, version: int = 0, run: str = "") -> Asking:
    governed = catalogue.agents.get(agent)
    routing = governed.contract.model_routing if governed else None
    if routing is None:
        return Asking(agent, version, run)
    return Asking(agent, version, run, routing.default, routing.escalate_to, routing.escalate_on)


def _led(refused: Ruling, leads: tuple[Lead, ...], who: _Answering, model: str) -> Ruling:
    """Return a refusal that says how the call came to be led where it is refused."""
    words = [lead.words for lead in leads]
    if len(who.names) > 1 and (not leads or leads[-1].model != model):
        words.append(f"{model} may have to answer ({who.rule})")
    if not words:
        return refused
    return replace(refused, reason=f"{'; then '.join(words)}: {refused.reason}")


def _routed(
    name: str, leads: tuple[Lead, ...], legs: tuple[Leg, ...], who: _Answering, left: Iterable[str]
) -> Routed:
    cause: RouteCause = leads[-1].cause if leads else "ensemble" if who.ensemble else "named"
    words = ["; then ".join(lead.words for lead in leads)] if leads else []
    if who.ensemble is not None:
        first, second, last = who.names
        words.append(f"{first} and {second} answer, and {last} from both")
    words = words or [_NAMED]
    if who.judged is not None:
        words.append(f"{who.judged.model} answers where its answer does not do")
    words += [leg.chosen.words for leg in legs if leg.chosen.words]
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


class _Looking:
    """The run's figures, noted as they are looked up."""

    def __init__(self, facts: Facts, progress: Progress) -> None:
        self._facts = facts
        self._looked = progress.looked

    def tool_errors(self) -> tuple[int, int]:
        """Return failed and settled tool calls."""
        found = self._looked.get("tool_errors")
        if found is None:
            found = self._looked["tool_errors"] = list(self._facts.tool_errors())
        return found[0], found[1]

    def largest_amount(self) -> int:
        """Return the largest amount."""
        found: int | None = self._looked.get("largest_amount")
        if found is None:
            found = self._looked["largest_amount"] = self._facts.largest_amount()
        return found

    def highest_risk(self) -> Risk | None:
        """Return the highest risk."""
        if "highest_risk" not in self._looked:
            self._looked["highest_risk"] = self._facts.highest_risk()
        found: Risk | None = self._looked["highest_risk"]
        return found
