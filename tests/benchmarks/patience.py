"""One execution whatever the client's patience, in real time with the official client.

`python -m tests.benchmarks.patience [--patience 4 60 300] [--json FILE]`. For each patience and
protocol era one client asks for a refund that a person must approve, gives up when its patience
has run out and asks again, until it has its result. The person decides after one and a half
times the patience, so that each client gives up at least once. Takes as long as the longest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY, agent_document, upstream_document, world

Era = Literal["auto", "legacy"]
ERAS: tuple[Era, ...] = ("auto", "legacy")
DECIDED_AFTER = 1.5
"""Of the patience: when the person decides."""


@dataclass
class Told:
    """What came of one client."""

    patience_seconds: float
    era: str
    decided_after_seconds: float
    attempts: int
    gave_up: int
    seconds: float
    executions: int
    succeeded: bool


async def insist(run: Run, era: Era, patience: float, arguments: dict[str, Any]) -> tuple[int, Any]:
    """Ask again and again, each time as long as the patience lasts; return tries and result."""
    tries = 0
    while True:
        tries += 1
        try:
            async with run.mcp(mode=era, patience=patience) as client:
                async with asyncio.timeout(patience + 5):
                    result = await client.call_tool("books.create_refund", arguments)
            if "PENDING" not in str(result.content):
                return tries, result
        except Exception as error:
            print(f"  {era}, {patience:g} s: gave up ({_name(error)})", flush=True)


def _name(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:100]


async def decide_later(plane: Plane, amount: float, seconds: float) -> None:
    """Approve the request over an amount so many seconds from now."""
    due = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds, due.set_result, None)
    await due

    def approve() -> None:
        rows = plane.operator.get("/v1/requests", state="pending", limit=200)["rows"]
        row = next(r for r in rows if r["amount_micros"] == round(amount * 1_000_000))
        detail = plane.operator.get(f"/v1/requests/{row['request']}")
        vote = {"verdict": "approve", "digest": detail["digest"], "reason": "measured"}
        plane.operator.post(f"/v1/requests/{row['request']}/votes", vote)

    await asyncio.to_thread(approve)


async def measure(
    plane: Plane, books: Upstream, run: Run, era: Era, patience: float, amount: float
) -> Told:
    """Let one client ask and one person decide."""
    arguments = {"charge_id": "ch_3", "amount_usd": amount}
    began = time.monotonic()
    later = patience * DECIDED_AFTER
    person = asyncio.create_task(decide_later(plane, amount, later))
    tries, result = await insist(run, era, patience, arguments)
    await person
    return Told(
        patience_seconds=patience,
        era="modern" if era == "auto" else era,
        decided_after_seconds=later,
        attempts=tries,
        gave_up=tries - 1,
        seconds=round(time.monotonic() - began, 1),
        executions=books.executions("create_refund").count(arguments),
        succeeded=not result.is_error,
    )


async def measure_all(patiences: list[float]) -> list[Told]:
    """Let every client ask at once, of one plane and one upstream."""
    with tempfile.TemporaryDirectory(prefix="wk-patience-") as scratch:
        books = Upstream(Path(scratch) / "books").start()
        plane = Plane(Path(scratch) / "plane", clock=None)
        try:
            plane.directory.mkdir()
            plane.start()
            agent = agent_document(hold_seconds=3600)
            documents = world(upstream=upstream_document(url=books.url), agent=agent)
            plane.apply(*documents, rules__cedar=POLICY)
            enrolled = plane.enrol("clerk")
            runs = [
                (era, patience, enrolled.open_run(on_behalf_of="customer/ada"))
                for patience in patiences
                for era in ERAS
            ]
            return await asyncio.gather(
                *(
                    measure(plane, books, run, era, patience, 300 + number)
                    for number, (era, patience, run) in enumerate(runs)
                )
            )
        finally:
            plane.close()
            books.stop()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patience", type=float, nargs="+", default=[4.0, 60.0, 300.0])
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    found = asyncio.run(measure_all(chosen.patience))
    print(f"{'patience':>9} {'era':>7} {'decided after':>14} {'attempts':>9} {'gave up':>8} "
          f"{'took':>8} {'executions':>11}  result")  # fmt: skip
    for one in found:
        print(f"{one.patience_seconds:>7g} s {one.era:>7} {one.decided_after_seconds:>12g} s "
              f"{one.attempts:>9} {one.gave_up:>8} {one.seconds:>6} s {one.executions:>11}  "
              f"{'the refund' if one.succeeded else 'an error'}")  # fmt: skip
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(one) for one in found], indent=1))
    return 0 if all(one.executions == 1 and one.succeeded for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
