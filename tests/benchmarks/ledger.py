"""What holding and settling costs, in microseconds: reserve + settle within one unit of work.

`python -m tests.benchmarks.ledger [--rounds 400] [--url postgresql://…] [--json FILE]`. "model"
asks tokens and spend, "tool" a call; over 1, 3, 4 and 8 balances. Without a URL: SQLite in a
directory of its own. Commits are left out (a unit holds many). Ratios hold across machines;
absolute figures do not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.budgets.ground import cap
from watchkeeper.budgets import service
from watchkeeper.budgets.model import Cap, Held
from watchkeeper.core.clock import SystemClock
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

ASKED: dict[Any, int] = {"input_tokens": 2000, "output_tokens": 500, "tokens": 2500, "spend": 900}
USED: dict[Any, int] = {"input_tokens": 700, "output_tokens": 90, "tokens": 790, "spend": 300}
PLACES: tuple[tuple[str, Any], ...] = (
    ("run/run_1", "run"),
    ("agent/bot", "hour"),
    ("team/ops", "day"),
    ("all", "month"),
    ("agent/bot", "day"),
    ("team/ops", "month"),
    ("all", "day"),
    ("all", "hour"),
)


def caps(balances: int, measures: Sequence[str]) -> list[Cap]:
    """Caps on some measures of so many balances, never reached."""
    return [cap(s, p, measure, 10**14) for s, p in PLACES[:balances] for measure in measures]


def pairs(tx: Transaction, start: int, rounds: int, over: list[Cap], kind: str) -> float:
    """Reserve and settle so often; return the microseconds that a pair took."""
    tx.silent("a benchmark")
    asked: dict[Any, int] = ASKED if kind == "model" else {"tool_calls": 1}
    used: dict[Any, int] = USED if kind == "model" else {}
    began = time.perf_counter()
    for n in range(start, start + rounds):
        name = f"dec_{n:09}"
        answer = service.reserve(
            tx,
            decision=name,
            agent="bot",
            run="run_1",
            caps=over,
            amounts=asked,
            expires_at=tx.now + 10**9,
            now=tx.now,
        )
        assert isinstance(answer, Held)
        service.settle(tx, name, used, "succeeded")
    return (time.perf_counter() - began) / rounds * 1e6


async def measure(url: str, rounds: int) -> dict[str, float]:
    """Return the best microseconds of nine for each case."""
    figures: dict[str, float] = {}
    async with await Store.open(url, SystemClock()) as store:
        start = 0
        for kind in ("model", "tool"):
            measures = ("spend", "tokens") if kind == "model" else ("tool_calls",)
            for count in (1, 3, 4, 8):
                over = caps(count, measures)
                taken = []
                for _ in range(9):

                    def unit(
                        tx: Transaction, at: int = start, over: list[Cap] = over, kind: str = kind
                    ) -> float:
                        return pairs(tx, at, rounds, over, kind)

                    taken.append(await store.write(unit))
                    start += rounds
                figures[f"{kind}, {count} balances"] = round(min(taken), 1)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--url")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wk-ledger-") as scratch:
        url = given.url or f"sqlite:///{scratch}/plane.sqlite3"
        figures = asyncio.run(measure(url, given.rounds))
    for name, micros in figures.items():
        print(f"{name:24} {micros:8.1f} µs")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
