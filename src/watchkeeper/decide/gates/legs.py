"""What each model that answers a call needs, where it can go, and what that may cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from watchkeeper.core.money import dollars
from watchkeeper.decide.budgets.caps import caps_over
from watchkeeper.decide.catalogue import GovernedAgent
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.contract import likely_input, writes_cache
from watchkeeper.decide.gates.kill import REMEDY
from watchkeeper.decide.gates.places import Barred, permitted_targets, unlocked_targets
from watchkeeper.decide.model import Action, Ruling, deny
from watchkeeper.decide.models.pricing import GovernedTarget, dearest
from watchkeeper.models.routing import Chosen, Excluded, Needs, choose
from watchkeeper.policy.model import PolicyAnswer
from watchkeeper.registry.providers import Ensemble
from watchkeeper.wire.decisions import LARGEST_USAGE, Duty, Usage

BYTES_PER_ANSWER_TOKEN = 4
"""How long answers are taken to be that an adjudicator is given; longer ones it never sees."""
MOST_NAMED = 4
"""Of barred targets in a refusal."""
ADDED_BYTES = 512
"""What is put around them."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One model that answers, and where."""

    model: str
    chosen: Chosen[GovernedTarget]
    input_tokens: int
    """At most: what is sent, and no more than the largest of the windows."""
    barred: tuple[Barred, ...] = ()
    """Its targets that policies or locks keep the call from."""
    writes_cache: bool = True

    def dearest(self, output_tokens: int) -> int:
        """Return what its answer costs at most, in micro-dollars; 0 where nobody knows."""
        targets, most = self.chosen.targets, self.input_tokens
        return dearest(targets, most, output_tokens, writes_cache=self.writes_cache) or 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a call may use, whichever model answers."""

    agent: str
    needs: Needs
    lowered: Duty | None
    """By the contract."""

    def too_dear(self, legs: Sequence[Leg]) -> Ruling | None:
        """Refuse what costs more, all models together, than one call may."""
        most = self.needs.most_micros
        cost = sum(leg.chosen.cost_micros for leg in legs)
        if most is None or cost <= most:
            return None
        return deny(
            f"contract/{self.agent}/max_cost_usd_per_call",
            f"its {len(legs)} models may cost {dollars(cost)} together, and one call may cost "
            f"{dollars(most)}",
            "ask for fewer output tokens, or call one model",
        )


def limits_of(
    action: Action, agent: GovernedAgent, duties: Sequence[Duty], *, hosted: bool
) -> Limits:
    """Return what contract and policies let a call use; where the provider may run tools
    (`hosted`), what these find may fill the window.
    """
    contract = agent.contract
    budgets, asked = contract.budgets, action.estimate
    output = asked.output_tokens
    for duty in duties:
        if duty.max_output_tokens is not None:
            output = min(output, duty.max_output_tokens)
    most, lowered = budgets.max_output_tokens_per_call, None
    if most is not None and most < output:
        rule = f"contract/{contract.name}/max_output_tokens_per_call"
        output, lowered = most, Duty(kind="max_output_tokens", policy=rule, max_output_tokens=most)
    needs = Needs(
        input_tokens=LARGEST_USAGE if hosted else asked.input_tokens,
        output_tokens=output,
        likely_input_tokens=likely_input(action),
        endpoint=action.endpoint,
        regions=contract.regions,
        zero_retention=contract.logging.zero_retention,
        most_micros=budgets.max_cost_usd_per_call,
        writes_cache=writes_cache(action),
    )
    return Limits(contract.name, needs, lowered)


def qualify(
    name: str,
    limits: Limits,
    facts: Facts,
    combined: tuple[Ensemble, Sequence[Leg]] | None = None,
    *,
    answer: PolicyAnswer | None,
    ensemble: PolicyAnswer | None = None,
) -> Leg | Ruling:
    """Return where a model can answer a call, or why it can't.

    `combined`: it answers from the answers of others, which are sent along. `answer` is what the
    policies say of it, and `ensemble` of the one that it is a member of.
    """
    model = facts.catalogue.models.get(name)
    if model is None or model.document.ensemble is not None:
        what = "is an ensemble itself" if model else "is not described"
        return deny(f"model/{name}/targets", f"model {name!r} {what}", "name another model")
    needs = limits.needs
    if combined is not None:
        needs = _with_answers(needs, *combined)
    targets, locked = unlocked_targets(model.targets, facts.locks)
    targets, barred = permitted_targets(targets, answer, ensemble)
    barred = (*locked, *barred)
    if not targets and barred:
        words = "; ".join(one.words for one in barred[:MOST_NAMED])
        instead = REMEDY if locked else "a target that policies let the call go to"
        return deny(barred[0].rule, words, instead)
    if any(target.price is None for target in targets) and _is_capped(facts, name):
        needs = replace(needs, priced=True)
    document = model.document
    chosen = choose(
        targets,
        needs,
        strategy=document.strategy,
        standings=facts.target_standing,
        objective_ms=document.latency_objective_ms,
    )
    if isinstance(chosen, Excluded):
        words = "; ".join((chosen.words, *(one.words for one in barred[:MOST_NAMED])))
        return deny(_rule(name, limits.agent, chosen), words, chosen.remedy)
    window = max(target.model.context_window for target in chosen.targets)
    return Leg(name, chosen, needs.most_input(window), barred, needs.writes_cache)


def lowered_by(limits: Limits, legs: Sequence[Leg], most: int) -> Iterator[Duty]:
    """Yield what lets fewer tokens be generated than were asked for, beside policies."""
    if limits.lowered is not None:
        yield limits.lowered
    for leg in legs:
        why = leg.chosen.lowered_by
        if leg.chosen.output_tokens == most and why:
            rule = f"model/{leg.model}/{why}"
            if why == "cost":
                rule = f"contract/{limits.agent}/max_cost_usd_per_call"
            yield Duty(kind="max_output_tokens", policy=rule, max_output_tokens=most)
            return


def estimate_of(action: Action, legs: Sequence[Leg], output_tokens: int) -> Usage:
    """Return what a call may use at most, whichever of its targets take it."""
    asked, cost = action.estimate, sum(leg.chosen.cost_micros for leg in legs)
    if action.endpoint is None and [leg.model for leg in legs] == [action.name]:
        # what its own performer says counts where the plane knows of less
        cost = max(cost, asked.cost_micros) if output_tokens == asked.output_tokens else cost
    return Usage(
        input_tokens=min(sum(leg.input_tokens for leg in legs), LARGEST_USAGE),
        output_tokens=min(output_tokens * len(legs), LARGEST_USAGE),
        cost_micros=min(cost, LARGEST_USAGE),
    )


def estimate_within(legs: Sequence[Leg], output_tokens: int) -> Usage:
    """Return what a call may use at most whose answers are no longer than so many tokens each."""
    cost = sum(leg.dearest(output_tokens) for leg in legs)
    return Usage(
        input_tokens=min(sum(leg.input_tokens for leg in legs), LARGEST_USAGE),
        output_tokens=min(output_tokens * len(legs), LARGEST_USAGE),
        cost_micros=min(cost, LARGEST_USAGE),
    )


def _with_answers(needs: Needs, ensemble: Ensemble, answers: Sequence[Leg]) -> Needs:
    """Return what the adjudicator needs: it is sent the call, the answers and what to do."""
    tokens = sum(leg.chosen.output_tokens for leg in answers) * BYTES_PER_ANSWER_TOKEN
    added = tokens + len(ensemble.instructions.encode()) + ADDED_BYTES
    return replace(
        needs,
        input_tokens=needs.input_tokens + added,
        likely_input_tokens=needs.likely_input_tokens + added // BYTES_PER_ANSWER_TOKEN,
    )


def _is_capped(facts: Facts, model: str) -> bool:
    """Tell whether a strict cap in dollars is over the call: what is unpriced can't pass it."""
    caps = caps_over(facts.catalogue, facts.run, model).caps
    return any(cap.measure == "spend" and not cap.soft for cap in caps)


def _rule(model: str, agent: str, excluded: Excluded) -> str:
    match excluded.requirement:
        case "regions":
            return f"contract/{agent}/regions"
        case "retention":
            return f"contract/{agent}/zero_retention"
        case "cost":
            return f"contract/{agent}/max_cost_usd_per_call"
        case _:
            return f"model/{model}/{excluded.requirement}"
