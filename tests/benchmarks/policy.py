"""What asking the policies costs with 10, 100 and 1,000 of them, in one run.

`python -m tests.benchmarks.policy [--seconds 1] [--json FILE]`. Ten policies can matter for the
action; the others are on other namespaces, tools and agents, as a fleet's are. "everything":
Cedar over all of them at once; "slice": only those whose scope can match; "memo": asked before.
A "decision" is the whole path (identity, locks, contract, arguments, policies, approval, budget)
without a store. Ratios hold across machines; absolute figures do not.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cedarpy

from tests.decide.still import WORLD, StillFacts, catalogue, refund
from watchkeeper.decide.path import decide
from watchkeeper.policy.engine import PolicyEngine, request_of
from watchkeeper.policy.model import Question

SIZES = (10, 100, 1000)
ASKED = Question(
    "refund-assistant", "use_tool", "Tool", "stripe.create_refund", "production", 20_000_000
)


def policies(count: int) -> str:
    """Return so many policies, ten of which can matter for a refund."""
    near = [
        '@id("contracts-permit") permit (principal, action, resource);',
        '@id("refund-over-200") @obligation("require_approval") @approver_role("finance-ops") '
        'forbid (principal, action == Action::"use_tool", '
        'resource == Tool::"stripe.create_refund") '
        "when { context.amount_micros > 200000000 } "
        'unless { context.approvals.contains("finance-ops") };',
        *(
            f'@id("near-{n}") forbid (principal, action == Action::"use_tool", resource) '
            f'when {{ resource.risk == "critical" && context.amount_micros > {n}000000000 }};'
            for n in range(1, 9)
        ),
    ]
    scopes = (
        'principal in Namespace::"ns{n}", action == Action::"use_tool", resource',
        'principal, action == Action::"use_tool", resource == Tool::"tool-{n}"',
        'principal == Agent::"agent-{n}", action, resource',
        'principal in Team::"team-{n}", action == Action::"call_model", resource',
    )
    far = [
        f'@id("far-{n}") forbid ({scopes[n % 4].format(n=n)}) '
        f'when {{ context.environment == "production" }} '
        f'unless {{ resource.tags.contains("tag-{n}") }};'
        for n in range(count - len(near))
    ]
    return "\n".join(near + far)


def timed(work: Callable[[], object], seconds: float) -> float:
    """Return microseconds per call: the best of five stretches."""
    work()
    best = float("inf")
    for _ in range(5):
        begin, done = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds / 5:
            work()
            done += 1
        best = min(best, (time.perf_counter() - begin) / done)
    return best * 1e6


def everything(text: str, engine: PolicyEngine) -> Callable[[], object]:
    """Return what asks Cedar about all policies at once."""
    whole = cedarpy.PolicySet.from_str(text)
    found = engine.slice_of(ASKED)
    assert found is not None
    request = request_of(ASKED, found, frozenset())
    request["context"] |= {"environment": "production", "approvals": []}
    return lambda: cedarpy.is_authorized(request, whole, engine.population.entities)


def measure(seconds: float) -> dict[str, Any]:
    """Measure every size and return microseconds, with the ratio of the largest to the least."""
    rows: dict[str, dict[int, float]] = {}
    action = refund(20)

    def put(name: str, size: int, work: Callable[[], object]) -> None:
        rows.setdefault(name, {})[size] = round(timed(work, seconds), 1)

    for size in SIZES:
        text = policies(size)
        begin = time.perf_counter()
        world = catalogue(WORLD, text)
        rows.setdefault("apply (ms)", {})[size] = round((time.perf_counter() - begin) * 1e3, 1)
        engine = world.engine
        begin = time.perf_counter()
        found = engine.slice_of(ASKED)
        rows.setdefault("first slice (ms)", {})[size] = round(
            (time.perf_counter() - begin) * 1e3, 2
        )
        assert found is not None
        rows.setdefault("policies in the slice", {})[size] = len(found.rules)
        put("everything", size, everything(text, engine))

        def forgetful(engine: PolicyEngine = engine) -> object:
            engine.forget()
            return engine.ask(ASKED)

        put("slice, no memo", size, forgetful)
        put("slice and memo", size, lambda engine=engine: engine.ask(ASKED))  # type: ignore[misc]
        facts = StillFacts(world)

        def whole(facts: StillFacts = facts, engine: PolicyEngine = engine) -> object:
            facts.asked.clear()
            return decide(action, facts)

        def whole_forgetful(
            whole: Callable[[], object] = whole, engine: PolicyEngine = engine
        ) -> object:
            engine.forget()
            return whole()

        put("decision, no memo", size, whole_forgetful)
        put("decision, memo", size, whole)
    ratios = {name: round(row[SIZES[-1]] / row[SIZES[0]], 2) for name, row in rows.items()}
    return {"figures": rows, "ratio 1000/10": ratios}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options.seconds)
    print(f"{'µs, or as said':<26}" + "".join(f"{size:>10}" for size in SIZES) + f"{'ratio':>8}")
    for name, row in found["figures"].items():
        ratio = found["ratio 1000/10"][name]
        print(f"{name:<26}" + "".join(f"{row[size]:>10}" for size in SIZES) + f"{ratio:>8}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
