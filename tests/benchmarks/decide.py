"""What a decision costs over HTTP, beside the same server bare and the disk alone, in one run.

`python -m tests.benchmarks.decide [--seconds 4] [--json FILE]`. "POST decoded" also checks a
token and validates the body with the wire's model, which any such server must do. Each decision
checks the token, locks, contract and Cedar policies, reserves on three levels (run, agent, team)
and answers after a durable commit of its event. Ratios hold across machines; absolute figures
do not.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.bare import commit_alone
from tests.benchmarks.load import Result, Sending, Work, run_apart
from tests.rig.plane import Plane
from tests.rig.process import Child, clean_environment
from tests.rig.world import POLICY, agent_document, budget_document, world

MOST_CLIENTS = 64
EXTRA_POLICIES = 8
PACE = 600.0
"""Decisions a second, over all clients, at which latency is measured below saturation."""
ASKED = {"charge_id": "ch_1", "amount_usd": 12.5, "reason": "arrived broken"}


def policies() -> str:
    """Return ten policies: the world's and some that never match but must be looked at."""
    extra = "".join(
        f"""
@id("tool-rule-{n}")
forbid (principal, action == Action::"use_tool", resource)
when {{ resource.risk == "critical" && context.est_tokens > {n}000 }};
"""
        for n in range(1, EXTRA_POLICIES)
    )
    return POLICY + extra


def prepare(plane: Plane) -> list[Sending]:
    """Apply the world and open one run per client; return what each client sends."""
    budgets = [
        budget_document("clerk-hour", "agent/clerk", "hour", tool_calls=10**9, spend_usd=10**6),
        budget_document("team-day", "team/finance-ops", "day", tool_calls=10**9, spend_usd=10**6),
    ]
    plane.apply(*world(*budgets, agent=agent_document()), policies__cedar=policies())
    agent = plane.enrol("clerk")
    body = json.dumps({"kind": "tool", "name": "books.create_refund", "arguments": ASKED})
    return [
        Sending(path="/v1/decide", bodies=[body], token=agent.open_run().token)
        for _ in range(MOST_CLIENTS)
    ]


def measure(seconds: float) -> dict[str, Any]:
    """Run every measurement, one after another, and return the figures."""
    figures: dict[str, Result] = {}
    with tempfile.TemporaryDirectory(prefix="wk-bench-") as scratch:
        directory = Path(scratch)
        figures["commit alone"] = commit_alone(directory, seconds=min(seconds, 3))
        bare = Child.python(
            *("-m", "tests.benchmarks.bare", str(directory / "bare.json")),
            log=directory / "bare.out",
            env=clean_environment(directory),
        )
        plane = Plane(directory / "plane", clock=None).start()
        try:
            port = bare.wait_for_file(directory / "bare.json")["port"]
            sendings = prepare(plane)
            body = sendings[0].bodies[0]
            posts = [Sending(path="/", bodies=[body], token="t" * 47)] * MOST_CLIENTS
            decoded = [Sending(path="/decoded", bodies=[body], token="t" * 47)] * MOST_CLIENTS
            planes_port = urlsplit(plane.url).port or 0
            for clients in (1, MOST_CLIENTS):
                for name, at, what, expect in (
                    ("bare POST", port, posts, ""),
                    ("POST decoded", port, decoded, ""),
                    ("decision", planes_port, sendings, '"verdict":"permit"'),
                ):
                    work = Work("127.0.0.1", at, what[:clients], seconds=seconds, expect=expect)
                    result = figures[f"{name}, {clients} clients"] = run_apart(work)
                    if result.unexpected:
                        raise SystemExit(
                            f"{name}: {result.unexpected} not as expected, e.g. {result.sample}"
                        )
            paced = Work(
                "127.0.0.1",
                planes_port,
                sendings,
                seconds=seconds,
                per_second=PACE,
                expect='"verdict":"permit"',
            )
            figures[f"decision, paced {PACE:.0f}/s"] = run_apart(paced)
        finally:
            bare.kill()
            plane.close()
    return {name: asdict(result) for name, result in figures.items()}


def ratios(figures: dict[str, Any]) -> dict[str, float]:
    """Return what the figures are relative to each other, which is what to compare."""
    found = {}
    for clients in (1, MOST_CLIENTS):
        decision = figures[f"decision, {clients} clients"]["per_second"]
        for name in ("bare POST", "POST decoded"):
            per_second = figures[f"{name}, {clients} clients"]["per_second"]
            found[f"decisions per {name}, {clients} clients"] = round(decision / per_second, 3)
        commits = figures["commit alone"]["per_second"]
        found[f"decisions per commit alone, {clients} clients"] = round(decision / commits, 3)
    return found


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    figures = measure(chosen.seconds)
    found = ratios(figures)
    print(f"{'':24}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}{'worst':>9}")
    for name, result in figures.items():
        result.pop("latencies")
        print(
            f"{name:24}{result['per_second']:>12,.0f}{result['p50']:>9.2f}"
            f"{result['p99']:>9.2f}{result['worst']:>9.1f}"
        )
    for name, ratio in found.items():
        print(f"{name}: {ratio:.0%}")
    if chosen.json:
        chosen.json.write_text(json.dumps({"figures": figures, "ratios": found}, indent=1))


if __name__ == "__main__":
    main()
