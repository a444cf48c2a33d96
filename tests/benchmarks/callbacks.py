"""How long after a decision its callback arrives, and how fast a backlog is told.

`python -m tests.benchmarks.callbacks [--decisions 100] [--backlog 2000] [--json FILE]`. A real
plane with a real receiver on this machine. First one decision after another; then the outbox is
filled while the plane is down, half of it for a receiver that answers nothing, and it starts.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.receiver import Receiver
from tests.rig.world import POLICY, agent_document, world
from watchkeeper.core.clock import SystemClock
from watchkeeper.outbox.model import NewDelivery
from watchkeeper.outbox.service import enqueue
from watchkeeper.store.store import Store

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
AT_ONCE = 200


def hook(name: str, url: str) -> str:
    """A webhook with the shared secret."""
    return json.dumps({"webhook": {"name": name, "url": url, "secret": "env:HOOK_SECRET"}})


def decide(plane: Plane, receiver: Receiver, decisions: int) -> list[float]:
    """How long after each vote was answered its callback was there, in milliseconds."""
    run, taken = plane.enrol("clerk").open_run(), []
    for number in range(decisions):
        asked = {"charge_id": "ch_1", "amount_usd": 300 + number}
        request = run.decide("books.create_refund", asked, callback="quick")["request"]
        digest = plane.operator.get(f"/v1/requests/{request}")["digest"]
        vote = {"verdict": "reject", "digest": digest, "reason": "measured"}
        count = len(receiver.received)
        began = time.perf_counter()
        plane.operator.post(f"/v1/requests/{request}/votes", vote)
        eventually(lambda c=count: len(receiver.received) > c, "the callback", every=0.001)  # type: ignore[misc]
        taken.append((time.perf_counter() - began) * 1000)
    return taken


async def fill(url: str, backlog: int) -> None:
    """Put callbacks in the outbox: every other one for the receiver that answers nothing."""
    async with await Store.open(url, SystemClock()) as store:

        async def add(number: int) -> None:
            target = "mute" if number % 2 else "quick"
            payload = json.dumps({"type": "request.denied", "data": {"number": number}})
            new = NewDelivery(kind="webhook", target=target, payload=payload)
            await store.write(lambda tx: enqueue(tx, new))

        for start in range(0, backlog, AT_ONCE):
            await asyncio.gather(*(add(n) for n in range(start, start + AT_ONCE)))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and the worst."""
    ordered = sorted(values)
    late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    found = {"p50": statistics.median(ordered), "p95": late, "worst": ordered[-1]}
    return {name: round(value, 1) for name, value in found.items()}


def measure(directory: Path, decisions: int, backlog: int) -> dict[str, Any]:
    """Run both measurements, one after the other."""
    plane = Plane(directory / "plane", clock=None, environ={"HOOK_SECRET": SECRET})
    plane.directory.mkdir()
    with Receiver() as quick, Receiver() as mute:
        mute.hold()
        try:
            plane.start()
            agent = agent_document().replace(
                "hold_seconds: 0}", "hold_seconds: 0, callbacks: [quick]}"
            )
            hooks = (hook("quick", quick.url), hook("mute", mute.url))
            plane.apply(*world(agent=agent), *hooks, rules__cedar=POLICY)
            figures: dict[str, Any] = {
                "vote to callback (ms)": spread(decide(plane, quick, decisions))
            }
            plane.stop()
            asyncio.run(fill(f"sqlite:///{plane.state / 'plane.sqlite3'}", backlog))
            quick.received.clear()
            plane.restart()
            began = time.perf_counter()
            eventually(
                lambda: len(quick.received) == backlog // 2, "the backlog", seconds=300, every=0.05
            )
            seconds = time.perf_counter() - began
            figures["backlog told beside a mute receiver"] = backlog // 2
            figures["seconds"] = round(seconds, 2)
            figures["per second"] = round(backlog / 2 / seconds)
            return figures
        finally:
            plane.close()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=100)
    parser.add_argument("--backlog", type=int, default=2_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(Path(directory), options.decisions, options.backlog)
    text = json.dumps(figures, indent=2)
    sys.stdout.write(text + "\n")
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
