"""In which order targets that qualify are tried, and why in this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from watchkeeper.core.money import dollars
from watchkeeper.models.statistics import Standing
from watchkeeper.models.targets import Target, name_of
from watchkeeper.wire.models import Strategy

T = TypeVar("T", bound=Target)
Standings = Callable[[str, str], Standing]
"""How a provider's model does, as the calls of the last minutes show."""


def in_order(
    targets: Sequence[T],
    cost: Callable[[T], int | None],
    strategy: Strategy,
    standings: Standings,
    objective_ms: int | None,
) -> tuple[tuple[T, ...], str]:
    """Return targets in order, and why in words: what is down comes last, and what misses the
    objective after what meets it. What was not measured lately meets it.
    """
    if len(targets) == 1:
        return (targets[0],), ""
    seen = {id(one): standings(one.provider.name, one.model.name) for one in targets}

    def place(target: T) -> tuple[bool, bool, float]:
        stands = seen[id(target)]
        p95 = stands.latency_p95
        slow = objective_ms is not None and p95 is not None and p95 > objective_ms
        match strategy:
            case "first":
                return stands.down, False, 0
            case "fastest":
                # what was not measured comes first, else it never would be
                return stands.down, slow, -1 if p95 is None else p95
            case "cheapest":
                price = cost(target)
                return stands.down, slow, float("inf") if price is None else price

    ordered = tuple(sorted(targets, key=place))
    words = _why(ordered, cost(ordered[0]), seen[id(ordered[0])], strategy, objective_ms)
    down = [name_of(one) for one in ordered if seen[id(one)].down]
    if down:
        words = "; ".join(filter(None, (words, f"not well now: {', '.join(down)}")))
    return ordered, words


def _why(
    ordered: Sequence[Target],
    cost: int | None,
    stands: Standing,
    strategy: Strategy,
    objective_ms: int | None,
) -> str:
    name, count = name_of(ordered[0]), len(ordered)
    p95 = stands.latency_p95
    time = "not measured lately" if p95 is None else f"p95 {p95:,} ms"
    match strategy:
        case "first":
            return ""
        case "fastest":
            return f"{name} is the fastest of {count}: {time}"
        case "cheapest":
            price = "its price is unknown" if cost is None else f"at most {dollars(cost)}"
            within = f", {time}" if objective_ms is not None else ""
            return f"{name} is the cheapest of {count}: {price}{within}"
