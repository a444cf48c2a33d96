"""What the model calls of a version cost: a sudden rise of it."""

from __future__ import annotations

import math

import msgspec

from watchkeeper.breakers.cusum import NO_RISE, Rise, Usual, add, learn

_ALARM = 5.0


class Costs(msgspec.Struct, frozen=True, omit_defaults=True):
    """The baseline of one version, being learned or frozen, and the rise since."""

    learned: tuple[float, ...] = ()
    """Logarithms of micro-dollars; empty once the baseline is frozen."""
    usual: Usual | None = None
    rise: Rise = NO_RISE
    calls: int = 0
    """How many are in the baseline."""

    @property
    def median_micros(self) -> int | None:
        """What a call costs by the baseline."""
        return round(math.exp(self.usual.centre)) if self.usual else None


def step(costs: Costs, cost_micros: int, *, factor: float, baseline_calls: int) -> Costs:
    """Count in what a model call cost. One that cost nothing (kept answers, free models) says
    nothing of what calls cost, and is passed over.
    """
    if cost_micros <= 0:
        return costs
    reading = math.log(cost_micros)
    if costs.usual is not None:
        return msgspec.structs.replace(costs, rise=add(costs.rise, costs.usual, reading, factor))
    learned = (*costs.learned, round(reading, 4))
    if len(learned) < baseline_calls:
        return Costs(learned, calls=len(learned))
    return Costs(usual=learn(learned), calls=len(learned))


def is_high(costs: Costs, cost_micros: int, *, factor: float) -> bool:
    """Tell whether what one call cost is nearer to the rise looked for than to what is usual."""
    if costs.usual is None or cost_micros <= 0:
        return False
    return math.log(cost_micros) - costs.usual.centre > math.log(factor) / 2


def has_risen(costs: Costs) -> bool:
    """Tell whether calls cost more than they did."""
    return costs.rise.sum > _ALARM


def settle(costs: Costs) -> Costs:
    """Forget the rise; the baseline stays as it is."""
    return msgspec.structs.replace(costs, rise=NO_RISE)
