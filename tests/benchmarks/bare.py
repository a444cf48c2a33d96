"""What decisions are compared with: the same server doing nothing, and commits alone."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.load import Result
from watchkeeper.core.ids import hash_secret
from watchkeeper.wire.decisions import Ask

ANSWER = json.dumps({"decision": "d" * 30, "verdict": "permit", "digest": "e" * 71}).encode()


KNOWN = {hash_secret("t" * 47): "run"}


async def answer_post(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the body and answer; on /decoded also check it and who sends it, but decide nothing."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if scope["path"] == "/decoded":
        bearer = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
        assert KNOWN[hash_secret(bearer)]
        Ask.model_validate_json(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


async def serve_bare(ready: Path) -> None:
    """Serve `answer_post` on the plane's own server class until the process is killed."""
    from watchkeeper.plane.server import Server, bind_loopback

    listener = bind_loopback(0)
    server = Server(answer_post, most_connections=2000, stop_seconds=1)
    await server.open([listener])
    ready.write_text(json.dumps({"port": listener.getsockname()[1]}), encoding="utf-8")
    await server.main_loop()


def commit_alone(directory: Path, *, seconds: float, row_bytes: int = 900) -> Result:
    """Measure durable commits of one row each (WAL, synchronous FULL), one after another."""
    connection = sqlite3.connect(directory / "commits.sqlite3", isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("create table entries (number integer primary key, body text not null)")
    body = "x" * row_bytes
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        connection.execute("begin immediate")
        connection.execute("insert into entries (body) values (?)", (body,))
        connection.execute("commit")
        taken.append((time.perf_counter() - began) * 1000)
    connection.close()
    taken.sort()
    return Result(
        requests=len(taken),
        per_second=round(len(taken) / seconds, 1),
        p50=round(taken[len(taken) // 2], 3),
        p99=round(taken[int(len(taken) * 0.99)], 3),
        worst=round(taken[-1], 3),
    )


if __name__ == "__main__":
    asyncio.run(serve_bare(Path(sys.argv[1])))
