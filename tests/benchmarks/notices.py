"""How soon a person is told, and what a storm costs: a real plane, a real web server.

`python -m tests.benchmarks.notices [--singles 40] [--storm 500] [--people 5]`. First single
requests, a minute of the plane's clock apart: from the answer to the agent until the message has
arrived. Then a storm from ten agents, for a role that several people hold: until everything is
settled, with how many messages each had.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.rig.agent import Agent, Run
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.sinks import WebSink, web_sink
from tests.rig.world import POLICY, agent_document, world

AGENTS = 10
PATIENCE_SECONDS = 60.0


def people(count: int) -> list[str]:
    """Return documents of so many approvers with a contact, and their role."""
    names = [f"person-{number}" for number in range(count)]
    held = [{"person": {"name": name, "contacts": [{"channel": "pager"}]}} for name in names]
    role = {"role": {"name": "finance-ops", "members": names}}
    channel = {"channel": {"name": "pager", "url": "env:TELL", "allow_private": True,
                           "most_per_hour": 10_000}}  # fmt: skip
    return [json.dumps(one) for one in (*held, role, channel)]


def ask(run: Run, charge: int) -> str:
    """Have one refund held; return its request."""
    arguments = {"charge_id": f"ch_{charge}", "amount_usd": 300, "reason": "why"}
    return str(run.decide("books.create_refund", arguments)["request"])


def deny(plane: Plane, request: str) -> None:
    """Decide a request, so that nobody is reminded of it."""
    digest = plane.operator.get(f"/v1/requests/{request}")["digest"]
    vote = {"verdict": "reject", "digest": digest, "reason": "measured"}
    plane.operator.post(f"/v1/requests/{request}/votes", vote)


def singles(plane: Plane, agent: Agent, web: WebSink, count: int) -> list[float]:
    """Return the milliseconds that each message took."""
    took = []
    for charge in range(count):
        run, arrived = agent.open_run(), threading.Event()
        web.before = arrived.set
        request = ask(run, charge)
        began = time.perf_counter()
        if not arrived.wait(PATIENCE_SECONDS):
            raise SystemExit("no message arrived")
        took.append((time.perf_counter() - began) * 1000)
        deny(plane, request)
        plane.advance(61)
    return took


def settled(plane: Plane) -> bool:
    """Whether nothing is on its way."""
    states = ("pending", "sending")
    rows: list[dict[str, Any]] = []
    for state in states:
        rows += plane.operator.get("/v1/deliveries", kind="notice", state=state)["rows"]
    return not rows


def _settles(plane: Plane) -> bool:
    try:
        eventually(lambda: settled(plane), seconds=5)
    except AssertionError:
        return False
    return True


def storm(plane: Plane, runs: list[Run], web: WebSink, count: int, people: int) -> dict[str, Any]:
    """Have many held at once, let a minute pass, and wait until all are told."""
    before, began = len(web.bodies), time.perf_counter()
    for charge in range(count):
        ask(runs[charge % len(runs)], 100_000 + charge)
    held = time.perf_counter() - began
    eventually(lambda: len(web.bodies) - before >= people, "each is told of the first")
    at_once = len(web.bodies) - before
    began, minutes = time.perf_counter(), 0
    while minutes == 0 or not _settles(plane):  # what is routed late is told a minute later
        plane.advance(61)
        minutes += 1
    return {
        "held_per_second": round(count / held, 1),
        "messages_at_once": at_once,
        "messages_in_all": len(web.bodies) - before,
        "minutes_of_its_clock": minutes,
        "settled_seconds": round(time.perf_counter() - began, 2),
        "last": web.bodies[-1]["message"].partition("\n")[0],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--singles", type=int, default=40)
    parser.add_argument("--storm", type=int, default=500)
    parser.add_argument("--people", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, web_sink() as web:
        plane = Plane(Path(place), clock="frozen", environ={"TELL": web.url()}).start()
        try:
            agents = [agent_document(f"clerk-{number}") for number in range(AGENTS)]
            plane.apply(*world(*agents), finance__cedar=POLICY)
            plane.apply(*people(1))
            took = sorted(singles(plane, plane.enrol("clerk"), web, chosen.singles))
            print(f"first message, with the library loaded for it: {max(took):.0f} ms")
            print(
                f"{len(took)} singles: p50 {statistics.median(took):.1f} ms, "
                f"p95 {took[int(len(took) * 0.95) - 1]:.1f} ms"
            )
            plane.apply(*people(chosen.people))
            plane.advance(1200)
            runs = [plane.enrol(f"clerk-{number}").open_run() for number in range(AGENTS)]
            print(json.dumps(storm(plane, runs, web, chosen.storm, chosen.people), indent=2))
        finally:
            plane.close()


if __name__ == "__main__":
    main()
