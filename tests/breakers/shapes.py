"""How agents' calls cost and follow each other: recorded shapes, drawn with fixed seeds.

`python -m tests.breakers.shapes` writes the golden traces anew: the same bytes as are there.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"
BASELINE, QUIET, JUMPS, JUMP = 100, 10_000, 60, 25
FACTOR = 10
_MEDIAN_MICROS = 3_000
_GAP = 20.0
"""Seconds between calls, about."""

Draw = Callable[[random.Random, float], list[float]]
"""The next readings, one or several, at so many times what is usual."""


def _cost(sigma: float, *, dear: float = 0.0) -> Draw:
    def draw(chance: random.Random, times: float) -> list[float]:
        cost = _MEDIAN_MICROS * math.exp(chance.gauss(0, sigma)) * times
        return [max(1, round(cost * (15 if chance.random() < dear else 1)))]

    return draw


COSTS: dict[str, Draw] = {
    **{f"cost-{sigma}": _cost(sigma) for sigma in (0.05, 0.25, 0.5, 1.0, 1.3)},
    "cost-mixture": _cost(0.25, dear=0.05),
}
"""Micro-dollars a call: log-normal, and one of 20 calls 15 times as dear."""


def _spread(sigma: float) -> Draw:
    return lambda chance, times: [_GAP * math.exp(chance.gauss(0, sigma)) / times]


def _chance(chance: random.Random, times: float) -> list[float]:
    return [chance.expovariate(1 / _GAP) / times]


def _nights(chance: random.Random, times: float) -> list[float]:
    if times == 1 and chance.random() < 1 / 150:
        return [8 * 3600.0]
    return _chance(chance, times)


def _at_once(most: int) -> Draw:
    def draw(chance: random.Random, times: float) -> list[float]:
        calls = chance.randint(1, most)
        pause = 3 * _GAP * math.exp(chance.gauss(0, 0.5)) / times
        return [pause, *(chance.uniform(0.001, 0.05) for _ in range(calls - 1))]

    return draw


def _turns(chance: random.Random, times: float) -> list[float]:
    """A model call, a tool call, a model call; then somebody thinks."""
    pause = 2 * _GAP * math.exp(chance.gauss(0, 0.8))
    return [one / times for one in (pause, 2 * math.exp(chance.gauss(0, 0.4)),
                                    math.exp(chance.gauss(0, 0.4)))]  # fmt: skip


RATES: dict[str, Draw] = {
    "rate-poisson": _chance,
    **{f"rate-{sigma}": _spread(sigma) for sigma in (0.05, 0.5, 1.0, 1.3)},
    "rate-nights": _nights,
    "rate-turns": _turns,
    "rate-at-once-3": _at_once(3),
    "rate-at-once-5": _at_once(5),
}
"""Seconds between calls."""


@dataclass(frozen=True)
class Trace:
    """One recorded shape: a baseline and calls as usual; then others with a jump by `FACTOR`."""

    baseline: list[float]
    quiet: list[float]
    jumps: list[list[float]]
    """Each a baseline of its own, and what came after the jump."""


def series(draw: Draw, chance: random.Random, times: float = 1) -> Iterator[float]:
    """Yield readings without end."""
    while True:
        yield from draw(chance, times)


def record(name: str, draw: Draw) -> Trace:
    """Draw a trace; the same for the same name."""
    chance = random.Random(name)
    usual = series(draw, chance)

    def take(source: Iterator[float], count: int) -> list[float]:
        return [_rounded(next(source)) for _ in range(count)]

    return Trace(
        take(usual, BASELINE),
        take(usual, QUIET if name in COSTS else QUIET // 2),
        [
            take(series(draw, chance), BASELINE) + take(series(draw, chance, FACTOR), JUMP)
            for _ in range(JUMPS)
        ],
    )


def read(name: str) -> Trace:
    """Read a golden trace."""
    found = json.loads((GOLDEN / f"{name}.json").read_text())
    return Trace(found["baseline"], found["quiet"], found["jumps"])


def write(name: str, draw: Draw) -> None:
    """Write a golden trace."""
    trace = record(name, draw)
    whole = {"baseline": trace.baseline, "quiet": trace.quiet, "jumps": trace.jumps}
    text = json.dumps(whole, separators=(",", ":")).replace("]", "]\n", 2)
    (GOLDEN / f"{name}.json").write_text(text + "\n")


def _rounded(reading: float) -> float:
    return reading if isinstance(reading, int) else round(reading, 3)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, draw in {**COSTS, **RATES}.items():
        write(name, draw)
