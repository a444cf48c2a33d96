"""What an action takes of budgets, by measure: what it may use at most, and what it came to."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.requirement import risk_of
from watchkeeper.decide.model import Action, Progress
from watchkeeper.registry.spending import RISK_POINTS
from watchkeeper.wire.budgets import Measure
from watchkeeper.wire.decisions import Risk, Usage

MESSAGE = "message"
"""The tag of tools that send something to somebody."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an action asks of the budgets over it."""

    amounts: dict[Measure, int]
    """Of the measures that it may count in; one of which nothing is reserved may still be posted
    to."""
    touches: str | None = None
    """The business object that `objects` is about."""


def asked_of(action: Action, facts: Facts, progress: Progress, capped: Set[Measure]) -> Asked:
    """Return the most that an action may use, of the measures that some cap over it is on.

    Calls, tokens and money are always among them. Retries are counted where the same tool call
    was permitted before in the run; those of providers are held as they come.
    """
    amounts: dict[Measure, int] = {}
    touches = None
    if action.kind == "model":
        amounts = amounts_of(progress.estimate or action.estimate)
        if "retries" in capped:
            amounts["retries"] = 0
    else:
        # most calls are said to cost nothing, and need no room in budgets of money
        said = amounts_of(action.estimate).items()
        amounts = {measure: amount for measure, amount in said if amount}
        amounts["tool_calls"] = 1
        tool = facts.catalogue.tools.get(action.name)
        if "retries" in capped and facts.repeats(action.call_digest):
            amounts["retries"] = 1
        if "value" in capped and progress.amount_micros:
            amounts["value"] = progress.amount_micros
        if "messages" in capped and tool is not None and MESSAGE in tool.contract.tags:
            amounts["messages"] = 1
        if "risk" in capped:
            amounts["risk"] = points_of(risk_of(action, facts.catalogue, progress), facts.catalogue)
        if "objects" in capped and progress.object_id is not None:
            amounts["objects"] = 1
            touches = f"{progress.object_kind}/{progress.object_id}"
    if "wall_time" in capped:
        amounts["wall_time"] = seconds_of(action, facts.catalogue, progress) * MICROSECONDS
    return Asked(amounts, touches)


def with_some_use(action: Action) -> Action:
    """Return a model call that its agent performs itself as one that uses something.

    Nothing but its word says what it may use. One that is said to use nothing would pass a budget
    that has nothing left, however much each such call is then reported to have used.
    """
    said = action.estimate
    tokens = {
        "input_tokens": max(1, said.input_tokens),
        "output_tokens": max(1, said.output_tokens),
    }
    return replace(action, estimate=said.model_copy(update=tokens))


def amounts_of(usage: Usage) -> dict[Measure, int]:
    """Return usage by measure, as budgets count it."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "tokens": usage.input_tokens + usage.output_tokens,
        "spend": usage.cost_micros,
    }


def points_of(risk: Risk, catalogue: Catalogue) -> int:
    """Return the risk points of one call, as its class says."""
    found = catalogue.risks.get(risk)
    return RISK_POINTS[risk] if found is None or found.points is None else found.points


def seconds_of(action: Action, catalogue: Catalogue, progress: Progress) -> int:
    """Return how long an action may take: its tool's time limit, or the longest of its targets'."""
    if action.kind == "tool":
        tool = catalogue.tools.get(action.name)
        return tool.contract.timeout_seconds if tool is not None else 0
    model = catalogue.models.get(progress.model or action.name)
    targets = model.targets if model is not None else ()
    return max((target.provider.timeout_seconds for target in targets), default=0)
