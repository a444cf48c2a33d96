"""How soon what is in flight is cut outside the plane: at providers, upstreams and callers.

`python -m tests.benchmarks.cutting [--rounds 25] [--calls 8]`. In this process: the gateways over
SQLite, a provider that answers nothing, an upstream that is a child process. Each round calls both
that often at once and kills the agent. Milliseconds from before the kill is asked for: so the
lock's commit is in them. A provider's end is its connection closing; an upstream's is reading
`notifications/cancelled`; a caller's is its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.gateways.failing import ASK, model, provider
from tests.gateways.ground import Edge, open_edge
from tests.gateways.serving import serving
from tests.rig.deadline import eventually_async
from tests.rig.world import agent_document, upstream_document, world

CHILD = """
import json, sys, time
log = open(sys.argv[1], "a", buffering=1)
for line in sys.stdin:
    now, asked = time.monotonic(), json.loads(line)
    said = None
    if asked["method"] == "initialize":
        said = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}}
    elif asked["method"] == "tools/list":
        said = {"tools": [{"name": "wait_until_told", "inputSchema": {"type": "object"}}]}
    elif asked["method"] in ("tools/call", "notifications/cancelled"):
        log.write(json.dumps([asked["method"], now]) + "\\n")
    if said is not None:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": said}), flush=True)
"""


class Silent:
    """A provider that answers nothing and notes when who asked has gone."""

    def __init__(self) -> None:
        self.heard = 0
        self.left: list[float] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] == "http.request":
            self.heard += 1
        self.left.append(time.monotonic())


async def one_round(edge: Edge, silent: Silent, log: Path, calls: int) -> dict[str, list[float]]:
    """Begin so many calls of both kinds, kill their agent, and return what was seen when."""
    token = await edge.open_run()
    headers = {"authorization": f"Bearer {token}"}
    silent.heard, silent.left = 0, []
    log.write_text("")
    answered: list[float] = []

    async def ask_model() -> None:
        url = f"{edge.url}/openai/v1/chat/completions"
        async with edge.http.post(url, json=ASK, headers=headers) as answer:
            await answer.read()
        answered.append(time.monotonic())

    async def ask_tool(number: int) -> None:
        params = {"name": "books.wait", "arguments": {"label": str(number)}}
        body = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
        more = {**headers, "accept": "application/json, text/event-stream"}
        async with edge.http.post(f"{edge.url}/mcp", json=body, headers=more) as answer:
            await answer.read()
        answered.append(time.monotonic())

    tasks = [asyncio.create_task(ask_model()) for _ in range(calls)]
    tasks += [asyncio.create_task(ask_tool(number)) for number in range(calls)]

    def noted(what: str) -> list[float]:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return [at for method, at in lines if method == what]

    async def begun() -> bool:
        return silent.heard >= calls and len(noted("tools/call")) >= calls

    await eventually_async(begun, "all run")
    asked = time.monotonic()
    lock = await edge.stop_agent()
    await asyncio.gather(*tasks)

    async def ended() -> bool:
        return len(silent.left) >= calls and len(noted("notifications/cancelled")) >= calls

    await eventually_async(ended, "all have ended")
    await edge.kill.lift(lock, reason="drill", by="person/owner")
    ends = {
        "provider": silent.left,
        "upstream": noted("notifications/cancelled"),
        "caller": answered,
    }
    return {name: [(at - asked) * 1000 for at in found] for name, found in ends.items()}


def shown(name: str, found: Sequence[float]) -> str:
    """Return one line of figures."""
    ordered = sorted(found)
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * q))] for q in (0.5, 0.99))
    return f"{name:<9} n={len(ordered):<5} p50 {p50:7.1f}  p99 {p99:7.1f}  worst {ordered[-1]:7.1f}"


async def measure(rounds: int, calls: int) -> dict[str, list[float]]:
    """Return milliseconds by who was to end."""
    silent, found = Silent(), dict[str, list[float]]()
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        log = directory / "child.log"
        log.write_text("")
        command = [sys.executable, "-c", CHILD, str(log)]
        async with serving(silent) as url:
            documents = world(
                upstream=upstream_document(command=command),
                agent=agent_document(tools=["wait"]),
            )[:-1]
            documents += [provider("a", f"{url}/v1"), model("a")]
            async with open_edge(directory, *documents) as edge:
                await edge.upstream_up()
                for _ in range(rounds):
                    for name, times in (await one_round(edge, silent, log, calls)).items():
                        found.setdefault(name, []).extend(times)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--calls", type=int, default=8)
    chosen = parser.parse_args()
    for name, found in asyncio.run(measure(chosen.rounds, chosen.calls)).items():
        print(shown(name, found))


if __name__ == "__main__":
    main()
