"""What the receiver of agents' telemetry sustains, and what decisions pay for it meanwhile.

`python -m tests.benchmarks.otlp [--seconds 4] [--rounds 3] [--rates 1000,5000,10000] [--json F]`.
Exporters post batches of 512 spans (ten attributes each, gzip): first as fast as answers come,
then at fixed rates beside decisions that are paced below saturation. Decisions are measured without
and with telemetry in turn, in the same run. Beside it what parsing the same spans alone costs.
Ratios hold across machines; absolute figures do not.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.benchmarks.decide import prepare
from tests.benchmarks.load import Result, Sending, Work, run_apart
from tests.rig.plane import Plane
from tests.telemetry.said import PROTOBUF, request, span

SPANS = 512
EXPORTERS = 4
PACE = 200.0
"""Decisions a second."""
CLIENTS = 8
_batches = itertools.count()


def batch(at: int) -> bytes:
    """Return a batch of spans, in traces of sixteen; one in sixteen is a model call.

    They begin one after the other, as those of agents do.
    """
    at += next(_batches) * SPANS
    traces = [f"{random.getrandbits(128):032x}" for _ in range(SPANS // 16)]
    first = random.getrandbits(48) << 10
    spans = [
        span(
            "chat small-fast" if place % 16 == 0 else "step",
            first + place + 1,
            at + place,
            trace=traces[place // 16],
            parent=None if place % 16 == 0 else first + place,
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


def parse_us(bodies: list[bytes]) -> float:
    """Return what unpacking and parsing cost by themselves, in microseconds of CPU a span."""
    began = time.process_time()
    for body in bodies:
        ExportTraceServiceRequest.FromString(gzip.decompress(body))
    return (time.process_time() - began) * 1e6 / (len(bodies) * SPANS)


class Exporters:
    """Post batches until they are out or the time is; each is of spans that were not sent before.

    Of `per_second` spans: paced; 0 sends as fast as answers come.
    """

    def __init__(self, plane: Plane, token: str) -> None:
        self._url = f"{plane.url}/v1/traces"
        self._token = token
        self.taken = self.told_to_wait = 0
        self._counting = threading.Lock()
        self._ended = threading.Event()

    def run(self, bodies: list[bytes], seconds: float, per_second: float = 0) -> float:
        """Return the spans a second that were taken."""
        waiting = iter(enumerate(bodies))
        began = time.perf_counter()
        before = self.taken
        threads = [
            threading.Thread(target=self._post, args=(waiting, began, seconds, per_second))
            for _ in range(EXPORTERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (self.taken - before) * SPANS / (time.perf_counter() - began)

    def _post(self, waiting: Any, began: float, seconds: float, per_second: float) -> None:
        headers = {
            "authorization": f"Bearer {self._token}",
            "content-type": PROTOBUF,
            "content-encoding": "gzip",
        }
        with httpx.Client(timeout=60, headers=headers) as http:
            while time.perf_counter() < began + seconds:
                with self._counting:
                    number, body = next(waiting, (0, None))
                if body is None:
                    return
                due = began + number * SPANS / per_second if per_second else 0.0
                self._ended.wait(max(0.0, due - time.perf_counter()))
                status = http.post(self._url, content=body).status_code
                with self._counting:
                    self.taken += status == 200
                    self.told_to_wait += status in (429, 503)


def busy_seconds(plane: Plane) -> tuple[float, float]:
    """Return how long the plane's process has had a processor, and the one that reads for it."""
    own = int(plane.described()["pid"])
    children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    return _busy(own), sum(_busy(int(child)) for child in children)


def _busy(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
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


def measure(seconds: float, rounds: int, rates: list[float]) -> dict[str, Any]:
    """Take all in turn."""
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    with tempfile.TemporaryDirectory(prefix="wk-bench-") as scratch:
        plane = Plane(Path(scratch), clock=None).start()
        try:
            sendings = prepare(plane)
            exporters = Exporters(plane, plane.enrol("clerk").credential)
            at = plane.operator.get("/v1/status")["now"]
            exporters.run([batch(at)], 1.0)  # begins what reads
            for _ in range(rounds):
                some = [batch(at) for _ in range(int(seconds * 60) + 10)]
                note("parse_us_per_span", parse_us(some[:20]))
                before, taken = busy_seconds(plane), exporters.taken
                note("alone_spans_per_second", exporters.run(some, seconds))
                spans = max(1, (exporters.taken - taken) * SPANS)
                for who, was, now in zip(
                    ("plane", "reader"), before, busy_seconds(plane), strict=True
                ):
                    note(f"alone_{who}_cpu_us_per_span", (now - was) * 1e6 / spans)
                for rate in rates:
                    some = [batch(at) for _ in range(int((seconds + 2) * rate / SPANS) + 1)]
                    without = decisions(plane, sendings, seconds)
                    reached: list[float] = []
                    sent = f"at_{rate:.0f}"
                    flooding = threading.Thread(
                        target=lambda some=some, rate=rate, reached=reached: reached.append(
                            exporters.run(some, seconds + 2, rate)
                        )
                    )
                    flooding.start()
                    beside = decisions(plane, sendings, seconds)
                    flooding.join()
                    note(f"{sent}_spans_per_second", reached[0])
                    for name in ("p50", "p99", "per_second", "unexpected"):
                        note(f"{sent}_decision_{name}_without", getattr(without, name))
                        note(f"{sent}_decision_{name}", getattr(beside, name))
                    note(f"{sent}_decision_p50_ratio", beside.p50 / without.p50)
                    note(f"{sent}_decision_p99_ratio", beside.p99 / without.p99)
            found["told_to_wait"] = [exporters.told_to_wait]
        finally:
            plane.close()
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", default="1000,5000,10000", help="spans a second")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rates = [float(rate) for rate in asked.rates.split(",") if rate]
    figures = measure(asked.seconds, asked.rounds, rates)
    for name, value in figures.items():
        print(f"{name:40} {value:12,.2f}")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
