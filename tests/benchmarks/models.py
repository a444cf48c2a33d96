"""What a model call costs through the plane, beside a bare proxy and a peer, in one run.

`python -m tests.benchmarks.models [--seconds 4] [--litellm VENV] [--json FILE]`. All go to the
same stub provider on this machine. The plane checks the token, locks, contract and Cedar
policies, holds on three levels (run, agent, team), answers after a durable commit of the
decision, and settles with a durable commit of the outcome. The bare proxy is the plane's own
server and HTTP client, forwarding only. LiteLLM's proxy runs with one worker, a master key,
telemetry, keys and budgets off (its keys and budgets need PostgreSQL and a generated client).
Ratios of one run hold across machines; absolute figures do not.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.benchmarks import streams
from tests.benchmarks.decide import policies
from tests.benchmarks.load import Result, Sending, Work, run_apart
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.process import Child, clean_environment
from tests.rig.world import agent_document, budget_document, world

CLIENTS = (1, 8, 64)
STREAM_CLIENTS = 8
_TICKS = os.sysconf("SC_CLK_TCK")
_MASTER = "sk-benchmark"
_MESSAGES = [
    {"role": "system", "content": "Answer with twenty words."},
    {"role": "user", "content": "Where is the parcel of order 4711?"},
]


@dataclass
class Gateway:
    """One way to the provider."""

    name: str
    port: int
    path: str
    model: str
    tokens: list[str]
    pids: list[int]
    start_seconds: float = 0.0
    expect: str = '"finish_reason"'
    figures: dict[str, Any] = field(default_factory=dict)

    def sendings(self, clients: int, *, stream: bool = False) -> list[Sending]:
        """Return what `clients` connections send."""
        asked: dict[str, Any] = {"model": self.model, "messages": _MESSAGES, "max_tokens": 64}
        if stream:
            asked["stream"] = True
        body = json.dumps(asked)
        return [
            Sending(path=self.path, bodies=[body], token=self.tokens[n % len(self.tokens)])
            for n in range(clients)
        ]

    def cpu_seconds(self) -> float:
        """Return the processor time of its processes so far."""
        total = 0
        for pid in self.pids:
            fields = (
                Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            )
            total += int(fields[11]) + int(fields[12])
        return total / _TICKS

    def memory_mib(self) -> float:
        """Return the resident memory of its processes."""
        pages = sum(
            int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
            for pid in self.pids
        )
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def measure(gateway: Gateway, seconds: float) -> None:
    """Run every measurement of one gateway, one after another."""
    if gateway.pids:
        gateway.figures["memory at rest, MiB"] = gateway.memory_mib()
    for clients in CLIENTS:
        work = Work(
            "127.0.0.1",
            gateway.port,
            gateway.sendings(clients),
            seconds=seconds,
            expect=gateway.expect,
        )
        before = gateway.cpu_seconds()
        result: Result = run_apart(work)
        used = gateway.cpu_seconds() - before
        if result.unexpected:
            raise SystemExit(f"{gateway.name}: not as expected, e.g. {result.sample}")
        calls = result.requests * (1 + work.warm_seconds / work.seconds)
        gateway.figures[f"{clients} clients"] = {
            "per_second": result.per_second,
            "p50": result.p50,
            "p99": result.p99,
            "cpu_ms": round(1000 * used / calls, 3) if gateway.pids else None,
        }
    work = Work(
        "127.0.0.1", gateway.port, gateway.sendings(STREAM_CLIENTS, stream=True), seconds=seconds
    )
    before = gateway.cpu_seconds()
    streamed = streams.run_apart(work)
    used = gateway.cpu_seconds() - before
    count = streamed.streams * (1 + work.warm_seconds / work.seconds)
    gateway.figures[f"{STREAM_CLIENTS} streams"] = {
        "per_second": streamed.per_second,
        "first_p50": streamed.first_p50,
        "first_p99": streamed.first_p99,
        "end_p50": streamed.end_p50,
        "cpu_ms": round(1000 * used / count, 3) if gateway.pids else None,
    }
    if gateway.pids:
        gateway.figures["memory after, MiB"] = gateway.memory_mib()
        gateway.figures["start, s"] = round(gateway.start_seconds, 2)


@contextmanager
def our_gateway(directory: Path, provider: str) -> Iterator[Gateway]:
    """Run a plane whose model is at the provider."""
    budgets = [
        budget_document("clerk-hour", "agent/clerk", "hour", tool_calls=10**9, spend_usd=10**6),
        budget_document("team-day", "team/finance-ops", "day", tool_calls=10**9, spend_usd=10**6),
    ]
    began = time.perf_counter()
    plane = Plane(directory / "plane", clock=None).start()
    started = time.perf_counter() - began
    try:
        plane.apply(
            *world(*budgets, agent=agent_document(), provider_url=provider),
            policies__cedar=policies(),
        )
        agent = plane.enrol("clerk")
        runs = [agent.open_run() for _ in range(max(CLIENTS))]
        url = urlsplit(runs[0].model_base_url)
        pid = json.loads((plane.state / "plane.json").read_text(encoding="utf-8"))["pid"]
        yield Gateway(
            "watchkeeper",
            url.port or 0,
            f"{url.path}/chat/completions",
            "small-fast",
            [run.token for run in runs],
            [pid],
            started,
        )
    finally:
        plane.close()


@contextmanager
def bare_gateway(directory: Path, provider: str) -> Iterator[Gateway]:
    """Run the proxy that only forwards."""
    began = time.perf_counter()
    child = Child.python(
        *("-m", "tests.benchmarks.forwarding", str(directory / "bare.json")),
        f"{provider}/chat/completions",
        log=directory / "bare.out",
        env=clean_environment(directory),
    )
    try:
        port = child.wait_for_file(directory / "bare.json")["port"]
        started = time.perf_counter() - began
        yield Gateway("bare proxy", port, "/", "m-1", ["stub"], [child.pid], started)
    finally:
        child.kill()


@contextmanager
def litellm_gateway(directory: Path, provider: str, venv: Path) -> Iterator[Gateway]:
    """Run LiteLLM's proxy with one model at the provider."""
    configuration = directory / "litellm.yaml"
    configuration.write_text(
        json.dumps(
            {
                "model_list": [
                    {
                        "model_name": "m-1",
                        "litellm_params": {
                            "model": "openai/m-1",
                            "api_base": provider,
                            "api_key": "stub",
                        },
                    }
                ],
                "general_settings": {"master_key": _MASTER},
                "litellm_settings": {"telemetry": False},
            }
        ),
        encoding="utf-8",
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = clean_environment(
        directory, LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_MODE="PRODUCTION"
    )
    environment.pop("PYTHONPATH", None)
    began = time.perf_counter()
    child = Child(
        [
            str(venv / "bin" / "litellm"),
            *("--config", str(configuration)),
            *("--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"),
        ],
        log=directory / "litellm.out",
        env=environment,
    )
    try:
        eventually(lambda: _answers(port, child), "it answers", seconds=120, every=0.1)
        started = time.perf_counter() - began
        pids = [child.pid, *_children(child.pid)]
        yield Gateway("litellm", port, "/v1/chat/completions", "m-1", [_MASTER], pids, started)
    finally:
        child.kill()


def _answers(port: int, child: Child) -> bool:
    if not child.running:
        raise SystemExit(f"it did not start:\n{child.output[-2000:]}")
    asked = {"model": "m-1", "messages": _MESSAGES, "max_tokens": 8}
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v1/chat/completions",
            json=asked,
            headers={"authorization": f"Bearer {_MASTER}"},
            timeout=5,
        )
    except httpx.TransportError:
        return False
    return answer.status_code == httpx.codes.OK


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    return [int(child) for child in listed]


def compare(seconds: float, litellm: Path | None) -> list[Gateway]:
    """Measure everything in one run and return it."""
    done: list[Gateway] = []
    with tempfile.TemporaryDirectory(prefix="wk-bench-") as scratch:
        directory = Path(scratch)
        stub = Child.python(
            *("-m", "tests.benchmarks.stub_provider", str(directory / "stub.json")),
            log=directory / "stub.out",
            env=clean_environment(directory),
        )
        try:
            port = stub.wait_for_file(directory / "stub.json")["port"]
            provider = f"http://127.0.0.1:{port}/v1"
            direct = Gateway("provider", port, "/v1/chat/completions", "m-1", ["stub"], [])
            measure(direct, seconds)
            done.append(direct)
            ways = [bare_gateway(directory, provider), our_gateway(directory, provider)]
            if litellm is not None:
                ways.append(litellm_gateway(directory, provider, litellm))
            for way in ways:
                with way as gateway:
                    measure(gateway, seconds)
                    done.append(gateway)
        finally:
            stub.kill()
    return done


def ratios(gateways: list[Gateway]) -> dict[str, float]:
    """Return what the plane's figures are relative to the others', which is what to compare."""
    by = {gateway.name: gateway.figures for gateway in gateways}
    ours, direct, bare = by["watchkeeper"], by["provider"], by["bare proxy"]
    found: dict[str, float] = {}
    for clients in CLIENTS:
        key = f"{clients} clients"
        found[f"CPU per call against a bare proxy, {key}"] = (
            ours[key]["cpu_ms"] / bare[key]["cpu_ms"]
        )
        found[f"calls/s against a bare proxy, {key}"] = (
            ours[key]["per_second"] / bare[key]["per_second"]
        )
        if "litellm" in by:
            peer = by["litellm"][key]
            for quantile in ("p50", "p99"):
                found[f"LiteLLM's added {quantile} against ours, {key}"] = (
                    peer[quantile] - direct[key][quantile]
                ) / max(0.001, ours[key][quantile] - direct[key][quantile])
            found[f"calls/s against LiteLLM's, {key}"] = (
                ours[key]["per_second"] / peer["per_second"]
            )
    return {name: round(ratio, 2) for name, ratio in found.items()}


def main() -> None:
    """Measure, print tables, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--litellm", type=Path, metavar="VENV")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    began_load = os.getloadavg()[0]
    gateways = compare(chosen.seconds, chosen.litellm)
    print(f"load when it began {began_load:.1f}, at the end {os.getloadavg()[0]:.1f}")
    for gateway in gateways:
        print(f"\n{gateway.name}")
        for name, figure in gateway.figures.items():
            shown = (
                "  ".join(f"{key} {value}" for key, value in figure.items())
                if isinstance(figure, dict)
                else figure
            )
            print(f"  {name:22}{shown}")
    found = ratios(gateways)
    print()
    for name, ratio in found.items():
        print(f"{name}: {ratio}")
    if chosen.json:
        figures = [asdict(gateway) | {"tokens": []} for gateway in gateways]
        chosen.json.write_text(json.dumps({"gateways": figures, "ratios": found}, indent=1))


if __name__ == "__main__":
    main()
