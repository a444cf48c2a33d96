"""Where does a model call go: which logical model, at which targets, and why?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.alone import answer_alone
from watchkeeper.decide.gates.answering import Answering, answering, asking_of, routed_of
from watchkeeper.decide.gates.legs import Leg, estimate_of, limits_of, lowered_by, qualify
from watchkeeper.decide.gates.obligation import led_by_policy, permitted_there, unfulfilled
from watchkeeper.decide.model import Action, Progress, Ruling, deny
from watchkeeper.models.leading import Lead, follow
from watchkeeper.policy.model import Obligation
from watchkeeper.registry.providers import LogicalModel
from watchkeeper.wire.decisions import Duty, Risk
from watchkeeper.wire.models import Routed

_UNLED = frozenset({"embeddings"})
"""Endpoints whose answers of different models can't be compared: only policies lead them."""
_ADJUDICATES = 2


def routing_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """A model call goes where contract, policies and the run lead it, to targets that qualify."""
    if action.kind != "model" or answer_alone(action, facts, progress):
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

    more = follow(start, find, asking_of(facts), _Looking(facts, progress), avoided=avoided)
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
    causes = {one.cause for one in leads}
    who = answering(
        action, facts, name, escalated="contract" in causes, degraded="budget" in causes
    )
    policy = progress.policy
    said = {action.name: policy}
    asks = list(policy.asks if policy else ())
    duties = list(policy.duties if policy else ())
    for one in dict.fromkeys((name, *who.names)):
        if one == action.name:
            continue
        by_policy = bool(leads) and leads[-1].cause == "policy" and one == name
        there, refused = permitted_there(action, one, facts, progress, implied=not by_policy)
        if refused is not None:
            return _led(refused, leads, who, one)
        said[one] = there
        if there is not None:
            asks += [ask for ask in there.asks if ask not in asks]
            duties += [duty for duty in there.duties if duty not in duties]
    whole = said[name] if who.ensemble else None
    for there in whole.at.values() if whole else ():
        if there.verdict != "deny":
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
        leg = qualify(one, limits, facts, from_others, answer=said[one], ensemble=whole)
        if isinstance(leg, Ruling):
            return _led(leg, leads, who, one)
        legs.append(leg)
    most = min(leg.chosen.output_tokens for leg in legs)
    duties += lowered_by(limits, legs, most)
    refused = unfulfilled(action, duties) or limits.too_dear(legs)
    if refused is not None:
        return refused
    routed = routed_of(name, leads, tuple(legs), who, progress.avoided)
    return _Plan(routed, tuple(legs), tuple(asks), tuple(duties), most)


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


def _led(refused: Ruling, leads: tuple[Lead, ...], who: Answering, model: str) -> Ruling:
    """Return a refusal that says how the call came to be led where it is refused."""
    words = [lead.words for lead in leads]
    if len(who.names) > 1 and (not leads or leads[-1].model != model):
        words.append(f"{model} may have to answer ({who.rule})")
    if not words:
        return refused
    return replace(refused, reason=f"{'; then '.join(words)}: {refused.reason}")


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
