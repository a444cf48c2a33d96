"""A light load generator: raw sockets, one process, closed loop or paced.

It must cost less than what it measures, so it speaks just enough HTTP/1.1: prepared request
bytes, keep-alive, `content-length` answers. Run as `python -m tests.benchmarks.load` with a
`Work` as JSON on standard input; the `Result` comes as JSON on standard output.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from tests.rig.process import ROOT


@dataclass(frozen=True)
class Sending:
    """What one connection sends again and again."""

    path: str
    bodies: list[str]
    token: str = ""

    def requests(self, host: str) -> list[bytes]:
        """The prepared bytes of each request."""
        bearer = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        return [
            (
                f"POST {self.path} HTTP/1.1\r\nHost: {host}\r\n{bearer}"
                f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n\r\n"
            ).encode()
            + body.encode()
            for body in self.bodies
        ]


@dataclass(frozen=True)
class Work:
    """Connections and what they send; ends after `seconds`, or `count` requests if given."""

    host: str
    port: int
    sendings: list[Sending]
    seconds: float = 3.0
    warm_seconds: float = 0.5
    count: int = 0
    per_second: float = 0.0
    """Pace over all connections; 0 sends as fast as answers come."""
    expect: str = ""
    """Text that every answer must contain; the rest are counted as unexpected."""


@dataclass
class Result:
    """Latencies in milliseconds and what came back."""

    requests: int = 0
    per_second: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    worst: float = 0.0
    unexpected: int = 0
    sample: str = ""
    """An unexpected answer, else the first."""
    latencies: list[float] = field(default_factory=list, repr=False)


class Connection(asyncio.Protocol):
    """One keep-alive connection: sends, measures, sends again."""

    def __init__(self, work: Work, sending: Sending, shared: Shared) -> None:
        self._requests = sending.requests(f"{work.host}:{work.port}")
        self._next = 0
        self._work = work
        self._shared = shared
        self._buffer = b""
        self._needed = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport; the first request waits for `send`."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self) -> None:
        """Send the next request."""
        assert self._transport is not None
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Collect one answer, count it, and go on."""
        self._buffer += data
        if not self._needed:
            head_end = self._buffer.find(b"\r\n\r\n")
            if head_end < 0:
                return
            head = self._buffer[:head_end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self._needed = head_end + 4 + length
        if len(self._buffer) < self._needed:
            return
        answer, self._buffer, self._needed = self._buffer, b"", 0
        if self._shared.take(answer, time.perf_counter() - self._sent_at):
            self._later()

    def connection_lost(self, error: Exception | None) -> None:
        """End the whole measurement: a lost connection is a wrong result."""
        self._shared.fail(f"a connection was closed: {error}")

    def _later(self) -> None:
        pace = self._work.per_second
        if not pace:
            self.send()
            return
        wait = len(self._work.sendings) / pace - (time.perf_counter() - self._sent_at)
        asyncio.get_running_loop().call_later(max(0.0, wait), self.send)


class Shared:
    """What all connections count together."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.result = Result()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._expect = work.expect.encode()
        self._begun = 0.0

    def begin(self) -> None:
        """Start the clock: from here, after warming up, latencies count."""
        self._begun = time.perf_counter() + (0 if self.work.count else self.work.warm_seconds)

    def take(self, answer: bytes, seconds: float) -> bool:
        """Count one answer; return whether to go on."""
        now = time.perf_counter()
        result = self.result
        good = answer.startswith(b"HTTP/1.1 2") and self._expect in answer
        if not good:
            result.unexpected += 1
        if not result.sample or (result.unexpected == 1 and not good):
            result.sample = answer[:2000].decode(errors="replace")
        if now >= self._begun:
            result.latencies.append(seconds * 1000)
        elapsed = now - self._begun
        done = self.work.count
        if (len(result.latencies) >= done) if done else (elapsed >= self.work.seconds):
            if not self.ended.done():
                result.per_second = len(result.latencies) / elapsed
                self.ended.set_result(None)
            return False
        return True

    def fail(self, why: str) -> None:
        """End the measurement with an error."""
        if not self.ended.done():
            self.ended.set_exception(RuntimeError(why))


def _same(connection: Connection) -> Connection:
    return connection


async def generate(work: Work) -> Result:
    """Do the work and return what was measured."""
    loop = asyncio.get_running_loop()
    shared = Shared(work)
    connections = [Connection(work, sending, shared) for sending in work.sendings]
    for connection in connections:
        await loop.create_connection(partial(_same, connection), work.host, work.port)
    shared.begin()
    spread = len(connections) / work.per_second if work.per_second else 0
    for number, connection in enumerate(connections):
        loop.call_later(spread * number / len(connections), connection.send)
    await shared.ended
    result = shared.result
    ordered = sorted(result.latencies)
    result.requests = len(ordered)
    result.p50, result.p95, result.p99 = (
        round(ordered[min(len(ordered) - 1, int(len(ordered) * q))], 3) for q in (0.5, 0.95, 0.99)
    )
    result.worst = round(ordered[-1], 3)
    result.per_second = round(result.per_second, 1)
    return result


def run_apart(work: Work) -> Result:
    """Run the work in a process of its own and return what it measured."""
    return Result(**apart("tests.benchmarks.load", work))


def apart(module: str, work: Work) -> Any:
    """Give work to a module in a process of its own; return what that prints."""
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(asdict(work)),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout)


def read_work() -> Work:
    """Read the work that `apart` gives."""
    given = json.load(sys.stdin)
    given["sendings"] = [Sending(**sending) for sending in given["sendings"]]
    return Work(**given)


def main() -> None:
    """Read a `Work`, print a `Result`."""
    json.dump(asdict(asyncio.run(generate(read_work()))), sys.stdout)


if __name__ == "__main__":
    main()
