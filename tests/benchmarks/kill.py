"""How fast a kill is, and whether anything passes after it: measured, not promised.

`python -m tests.benchmarks.kill [--runs 1000] [--rounds 10] [--json FILE]`. One plane, one stub
provider, everything on this machine, real time. Times are a client's: from before the kill is sent
(`sent`), or from its answer (`answered`). Whether anything was permitted after the lock's commit is
not timed at all: the ledger is one order, so every `decision.permitted` that is later in it than
`lock.created` is counted.

- agent: 64 callers of one agent call a model in a closed loop; the agent is killed.
- streams: 64 streams are under way, an event every 50 ms; their agent is killed.
- everything: 1,000 runs are open, 64 of them call in a closed loop; everything is killed.
- key: the kill key, on a run, in a real terminal (tmux): from the confirming enter to the first
  receipt on the screen. What reading the screen takes is in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.load import Sending
from tests.rig.agent import Run
from tests.rig.console import ConsoleDriver
from tests.rig.deadline import let_pass
from tests.rig.plane import Plane
from tests.rig.process import Child, clean_environment
from tests.rig.tmux import Tmux
from tests.rig.world import agent_document, world

CALLERS = 64
_AGENT = "clerk"
_BODY = {"model": "small-fast", "messages": [{"role": "user", "content": "hello"}]}
_SETTLE_SECONDS = 0.5
_OPEN = "attempted"
_PATIENCE_SECONDS = 10.0


@dataclass
class Figure:
    """Milliseconds over all rounds."""

    name: str
    count: int = 0
    p50: float = 0.0
    p99: float = 0.0
    worst: float = 0.0
    values: list[float] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, name: str, values: Sequence[float]) -> Figure:
        """Sum up."""
        ordered = sorted(values)
        if not ordered:
            return cls(name)
        return cls(
            name,
            len(ordered),
            round(statistics.median(ordered), 1),
            round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
            round(ordered[-1], 1),
        )


@dataclass
class Loop:
    """One caller: calls until it is refused, and when."""

    refused_at: float = 0.0
    last_permitted_sent: float = 0.0
    last_permitted_done: float = 0.0
    calls: int = 0


async def _call_on(host: str, port: int, sending: Sending, found: Loop) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    request = sending.requests(f"{host}:{port}")[0]
    while True:
        sent = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        done = time.perf_counter()
        found.calls += 1
        if not head.startswith(b"HTTP/1.1 200"):
            found.refused_at = done
            break
        found.last_permitted_sent, found.last_permitted_done = sent, done
    writer.close()


async def _stream_on(host: str, port: int, sending: Sending) -> tuple[float, bytes]:
    """Return when a stream ended, and its last bytes."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(sending.requests(f"{host}:{port}")[0])
    tail = b""
    while piece := await reader.read(65_536):
        tail = (tail + piece)[-2_000:]
        if tail.endswith(b"\r\n0\r\n\r\n") or tail.endswith(b"}\r\n0\r\n\r\n"):
            break
    ended = time.perf_counter()
    writer.close()
    return ended, tail


class Operator:
    """The API over the Unix socket, one request at a time, by hand: nothing else is measured."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request on a connection of its own, and return its JSON."""
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        data = json.dumps(body).encode() if body is not None else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: plane\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        answer = await reader.read()
        writer.close()
        top, _, rest = answer.partition(b"\r\n\r\n")
        if not top.startswith(b"HTTP/1.1 2"):
            raise SystemExit(f"{method} {path}: {answer[:500]!r}")
        if b"chunked" in top.lower():
            rest = b"".join(rest.split(b"\r\n")[1::2])
        return json.loads(rest)

    async def kill(self, kind: str, name: str) -> tuple[dict[str, Any], float, float]:
        """Kill; return the lock, when it was sent and when it was answered."""
        sent = time.perf_counter()
        body = {"target": {"kind": kind, "name": name}, "reason": "measured"}
        lock = await self.ask("POST", "/v1/locks", body)
        return lock, sent, time.perf_counter()

    async def settled(self, lock: str) -> tuple[float, list[dict[str, Any]]]:
        """Wait until no receipt is open any more; return when, and the receipts."""
        while True:
            found = await self.ask("GET", f"/v1/locks/{lock}")
            if all(one["state"] != _OPEN for one in found["receipts"]):
                return time.perf_counter(), found["receipts"]
            await let_pass(0.01)

    async def lift(self, lock: str) -> None:
        """Lift."""
        await self.ask("POST", f"/v1/locks/{lock}/lift", {"reason": "measured"})


def passed_after(plane: Plane, lock: dict[str, Any]) -> int:
    """Count what was permitted later in the ledger than a lock came into force."""
    created = next(
        event
        for event in plane.events(type="lock.created")
        if event["subject"] == f"lock/{lock['lock']}"
    )
    permitted = plane.operator.get(
        "/v1/events", after=created["sequence"], type="decision.permitted", limit=10
    )
    return len(permitted["rows"])


def _sendings(runs: Sequence[Run], *, stream: bool = False) -> tuple[str, int, list[Sending]]:
    url = urlsplit(runs[0].model_base_url)
    body = json.dumps({**_BODY, "stream": True} if stream else _BODY)
    found = [
        Sending(path=f"{url.path}/chat/completions", bodies=[body], token=run.token) for run in runs
    ]
    return url.hostname or "", url.port or 0, found


async def kill_under_load(
    plane: Plane, runs: Sequence[Run], kind: str, name: str
) -> dict[str, float]:
    """Kill while some runs call in a closed loop; return milliseconds and counts."""
    operator = Operator(plane.socket)
    host, port, sendings = _sendings(runs[:CALLERS])
    loops = [Loop() for _ in sendings]
    tasks = [
        asyncio.create_task(_call_on(host, port, sending, loop))
        for sending, loop in zip(sendings, loops, strict=True)
    ]
    await let_pass(_SETTLE_SECONDS)
    lock, sent, answered = await operator.kill(kind, name)
    await asyncio.gather(*tasks)
    settled, receipts = await operator.settled(lock["lock"])
    passed = await asyncio.to_thread(passed_after, plane, lock)
    await operator.lift(lock["lock"])
    return {
        "answer": 1000 * (answered - sent),
        "all refused": 1000 * (max(loop.refused_at for loop in loops) - sent),
        "permitted and sent after the answer": float(
            sum(loop.last_permitted_sent > answered for loop in loops)
        ),
        "permitted after the lock in the ledger": float(passed),
        "receipts closed": 1000 * (settled - sent),
        "unconfirmed": float(sum(one["state"] == "unconfirmed" for one in receipts)),
        "calls before": float(sum(loop.calls for loop in loops)),
    }


async def cut_streams(plane: Plane, runs: Sequence[Run]) -> tuple[list[float], int]:
    """Kill while streams run; return how long each took to end from when the kill was sent, and
    how many did not say why they ended.
    """
    operator = Operator(plane.socket)
    host, port, sendings = _sendings(runs[:CALLERS], stream=True)
    tasks = [asyncio.create_task(_stream_on(host, port, sending)) for sending in sendings]
    await let_pass(_SETTLE_SECONDS * 2)
    if any(task.done() for task in tasks):
        raise SystemExit(f"a stream ended before the kill: {tasks[0].result()}")
    lock, sent, _ = await operator.kill("agent", _AGENT)
    ended = await asyncio.gather(*tasks)
    await operator.settled(lock["lock"])
    await operator.lift(lock["lock"])
    silent = sum(b"lock/" not in tail for _, tail in ended)
    return [1000 * (at - sent) for at, _ in ended], silent


@contextmanager
def a_plane(directory: Path) -> Iterator[Plane]:
    """Run a plane with one agent, whose model is a stub that answers, or trickles a stream."""
    stub = Child.python(
        *("-m", "tests.benchmarks.stub_provider", str(directory / "stub.json"), "--trickle"),
        log=directory / "stub.out",
        env=clean_environment(directory),
    )
    plane = Plane(directory / "plane", clock=None)
    try:
        port = stub.wait_for_file(directory / "stub.json")["port"]
        plane.start()
        plane.apply(*world(agent=agent_document(), provider_url=f"http://127.0.0.1:{port}/v1"))
        yield plane
    finally:
        plane.close()
        stub.kill()


def press_the_key(plane: Plane, rounds: int) -> list[float]:
    """Kill a run by its key in a real terminal; milliseconds from enter to the first receipt."""
    agent, found = plane.enrol(_AGENT), []
    line = shlex.join([sys.executable, "-m", "watchkeeper", "--state", str(plane.state)])
    with Tmux(columns=120, rows=40) as terminal:
        console = ConsoleDriver.start(terminal, line, env=plane.environ, cwd=plane.directory)
        console.pane("Runs")
        for _ in range(rounds):
            run = agent.open_run(goal="to be killed")
            console.row("open", "to be killed", seconds=30)
            console.press("G", "g", "g", "C-x").expect("Kill run", "enter kill")
            asyncio.run(let_pass(_SETTLE_SECONDS))
            began = time.perf_counter()
            terminal.keys("Enter")
            while "acknowledged" not in terminal.screen:
                if time.perf_counter() - began > _PATIENCE_SECONDS:
                    raise SystemExit(terminal.screen)
            found.append(1000 * (time.perf_counter() - began))
            terminal.keys("q")
            for lock in plane.operator.get("/v1/locks")["rows"]:
                plane.operator.post(f"/v1/locks/{lock['lock']}/lift", {"reason": "measured"})
            console.expect_no("acknowledged").expect_no("1 lock")
            assert run.id
    return found


def measure(runs: int, rounds: int, *, key: bool) -> dict[str, Any]:
    """Measure all of it."""
    done: dict[str, Any] = {"runs": runs, "rounds": rounds, "callers": CALLERS}
    with tempfile.TemporaryDirectory(prefix="wk-kill-") as scratch, a_plane(Path(scratch)) as plane:
        agent = plane.enrol(_AGENT)
        found = []
        for _ in range(rounds):
            opened = [agent.open_run() for _ in range(CALLERS)]
            found.append(asyncio.run(kill_under_load(plane, opened, "agent", _AGENT)))
        done["agent"] = _summed(found)
        ends: list[float] = []
        silent = 0
        for _ in range(rounds):
            opened = [agent.open_run() for _ in range(CALLERS)]
            cut, without = asyncio.run(cut_streams(plane, opened))
            ends += cut
            silent += without
        figure = Figure.of("from the kill to the stream's end", ends)
        done["streams"] = {**asdict(figure), "ended without the rule": silent}
        del done["streams"]["values"]
        found = []
        for _ in range(min(rounds, 3)):
            opened = [agent.open_run() for _ in range(runs)]
            found.append(asyncio.run(kill_under_load(plane, opened, "everything", "*")))
        done["everything"] = _summed(found)
        if key:
            figure = Figure.of("enter to first receipt", press_the_key(plane, rounds))
            done["key"] = asdict(figure)
            del done["key"]["values"]
    return done


def _summed(found: list[dict[str, float]]) -> dict[str, Any]:
    summed: dict[str, Any] = {}
    for name in found[0]:
        values = [one[name] for one in found]
        if name in {"answer", "all refused", "receipts closed"}:
            middle, worst = statistics.median(values), max(values)
            summed[name] = {"p50": round(middle, 1), "worst": round(worst, 1)}
        else:
            summed[name] = sum(values)
    return summed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--no-key", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    done = measure(given.runs, given.rounds, key=not given.no_key)
    print(json.dumps(done, indent=2))
    if given.json:
        given.json.write_text(json.dumps(done), encoding="utf-8")


if __name__ == "__main__":
    main()
