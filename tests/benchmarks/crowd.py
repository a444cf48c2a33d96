"""A crowded plane: many agents, many requests that wait for a person, a busy feed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from urllib.parse import urlsplit

from tests.benchmarks.load import Sending, Work, run_apart
from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.process import ROOT
from tests.rig.world import POLICY, agent_document, world

AT_ONCE = 32


def agent_name(number: int) -> str:
    """Return the name of one of the crowd."""
    return "clerk" if number == 0 else f"clerk-{number:04}"


def fill(plane: Plane, *, agents: int, pending: int) -> list[Run]:
    """Govern `agents` agents and leave `pending` requests waiting; return some open runs."""
    contracts = "\n---\n".join(agent_document(agent_name(n)) for n in range(agents))
    # an agent has at most 50 requests waiting unless its contract says otherwise
    patient = contracts.replace("approvals: {", "approvals: {max_pending: 10000, ")
    documents = world(agent=patient)
    plane.apply(*documents, policy__cedar=POLICY)
    runs = [plane.enrol(agent_name(n)).open_run(f"crowd {n}") for n in range(min(agents, AT_ONCE))]
    each = -(-pending // len(runs))
    sendings = [
        Sending(
            "/v1/decide", [asking(f"ch_{n}{i:05}", 300 + i % 500) for i in range(each)], r.token
        )
        for n, r in enumerate(runs)
    ]
    work = Work("127.0.0.1", port(plane), sendings, count=pending, expect='"verdict":"hold"')
    result = run_apart(work)
    if result.unexpected:
        raise RuntimeError(f"{result.unexpected} were not held, e.g. {result.sample}")
    return runs


def asking(charge: str, amount: float) -> str:
    """Return the body that asks for one refund."""
    arguments = {"charge_id": charge, "amount_usd": amount, "reason": "arrived broken"}
    return json.dumps({"kind": "tool", "name": "books.create_refund", "arguments": arguments})


def port(plane: Plane) -> int:
    """Return the plane's TCP port."""
    found = urlsplit(plane.url).port
    assert found
    return found


def keep_busy(
    plane: Plane, runs: list[Run], *, per_second: float, seconds: float
) -> subprocess.Popen[bytes]:
    """Start a process that causes about `per_second` events in the feed for `seconds`."""
    sendings = [
        Sending("/v1/decide", [asking(f"ch_9{n}", 20)], r.token) for n, r in enumerate(runs)
    ]
    work = Work("127.0.0.1", port(plane), sendings, seconds=seconds, per_second=per_second)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(work)).encode())
    process.stdin.close()
    return process
