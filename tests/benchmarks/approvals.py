"""How approvals keep time when 100,000 wait, in a real plane on its own clock.

`python -m tests.benchmarks.approvals [--pending 100000] [--due 2000] [--overdue 10000]
[--decisions 40] [--json FILE]`. The requests are written into the plane's database while it is
down, by the code that opens them. Then it measures: how late timers fire that fall due one after
another; how long timers take that fell due while the plane was down; how long the list of what
waits takes to open; and how long after a person's decision a held MCP call has its result.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.rig.agent import Run
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY, agent_document, upstream_document, world
from watchkeeper.approvals.model import NewRequest
from watchkeeper.approvals.service import open_request
from watchkeeper.core.clock import MICROSECONDS, SystemClock
from watchkeeper.core.digest import canonical, digest
from watchkeeper.oncall.model import EscalationPolicy, Level
from watchkeeper.store.store import Store

AT_ONCE = 200
FAR_SECONDS = 40_000
OPENINGS = 60
DUE_FROM_SECONDS = 30
"""After the plane has started, from when on timers fall due."""
DUE_PER_SECOND = 100


def wanted(number: int, *, escalates_after: int) -> NewRequest:
    """A refund that waits, of one of many runs, and escalates once after some seconds."""
    arguments = {"charge_id": f"ch_{number}", "amount_usd": 300 + number % 500}
    run = f"run_{number % 997:04}"
    return NewRequest(
        decision=f"dec_{number}",
        agent="assistant",
        agent_version=1,
        run=run,
        tool="books.create_refund",
        digest=digest("benchmark", [run, arguments]),
        canonical=canonical(arguments).decode(),
        arguments=arguments,
        asks=f"refund charge ch_{number}, ${arguments['amount_usd']}.00",
        risk="high",
        escalation=EscalationPolicy((Level("finance-ops"), Level("finance-lead", escalates_after))),
        sla_seconds=2 * FAR_SECONDS,
        rule="policy/large-refunds",
        rule_text="refunds over $200 need approval",
        blast_radius="one charge of one customer",
        rollback="charge again with the customer's consent",
        epoch=0,
        object_kind="charge",
        object_id=f"ch_{number}",
    )


async def fill(url: str, start: int, delays: Sequence[int]) -> float:
    """Open a request for each delay until it escalates; return the seconds each took."""
    began = time.perf_counter()
    async with await Store.open(url, SystemClock()) as store:

        async def add(number: int, delay: int) -> None:
            new = wanted(number, escalates_after=delay)
            await store.write(lambda tx: open_request(tx, new))

        numbered = list(enumerate(delays, start))
        for at in range(0, len(numbered), AT_ONCE):
            await asyncio.gather(*(add(*one) for one in numbered[at : at + AT_ONCE]))
    return (time.perf_counter() - began) / max(1, len(delays))


def escalated(plane: Plane) -> list[tuple[int, int]]:
    """When each escalation was due and when it happened, in microseconds."""
    return [(e["body"]["due_at"], e["at"]) for e in plane.events(type="request.escalated")]


def await_late(plane: Plane, number: int) -> None:
    """Wait until so many requests are past their first level."""

    def reached() -> bool:
        return bool(plane.operator.get("/v1/status")["late"] >= number)

    eventually(reached, f"{number} escalated", seconds=400, every=0.3)


def open_list(plane: Plane) -> list[float]:
    """How long the first page of what waits takes, in milliseconds."""
    taken = []
    for _ in range(OPENINGS):
        began = time.perf_counter()
        page = plane.operator.get("/v1/requests", state="pending", limit=100)
        taken.append((time.perf_counter() - began) * 1000)
        assert len(page["rows"]) == 100
    return taken


async def resume(plane: Plane, run: Run, decisions: int) -> list[float]:
    """How long after a person's vote was sent a held call has its result, in milliseconds."""
    taken = []
    async with run.mcp(patience=120) as client:
        for number in range(decisions):
            arguments = {"charge_id": "ch_3", "amount_usd": 500.25 + number}
            call = asyncio.create_task(client.call_tool("books.create_refund", arguments))
            row = await asyncio.to_thread(find, plane, run.id)
            vote = {"verdict": "approve", "digest": row["digest"], "reason": "measured"}
            began = time.perf_counter()
            path = f"/v1/requests/{row['request']}/votes"
            voting = asyncio.create_task(asyncio.to_thread(plane.operator.post, path, vote))
            result = await call
            taken.append((time.perf_counter() - began) * 1000)
            await voting
            assert not result.is_error, result
    return taken


def find(plane: Plane, run: str) -> dict[str, Any]:
    """The request of a run that waits; it falls due before all the others."""

    def look() -> dict[str, Any] | None:
        rows = plane.operator.get("/v1/requests", state="pending", limit=5)["rows"]
        return next((row for row in rows if row["run"] == run), None)

    return eventually(look, "the call is held")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile and the worst."""
    ordered = sorted(values)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * q))] for q in (0.95, 0.99)]
    names = ("p50", "p95", "p99", "worst")
    found = (statistics.median(ordered), *at, ordered[-1])
    return {name: round(value, 2) for name, value in zip(names, found, strict=True)}


def measure(directory: Path, pending: int, due: int, overdue: int, decisions: int) -> Any:
    """Run every measurement, one after another."""
    books = Upstream(directory / "books").start()
    plane = Plane(directory / "plane", clock=None)
    try:
        plane.directory.mkdir()
        plane.start()
        agent = agent_document(hold_seconds=3600)
        plane.apply(*world(upstream=upstream_document(url=books.url), agent=agent),
                    rules__cedar=POLICY)  # fmt: skip
        enrolled = plane.enrol("clerk")
        plane.stop()
        url = f"sqlite:///{plane.state / 'plane.sqlite3'}"
        each = asyncio.run(fill(url, 0, [FAR_SECONDS] * (pending - due - overdue)))
        first = int((due + overdue) * each) + DUE_FROM_SECONDS
        soon = [first + n // DUE_PER_SECOND for n in range(due)]
        asyncio.run(fill(url, 10**6, [1] * overdue))
        asyncio.run(fill(url, 2 * 10**6, soon))
        filled = time.monotonic()
        eventually(lambda: time.monotonic() > filled + 1.1, "what is to be overdue is")
        plane.restart()
        started = plane.events(type="plane.started")[-1]["at"]
        await_late(plane, overdue)
        caught_up = [at for due_at, at in escalated(plane) if due_at < started]
        figures: dict[str, Any] = {
            "opened per second": round(1 / each),
            "overdue": len(caught_up),
            "caught up after start (s)": round((max(caught_up) - started) / MICROSECONDS, 2),
            "list opens (ms)": spread(open_list(plane)),
        }
        run = enrolled.open_run(on_behalf_of="customer/ada")
        taken = asyncio.run(resume(plane, run, decisions))
        figures["decision to result (ms)"] = spread(taken)
        await_late(plane, overdue + due)
        late = [
            (at - due_at) / MICROSECONDS for due_at, at in escalated(plane) if due_at >= started
        ]
        figures["fell due in time"] = len(late)
        figures["late (s)"] = spread(late)
        figures["pending"] = plane.operator.get("/v1/status")["pending"]
        return figures
    finally:
        plane.close()
        books.stop()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pending", type=int, default=100_000)
    parser.add_argument("--due", type=int, default=2_000)
    parser.add_argument("--overdue", type=int, default=10_000)
    parser.add_argument("--decisions", type=int, default=40)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wk-approvals-") as scratch:
        figures = measure(
            Path(scratch), chosen.pending, chosen.due, chosen.overdue, chosen.decisions
        )
    for name, value in figures.items():
        print(f"{name:28} {value}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
