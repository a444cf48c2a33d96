"""Which logical model answers a call: the one that was named, or one that it leads to.

What is known before the call decides: how the run has gone so far, which version asks, which run
it is. Nothing is drawn by chance, so the same call of the same run is led the same way again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, get_args

from watchkeeper.core.money import dollars
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.models import RouteCause

RISKS: tuple[Risk, ...] = get_args(Risk)
_HUNDRED = 100
_SPAN = 2**64


class Condition(Protocol):
    """One condition under which a call goes to the stronger model; one of these is given."""

    @property
    def tool_error_rate_gt(self) -> float | None:
        """Share of the run's settled tool calls that failed."""
        ...

    @property
    def amount_usd_ge(self) -> int | None:
        """The largest amount that the run has asked to move, in micro-dollars."""
        ...

    @property
    def risk_ge(self) -> Risk | None:
        """The highest risk of the tools that the run has asked for."""
        ...

    @property
    def output_fails_schema(self) -> dict[str, Any] | None:
        """Known only of an answer."""
        ...

    @property
    def output_matches(self) -> str | None:
        """Known only of an answer."""
        ...


class Trial(Protocol):
    """A share of the runs, or some versions, that another model answers."""

    @property
    def model(self) -> str:
        """The model that answers them."""
        ...

    @property
    def percent(self) -> int:
        """Of the runs."""
        ...

    @property
    def versions(self) -> Sequence[str]:
        """`agent@3`: all of its runs."""
        ...


class Leading(Protocol):
    """What a logical model's document says of where its calls go."""

    @property
    def name(self) -> str:
        """Its own."""
        ...

    @property
    def escalates_to(self) -> str | None:
        """The stronger model."""
        ...

    @property
    def escalate_on(self) -> Sequence[Condition]:
        """When the stronger one answers."""
        ...

    @property
    def by_risk(self) -> Mapping[Risk, str]:
        """Which model answers from which risk on."""
        ...

    @property
    def canary(self) -> Trial | None:
        """What is tried beside it."""
        ...


class RunFigures(Protocol):
    """How a run has gone; each figure is looked up only where a condition asks for it."""

    def tool_errors(self) -> tuple[int, int]:
        """Return how many of its settled tool calls failed, and how many there are."""
        ...

    def largest_amount(self) -> int:
        """Return the largest amount that it has asked to move, in micro-dollars."""
        ...

    def highest_risk(self) -> Risk | None:
        """Return the highest risk of the tools that it has asked for; None: of none yet."""
        ...


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks: the contract's own conditions hold for calls of its default model."""

    contract: str
    version: int
    run: str
    default: str = ""
    escalate_to: str | None = None
    escalate_on: Sequence[Condition] = ()


@dataclass(frozen=True, slots=True)
class Lead:
    """One step from a model to another."""

    model: str
    cause: RouteCause
    words: str
    rule: str


@dataclass(frozen=True, slots=True)
class Judging:
    """Conditions on a model's answer, and which model answers where one of them holds."""

    model: str
    conditions: tuple[Condition, ...]
    rule: str


def follow(
    start: str,
    find: Callable[[str], Leading | None],
    asking: Asking,
    figures: RunFigures,
    *,
    avoided: Iterable[str] = (),
) -> tuple[Lead, ...]:
    """Return the steps from a model to the one that answers; none where it is itself.

    No model is come to twice: where documents lead in a circle, the call stays where it is.
    Nor is one that is `avoided`.
    """
    leads: list[Lead] = []
    seen = {start, *avoided}
    here = start
    while (document := find(here)) is not None:
        lead = _next(document, asking, figures, seen)
        if lead is None:
            break
        leads.append(lead)
        seen.add(lead.model)
        here = lead.model
    return tuple(leads)


def stronger(document: Leading, asking: Asking) -> str | None:
    """Return the model that a contract's conditions lead to: its own, or the model's."""
    return asking.escalate_to or document.escalates_to


def judging(named: Leading, answering: Leading, asking: Asking) -> Judging | None:
    """Return what is asked of the answer of the model that a call of `named` comes to.

    The contract's conditions hold for whatever answers a call of its default model.
    """
    if named.name == asking.default:
        found = tuple(one for one in asking.escalate_on if of_answer(one))
        target = stronger(named, asking)
        if found and target and target != answering.name:
            return Judging(target, found, f"contract/{asking.contract}/escalate_on")
    found = tuple(one for one in answering.escalate_on if of_answer(one))
    if found and answering.escalates_to:
        return Judging(answering.escalates_to, found, f"model/{answering.name}/escalate_on")
    return None


def of_answer(condition: Condition) -> bool:
    """Tell whether a condition is known only once the smaller model has answered."""
    return condition.output_fails_schema is not None or condition.output_matches is not None


def in_share(model: str, run: str, percent: int) -> bool:
    """Tell whether a run is among the share that a model's canary answers: always the same."""
    drawn = hashlib.sha256(f"watchkeeper/canary/{model}/{run}".encode()).digest()
    return int.from_bytes(drawn[:8]) * _HUNDRED < percent * _SPAN


def _next(document: Leading, asking: Asking, figures: RunFigures, seen: set[str]) -> Lead | None:
    name = document.name
    if name == asking.default:
        rule = f"contract/{asking.contract}/escalate_on"
        lead = _escalated(stronger(document, asking), asking.escalate_on, figures, rule)
        if lead is not None and lead.model not in seen:
            return lead
    rule = f"model/{name}/escalate_on"
    lead = _escalated(document.escalates_to, document.escalate_on, figures, rule)
    if lead is not None and lead.model not in seen:
        return lead
    lead = _by_risk(document, figures) if document.by_risk else None
    if lead is not None and lead.model not in seen:
        return lead
    canary = document.canary
    if canary is None or canary.model in seen:
        return None
    version = f"{asking.contract}@{asking.version}"
    if version in canary.versions:
        words = f"canary {canary.model} answers all runs of {version}"
    elif in_share(name, asking.run, canary.percent):
        words = f"canary {canary.model} answers {canary.percent} % of runs, this one among them"
    else:
        return None
    return Lead(canary.model, "canary", words, f"model/{name}/canary")


def _escalated(
    to: str | None, conditions: Iterable[Condition], figures: RunFigures, rule: str
) -> Lead | None:
    """Return the step that the first condition asks for which holds."""
    if to is None:
        return None
    for condition in conditions:
        words = _holds(condition, figures)
        if words is not None:
            return Lead(to, "contract", f"escalated to {to}: {words}", rule)
    return None


def _holds(condition: Condition, figures: RunFigures) -> str | None:
    """Say with figures that a condition holds, or return None."""
    if (most := condition.tool_error_rate_gt) is not None:
        failed, settled = figures.tool_errors()
        if settled and failed > most * settled:
            share = _percent(failed / settled)
            return f"{failed} of {settled} tool calls failed ({share} > {_percent(most)})"
    elif (least := condition.amount_usd_ge) is not None:
        amount = figures.largest_amount()
        if amount >= least:
            return f"the run asked to move {dollars(amount)} (>= {dollars(least)})"
    elif (from_risk := condition.risk_ge) is not None:
        risk = figures.highest_risk()
        if risk is not None and RISKS.index(risk) >= RISKS.index(from_risk):
            return f"the run asked for a tool of {risk} risk (>= {from_risk})"
    return None


def _by_risk(document: Leading, figures: RunFigures) -> Lead | None:
    risk = figures.highest_risk()
    if risk is None:
        return None
    reached = [one for one in RISKS[: RISKS.index(risk) + 1] if one in document.by_risk]
    if not reached:
        return None
    model = document.by_risk[reached[-1]]
    words = f"{model} answers runs that asked for a tool of {reached[-1]} risk"
    words += f" (this one: {risk})" if risk != reached[-1] else ""
    return Lead(model, "risk", words, f"model/{document.name}/by_risk")


def _percent(share: float) -> str:
    return f"{share * _HUNDRED:.1f}".removesuffix(".0") + " %"
