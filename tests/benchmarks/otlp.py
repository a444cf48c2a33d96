"""What the receiver of agents' telemetry sustains, and what decisions pay for it meanwhile.

`python -m tests.benchmarks.otlp [--seconds 4] [--rounds 3] [--json FILE]`. Exporters post batches
of 512 spans (ten attributes each, gzip) as fast as answers come, first alone, then beside
decisions that are paced below saturation; decisions are measured without and with telemetry in
turn, in the same run. Ratios hold across machines; absolute figures do not.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.benchmarks.decide import prepare
from tests.benchmarks.load import Result, Sending, Work, run_apart
from tests.rig.plane import Plane
from tests.telemetry.said import PROTOBUF, request, span

SPANS = 512
EXPORTERS = 4
PACE = 200.0
"""Decisions a second."""
CLIENTS = 8


def batch(number: int, at: int) -> bytes:
    """Return a batch of spans, in traces of sixteen; one in sixteen is a model call."""
    spans = [
        span(
            "chat small-fast" if place % 16 == 0 else "step",
            place + 1,
            at,
            trace=f"{(number << 32) + place // 16 + 1:032x}",
            parent=None if place % 16 == 0 else place,
            gen_ai__operation__name="chat" if place % 16 == 0 else "plan",
            gen_ai__request__model="small-fast",
            gen_ai__response__model="small-1",
            gen_ai__usage__input_tokens=1000 + place,
            gen_ai__usage__output_tokens=place,
            gen_ai__agent__name="clerk",
            gen_ai__conversation__id="thread-7",
            server__address="models.example.org",
            input__value="Please look up the charge and tell the customer when it arrives.",
            output__value="The charge was refunded and arrives within five days.",
        )
        for place in range(SPANS)
    ]
    return gzip.compress(request(*spans, service__name="bench").SerializeToString(), 1)


class Exporters:
    """Post batches until told to stop; each batch is of spans that were not sent before."""

    def __init__(self, plane: Plane, token: str) -> None:
        self._url, self._stop = f"{plane.url}/v1/traces", threading.Event()
        self._token = token
        self.taken = self.told_to_wait = 0
        self._counting, self._number = threading.Lock(), 0

    def run(self, bodies: list[bytes], seconds: float) -> float:
        """Return the spans a second that were taken."""
        waiting = iter(bodies)
        began = time.perf_counter()
        threads = [
            threading.Thread(target=self._post, args=(waiting, began + seconds))
            for _ in range(EXPORTERS)
        ]
        before = self.taken
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (self.taken - before) * SPANS / (time.perf_counter() - began)

    def _post(self, waiting: Any, until: float) -> None:
        headers = {
            "authorization": f"Bearer {self._token}",
            "content-type": PROTOBUF,
            "content-encoding": "gzip",
        }
        with httpx.Client(timeout=60, headers=headers) as http:
            while time.perf_counter() < until:
                with self._counting:
                    body = next(waiting, None)
                if body is None:
                    return
                status = http.post(self._url, content=body).status_code
                with self._counting:
                    self.taken += status == 200
                    self.told_to_wait += status == 429


def busy_seconds(plane: Plane) -> float:
    """Return how long the plane's process has had a processor."""
    fields = Path(f"/proc/{plane.described()['pid']}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def decisions(plane: Plane, sendings: list[Sending], seconds: float) -> Result:
    """Return how decisions do, at their pace."""
    place = urlsplit(plane.url)
    return run_apart(
        Work(
            str(place.hostname), int(place.port or 0), sendings[:CLIENTS],
            seconds=seconds, per_second=PACE, expect='"permit"',
        )
    )  # fmt: skip


def measure(seconds: float, rounds: int) -> dict[str, Any]:
    """Take both in turn."""
    alone: list[float] = []
    beside: list[float] = []
    costs: list[float] = []
    without: list[Result] = []
    meanwhile: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="wk-bench-") as scratch:
        plane = Plane(Path(scratch), clock=None).start()
        try:
            sendings = prepare(plane)
            exporters = Exporters(plane, plane.enrol("clerk").credential)
            at, number = plane.operator.get("/v1/status")["now"], 0
            for _ in range(rounds):
                some = [batch(number + n, at) for n in range(int(seconds * 24) + 10)]
                more = [batch(number + len(some) + n, at) for n in range(int(seconds * 12) + 24)]
                number += len(some) + len(more)
                without.append(decisions(plane, sendings, seconds))
                # by then the receiver knows that there are no decisions
                exporters.run(some[:10], 1.0)
                before, taken = busy_seconds(plane), exporters.taken
                alone.append(exporters.run(some[10:], seconds))
                used = busy_seconds(plane) - before
                costs.append(used * 1e6 / max(1, (exporters.taken - taken) * SPANS))
                flood: list[float] = []
                flooding = threading.Thread(
                    target=lambda more=more, flood=flood: flood.append(
                        exporters.run(more, seconds + 2)
                    )
                )
                flooding.start()
                meanwhile.append(decisions(plane, sendings, seconds))
                flooding.join()
                beside += flood
            told_to_wait = exporters.told_to_wait
        finally:
            plane.close()
    middle = statistics.median
    return {
        "spans_per_second_alone": middle(alone),
        "plane_cpu_us_per_span_alone": middle(costs),
        "spans_per_second_beside_decisions": middle(beside),
        "told_to_wait": told_to_wait,
        "decision_p50_ms": middle(one.p50 for one in without),
        "decision_p50_ms_meanwhile": middle(one.p50 for one in meanwhile),
        "decision_p50_ratio": middle(
            b.p50 / a.p50 for a, b in zip(without, meanwhile, strict=True)
        ),
        "decision_p99_ms": middle(one.p99 for one in without),
        "decision_p99_ms_meanwhile": middle(one.p99 for one in meanwhile),
        "decisions_per_second_meanwhile": middle(one.per_second for one in meanwhile),
        "unexpected": sum(one.unexpected for one in [*without, *meanwhile]),
        "rounds": rounds,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    figures = measure(asked.seconds, asked.rounds)
    for name, value in figures.items():
        print(f"{name:36} {value:12,.2f}")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
