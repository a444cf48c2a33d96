"""Streamed calls by raw sockets: how long until the first event, and until the end.

Run as `python -m tests.benchmarks.streams` with a `load.Work` as JSON on standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field

from tests.benchmarks.load import Sending, Work, apart, read_work


@dataclass
class Streamed:
    """Milliseconds."""

    streams: int = 0
    per_second: float = 0.0
    first_p50: float = 0.0
    first_p99: float = 0.0
    end_p50: float = 0.0
    firsts: list[float] = field(default_factory=list, repr=False)
    ends: list[float] = field(default_factory=list, repr=False)


async def _one_after_another(work: Work, sending: Sending, begun: float, found: Streamed) -> None:
    reader, writer = await asyncio.open_connection(work.host, work.port)
    request = sending.requests(f"{work.host}:{work.port}")[0]
    while time.perf_counter() - begun < work.seconds + work.warm_seconds:
        sent = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200") or b"chunked" not in head.lower():
            raise RuntimeError(head.decode(errors="replace") + str(await reader.read(2000)))
        await reader.readuntil(b"data:")
        first = time.perf_counter()
        await reader.readuntil(b"[DONE]")
        await reader.readuntil(b"\r\n0\r\n\r\n")
        ended = time.perf_counter()
        if sent - begun >= work.warm_seconds:
            found.firsts.append((first - sent) * 1000)
            found.ends.append((ended - sent) * 1000)
    writer.close()


async def generate(work: Work) -> Streamed:
    """Do the work and return what was measured."""
    found, begun = Streamed(), time.perf_counter()
    await asyncio.gather(
        *(_one_after_another(work, sending, begun, found) for sending in work.sendings)
    )
    firsts, ends = sorted(found.firsts), sorted(found.ends)
    found.streams = len(firsts)
    found.per_second = round(len(firsts) / work.seconds, 1)
    found.first_p50 = round(firsts[len(firsts) // 2], 2)
    found.first_p99 = round(firsts[min(len(firsts) - 1, int(len(firsts) * 0.99))], 2)
    found.end_p50 = round(ends[len(ends) // 2], 2)
    return found


def run_apart(work: Work) -> Streamed:
    """Run the work in a process of its own and return what it measured."""
    return Streamed(**apart("tests.benchmarks.streams", work))


def main() -> None:
    """Read a `Work`, print a `Streamed`."""
    json.dump(asdict(asyncio.run(generate(read_work()))), sys.stdout)


if __name__ == "__main__":
    main()
