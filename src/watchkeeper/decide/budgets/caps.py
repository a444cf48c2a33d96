"""The caps over an action, compiled once for what is in force and found by who acts.

A `kind/*` budget is one for each of its kind, so its caps are written out for the one that acts.
A call finds the caps over it in one look: they are kept by agent, version and model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchkeeper.budgets.model import MEASURES, Cap
from watchkeeper.core.digest import parse
from watchkeeper.decide.budgets.scopes import check_zones, patterns, person_scope, whole
from watchkeeper.identity.model import RunFacts
from watchkeeper.registry.contract import AgentContract, ContractBudgets
from watchkeeper.registry.spending import Budget, BudgetLimits
from watchkeeper.wire.budgets import Measure

if TYPE_CHECKING:
    from watchkeeper.decide.catalogue import Catalogue, GovernedAgent

MOST_KEPT = 10_000
"""How many different agents, versions, models and persons caps are kept for; then anew."""
SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Covering:
    """The caps over an action, and what they are on."""

    caps: tuple[Cap, ...] = ()
    measures: frozenset[Measure] = frozenset()


def covering(caps: Iterable[Cap]) -> Covering:
    """Return caps with the measures that they are on."""
    found = tuple(caps)
    return Covering(found, frozenset(cap.measure for cap in found))


class CapIndex:
    """Every cap in force, found by who acts."""

    def __init__(
        self,
        agents: Mapping[str, GovernedAgent],
        budgets: Collection[Budget],
        models: Collection[str],
    ) -> None:
        """Raise `Invalid` where budgets that may meet on one balance are in different zones."""
        check_zones(budgets)
        self.budgets = {budget.name: budget for budget in budgets}
        """The documents, by name."""
        self._agents = agents
        self._models = models
        self._by_scope: dict[str, list[Budget]] = {}
        for budget in budgets:
            scope = whole(budget.scope)
            self._by_scope.setdefault(scope, []).append(budget)
        self._of_persons = any(scope.startswith("person/") for scope in self._by_scope)
        self._kept: dict[tuple[str, int, str | None, str | None], Covering] = {}

    def over(self, run: RunFacts, model: str | None) -> Covering:
        """Return the caps over what a run does, with a logical model or without one."""
        person = run.on_behalf_of if self._of_persons else None
        key = (run.agent, run.version, model, person)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            found = self._kept[key] = covering(self._compile(*key))
        if run.grants is None:
            return found
        return covering((*found.caps, *lent_to(run.grants)))

    def standing(self) -> tuple[Cap, ...]:
        """Return every cap of a balance that is known by name: of persons only
        those named, and what holds for each as `person/*`.
        """
        found: dict[Cap, None] = {}
        for name in self._agents:
            found |= dict.fromkeys(self.named(name))
        for model in self._models:
            found |= dict.fromkeys(self.of_scope(f"model/{model}"))
        for scope, budgets in self._by_scope.items():
            if scope.startswith("person/"):
                found |= dict.fromkeys(self._caps_of(scope, budgets))
        return tuple(cap for cap in found if cap.period not in ("run", "invocation"))

    def named(self, agent: str) -> tuple[Cap, ...]:
        """Return the caps over an agent in its version in force, whatever model it calls."""
        governed = self._agents.get(agent)
        if governed is None:
            return ()
        return tuple(self._compile(agent, governed.version, None, None))

    def of_scope(self, scope: str) -> tuple[Cap, ...]:
        """Return the caps on one scope by name, those for each of its kind among them."""
        return tuple(
            cap
            for pattern in patterns(scope)
            for cap in self._caps_of(scope, self._by_scope.get(pattern, ()))
        )

    def _compile(
        self, agent: str, version: int, model: str | None, person: str | None
    ) -> Iterator[Cap]:
        governed = self._agents.get(agent)
        if governed is None:
            return
        contract = governed.contract
        yield from ceilings(contract)
        scopes = [f"agent/{agent}", f"team/{contract.owner}", f"version/{agent}@{version}", "all"]
        if contract.project is not None:
            scopes.append(f"project/{contract.project}")
        if model is not None:
            scopes.append(f"model/{model}")
        if person is not None:
            scopes.append(person_scope(person))
        for scope in scopes:
            yield from self.of_scope(scope)

    def _caps_of(self, scope: str, budgets: Iterable[Budget]) -> Iterator[Cap]:
        for budget in budgets:
            for measure, amount in limits_of(budget.limits).items():
                yield Cap(
                    scope,
                    budget.period,
                    measure,
                    amount,
                    budget.zone,
                    budget.mode == "soft",
                    budget.name,
                )


def caps_over(catalogue: Catalogue, run: RunFacts, model: str | None = None) -> Covering:
    """Return the caps over what a run does: its contract's, its loan's, and the budgets'."""
    return catalogue.caps.over(run, model)


def lent_to(grants: str | None) -> Iterator[Cap]:
    """Yield the caps of a child run: what its parent lent it."""
    if grants is None:
        return
    lent = parse(grants)
    for measure in MEASURES:
        if measure in lent:
            yield Cap("run/*", "run", measure, lent[measure])


def ceilings(contract: AgentContract) -> Iterator[Cap]:
    """Yield the ceilings that a contract sets on each run, and on each call."""
    for measure, amount in run_ceilings(contract.budgets).items():
        yield Cap("run/*", "run", measure, amount)
    own = contract.budgets
    per_call: tuple[tuple[Measure, int | None], ...] = (
        ("input_tokens", own.max_input_tokens_per_call),
        ("output_tokens", own.max_output_tokens_per_call),
        ("spend", own.max_cost_usd_per_call),
    )
    for measure, cap in per_call:
        if cap is not None:
            yield Cap(f"agent/{contract.name}", "invocation", measure, cap)


def run_ceilings(own: ContractBudgets) -> dict[Measure, int]:
    """Return what a contract lets one run use; its age is no amount, and not among these."""
    per_run: tuple[tuple[Measure, int | None], ...] = (
        ("tool_calls", own.max_steps),
        ("input_tokens", own.max_input_tokens),
        ("output_tokens", own.max_output_tokens),
        ("spend", own.max_cost_usd_per_run),
        ("retries", own.max_retries),
        ("objects", own.max_objects),
        ("value", own.max_value_usd),
        ("messages", own.max_messages),
        ("risk", own.max_risk_points),
    )
    return {measure: cap for measure, cap in per_run if cap is not None}


def limits_of(limits: BudgetLimits) -> dict[Measure, int]:
    """Return the caps of a budget document by measure, each in its unit."""
    seconds = limits.wall_seconds
    named: tuple[tuple[Measure, int | None], ...] = (
        ("tool_calls", limits.tool_calls),
        ("input_tokens", limits.input_tokens),
        ("output_tokens", limits.output_tokens),
        ("tokens", limits.tokens),
        ("spend", limits.spend_usd),
        ("retries", limits.retries),
        ("wall_time", None if seconds is None else seconds * SECOND),
        ("objects", limits.objects),
        ("value", limits.value_usd),
        ("messages", limits.messages),
        ("risk", limits.risk_points),
    )
    return {measure: cap for measure, cap in named if cap is not None}
