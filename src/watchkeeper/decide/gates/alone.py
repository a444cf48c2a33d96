"""Calls that one target of one model answers, as they were asked for: most of them.

What documents say of them is worked out once for an agent, a model and an endpoint, and only the
amounts for each call. Whatever is led, judged, lowered or refused takes the long way, which comes
to the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.decide.catalogue import GovernedAgent
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.answering import Answering, routed_of
from watchkeeper.decide.gates.contract import likely_input, writes_cache
from watchkeeper.decide.gates.kill import lock_on_provider
from watchkeeper.decide.gates.legs import Leg
from watchkeeper.decide.model import Action, Progress
from watchkeeper.decide.models.pricing import GovernedModel, GovernedTarget
from watchkeeper.models.prices import Price
from watchkeeper.models.routing import Chosen, Excluded, Needs, choose
from watchkeeper.models.statistics import Standing
from watchkeeper.wire.decisions import LARGEST_USAGE, Usage
from watchkeeper.wire.models import Endpoint, Routed, Strategy

_MOST_KEPT = 1024
"""Agents and endpoints that one model's calls are known of; then anew."""


@dataclass(frozen=True, slots=True)
class Alone:
    """What is known of such calls beforehand, and the bounds that none of them may pass."""

    target: GovernedTarget
    price: Price
    routed: Routed
    strategy: Strategy
    context_window: int
    most_output: int
    most_micros: int


def answer_alone(action: Action, facts: Facts, progress: Progress) -> bool:
    """Note where a call goes that its model's one target answers; tell whether it is one."""
    policy, model = progress.policy, facts.catalogue.models.get(action.name)
    if policy is None or policy.duties or policy.at or model is None:
        return False
    if progress.hosted or progress.strips:
        return False
    known = _known(facts.catalogue.agents[facts.run.agent], model, action.endpoint)
    if known is None or lock_on_provider(facts.locks, known.target.provider.name) is not None:
        return False
    asked = action.estimate
    sent, output = asked.input_tokens, asked.output_tokens
    most = known.context_window - likely_input(action)
    if output > known.most_output or output > most:
        return False
    if action.endpoint != "embeddings":
        sent = min(sent, known.context_window)
    writes = writes_cache(action)
    cost = known.price.dearest(sent, output, writes_cache=writes)
    if cost > known.most_micros:
        return False
    chosen = Chosen((known.target,), output, cost, "", "", known.strategy)
    progress.routed = known.routed
    progress.legs = (Leg(action.name, chosen, sent, (), writes),)
    progress.asks, progress.obligations = policy.asks, ()
    progress.model = None
    if progress.grant is None and progress.standing is None:
        progress.permit_reason = policy.message
    if action.endpoint is None:
        # what its own performer says counts where the plane knows of less
        cost = max(cost, asked.cost_micros)
    progress.estimate = _usage(asked, sent, output, min(cost, LARGEST_USAGE))
    return True


def _usage(asked: Usage, sent: int, output: int, cost: int) -> Usage:
    same = sent == asked.input_tokens and cost == asked.cost_micros
    if same and not (asked.model_fields_set - _AMOUNTS):
        return asked
    return Usage(input_tokens=sent, output_tokens=output, cost_micros=cost)


_AMOUNTS = frozenset({"input_tokens", "output_tokens", "cost_micros"})


def _known(agent: GovernedAgent, model: GovernedModel, endpoint: Endpoint | None) -> Alone | None:
    key = (agent.contract.name, endpoint)
    found: tuple[GovernedAgent, Alone | None] | None = model.kept.get(key)
    if found is None or found[0] is not agent:
        if len(model.kept) >= _MOST_KEPT:
            model.kept.clear()
        found = model.kept[key] = (agent, _work_out(agent, model, endpoint))
    return found[1]


def _work_out(
    agent: GovernedAgent, model: GovernedModel, endpoint: Endpoint | None
) -> Alone | None:
    document, contract = model.document, agent.contract
    if document.ensemble is not None or len(model.targets) != 1:
        return None
    if document.escalate_on or document.by_risk or document.canary is not None:
        return None
    routing = contract.model_routing
    if routing is not None and routing.default == document.name and routing.escalate_on:
        return None
    target = model.targets[0]
    if target.price is None:
        return None
    budgets = contract.budgets
    needs = Needs(
        input_tokens=0,
        output_tokens=0,
        likely_input_tokens=0,
        endpoint=endpoint,
        regions=contract.regions,
        zero_retention=contract.logging.zero_retention,
    )
    chosen = choose(
        model.targets, needs, strategy=document.strategy, standings=lambda *_: Standing()
    )
    if isinstance(chosen, Excluded):
        return None
    who = Answering((document.name,))
    leg = Leg(document.name, chosen, 0)
    bounds = (budgets.max_output_tokens_per_call, target.model.max_output_tokens)
    most = budgets.max_cost_usd_per_call
    return Alone(
        target=target,
        price=target.price,
        routed=routed_of(document.name, (), (leg,), who, ()),
        strategy=document.strategy,
        context_window=target.model.context_window,
        most_output=min((one for one in bounds if one is not None), default=LARGEST_USAGE),
        most_micros=LARGEST_USAGE if most is None else most,
    )
