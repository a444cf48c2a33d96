"""Has every budget over it room for what it may cost?"""

from __future__ import annotations

from collections.abc import Container, Iterator

from watchkeeper.budgets.model import MEASURES, Cap
from watchkeeper.core.digest import parse
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.model import Action, Progress, Ruling, deny
from watchkeeper.wire.budgets import Measure
from watchkeeper.wire.decisions import Usage


def budget_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """Every budget over it has room; what it may cost is held in all of them, or in none."""
    amounts = (
        {"tool_calls": 1}
        if action.kind == "tool"
        else amounts_of(progress.estimate or action.estimate)
    )
    run = facts.run
    caps = [
        *caps_over(facts.catalogue, run.agent, run.run, amounts),
        *lent_to(run.run, run.grants, amounts),
    ]
    refused = facts.reserve(caps, amounts)
    if refused is None:
        return None
    return deny(f"budget/{refused.budget}", refused.sentence, refused.remedy)


def lent_to(run: str, grants: str | None, measures: Container[str] = MEASURES) -> Iterator[Cap]:
    """Yield the caps of a child run: what its parent lent it of some measures."""
    if grants is None:
        return
    lent = parse(grants)
    for measure in MEASURES:
        if measure in lent and measure in measures:
            yield Cap(f"run/{run}/{measure}", f"run/{run}", "run", measure, lent[measure])


def amounts_of(usage: Usage) -> dict[str, int]:
    """Return usage by measure, as budgets count it."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "tokens": usage.input_tokens + usage.output_tokens,
        "spend": usage.cost_micros,
    }


def caps_over(
    catalogue: Catalogue, agent: str, run: str, measures: Container[str] = MEASURES
) -> Iterator[Cap]:
    """Yield every cap of some measures over an agent's run: its contract's, then the budgets'."""
    governed = catalogue.agents.get(agent)
    if governed is None:
        return
    ceilings = governed.contract.budgets
    per_run: tuple[tuple[Measure, int | None], ...] = (
        ("tool_calls", ceilings.max_steps),
        ("input_tokens", ceilings.max_input_tokens),
        ("output_tokens", ceilings.max_output_tokens),
        ("spend", ceilings.max_cost_usd_per_run),
    )
    for measure, cap in per_run:
        if cap is not None and measure in measures:
            yield Cap(f"run/{run}/{measure}", f"run/{run}", "run", measure, cap)
    scopes = {"all", f"team/{governed.contract.owner}", f"agent/{agent}"}
    for budget in catalogue.budgets:
        if budget.scope in scopes:
            limits: tuple[tuple[Measure, int | None], ...] = (
                ("tool_calls", budget.limits.tool_calls),
                ("input_tokens", budget.limits.input_tokens),
                ("output_tokens", budget.limits.output_tokens),
                ("tokens", budget.limits.tokens),
                ("spend", budget.limits.spend_usd),
            )
            for measure, cap in limits:
                if cap is not None and measure in measures:
                    yield Cap(
                        f"{budget.scope}/{budget.period}/{measure}",
                        budget.scope,
                        budget.period,
                        measure,
                        cap,
                    )
