"""Soak: many calls through the MCP gateway at a failing upstream, counted on both sides.

``python -m tests.benchmarks.soak [CALLS] [KILLS] [--postgres]`` sends CALLS calls (100,000) over
32 connections while the upstream fails in nine ways and the plane is killed with SIGKILL KILLS
times (2) and started again; when it dies it signs its ledger, or changes the key that does.
Then all accounts are held against each other: what clients asked and heard, decisions, events,
spans, the signed log, what the upstream executed. The result counts only if none of them holds
anything that the others do not explain.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import httpx
from sqlalchemy import select

from tests.rig.agent import Run
from tests.rig.deadline import let_pass
from tests.rig.faulty_upstream import EXECUTES, FAULTS
from tests.rig.plane import Plane
from tests.rig.postgres import Postgres
from tests.rig.process import Child, clean_environment
from tests.rig.world import AMPLE
from watchkeeper.core.clock import SystemClock
from watchkeeper.decide.tables import decisions
from watchkeeper.ledger.checkpoints import read_keys
from watchkeeper.store.journal import events
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

CONNECTIONS = 32
TOOL = "journal.post"
DOCUMENTS = """
agent:
  name: poster
  owner: finance-ops
  budgets: {ample}
  tools: {{allowlist: [{{name: journal.post}}]}}
---
tool:
  name: journal.post
  upstream: journal
  upstream_tool: post
  does: Post one entry.
  access: write
  risk: low
  timeout_seconds: 1
  input_schema:
    type: object
    properties: {{entry: {{type: string}}, fault: {{type: string}}}}
    required: [entry]
    additionalProperties: false
  output_schema:
    type: object
    properties: {{posted: {{type: string}}}}
    required: [posted]
  never: [{{argument: entry, pattern: "^forbidden", why: Such entries are never posted.}}]
---
upstream: {{name: journal, transport: http, url: "{url}"}}
"""
VERDICTS = {
    "decision.permitted": "permit",
    "decision.denied": "deny",
    "decision.held": "hold",
}
REFUSALS = ("unlisted", "schema", "never")
"""Calls that must be denied: another tool, arguments that don't fit, a never-pattern."""


@dataclass
class Heard:
    """What clients asked and heard. Keys are entries."""

    asked: dict[str, str] = field(default_factory=dict)
    """Entry → the fault or refusal it was sent with."""
    answered: dict[str, str | None] = field(default_factory=dict)
    """Entry → decision, of every call that had an answer."""
    unanswered: set[str] = field(default_factory=set)
    """Calls that were under way when the plane was killed."""
    keys: set[str] = field(default_factory=set)
    """Keys that the plane said its log is signed with from then on."""


class Record(NamedTuple):
    """What the plane's database holds of the calls."""

    decisions: dict[str, Any]
    verdicts: dict[str, list[str]]
    """Those of the events that tell of a decision."""
    outcomes: dict[str, list[str]]
    """The same of outcomes, the last one last."""
    keys: set[str]


@dataclass
class Account:
    """The three accounts held against each other."""

    asked: int
    answered: int
    unanswered: int
    recorded: int
    permitted: int
    executed: int
    outcomes: dict[str, int]
    problems: list[str]
    per_second: float = 0.0
    verified_entries: int = 0
    checkpoints: int = 0
    keys: int = 0
    """Changes of the log's key that were answered."""


def plan(calls: int, seed: int) -> list[tuple[str, str]]:
    """Return (entry, fault or refusal) for every call: four in ten go wrong in some way."""
    chance = random.Random(seed)
    kinds = [*FAULTS, *REFUSALS]
    weights = [600, *([40] * (len(FAULTS) - 1)), *([40] * len(REFUSALS))]
    weights[kinds.index("slow")] = 4
    return [
        (f"e{number:07}", kind)
        for number, kind in enumerate(chance.choices(kinds, weights, k=calls))
    ]


async def post_all(plane: Plane, runs: list[Run], work: list[tuple[str, str]], kills: int) -> Heard:
    """Send every call once; kill the plane `kills` times on the way."""
    heard = Heard()
    waiting = iter(work)
    marks = {len(work) * (n + 1) // (kills + 1): n for n in range(kills)}
    chance = random.Random(kills)
    up = asyncio.Event()
    up.set()

    async def send(http: aiohttp.ClientSession, run: Run) -> None:
        for entry, kind in waiting:
            await up.wait()
            heard.asked[entry] = kind
            if len(heard.asked) in marks:
                asyncio.get_running_loop().create_task(restart(marks[len(heard.asked)]))
            try:
                heard.answered[entry] = await call(http, plane, run, entry, kind)
            except (aiohttp.ClientError, ConnectionError):
                heard.unanswered.add(entry)

    async def restart(number: int) -> None:
        up.clear()
        busy = asyncio.create_task(asyncio.to_thread(sign, plane, heard, number))
        await let_pass(chance.uniform(0, 0.3))
        await asyncio.to_thread(plane.kill)
        await busy
        await asyncio.to_thread(plane.restart)
        up.set()

    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        await asyncio.gather(*(send(http, run) for run in runs))
    return heard


def sign(plane: Plane, heard: Heard, number: int) -> None:
    """Have the ledger signed, or the key changed that signs it, by a plane that dies meanwhile."""
    transport = httpx.HTTPTransport(uds=str(plane.socket), verify=False)
    with httpx.Client(transport=transport, base_url="http://plane", timeout=20) as http:
        try:
            if number % 2:
                http.post("/v1/audit/checkpoints", json={})
            else:
                found = http.post("/v1/audit/key/rotate", json={"reason": "a soak"}).json()
                heard.keys.add(found["rows"][0]["key"])
        except (httpx.HTTPError, ValueError, KeyError):
            pass  # it was killed


async def read_record(url: str) -> Record:
    """Return what a database holds, of either engine."""

    def read(tx: Transaction) -> Record:
        verdicts: dict[str, list[str]] = {}
        outcomes: dict[str, list[str]] = {}
        for type_, text in tx.connection.execute(
            select(events.c.type, events.c.body).order_by(events.c.sequence)
        ):
            if type_ in VERDICTS:
                verdicts.setdefault(json.loads(text)["decision"], []).append(VERDICTS[type_])
            elif type_ == "outcome.recorded":
                body = json.loads(text)
                outcomes.setdefault(body["decision"], []).append(body["status"])
        rows = {row.decision: row for row in tx.connection.execute(select(decisions))}
        return Record(rows, verdicts, outcomes, {row.key for row in read_keys(tx)})

    async with await Store.open(url, SystemClock()) as store:
        return await store.scan(read)


async def call(
    http: aiohttp.ClientSession, plane: Plane, run: Run, entry: str, kind: str
) -> str | None:
    """Send one ``tools/call`` and return the decision that its answer names."""
    name, arguments = TOOL, {"entry": entry, "fault": kind}
    if kind == "unlisted":
        name = "journal.delete"
    elif kind == "schema":
        arguments = {"entry": entry, "extra": kind}
    elif kind == "never":
        arguments = {"entry": f"forbidden {entry}"}
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": name, "arguments": arguments, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": entry, "method": "tools/call", "params": params}
    headers = {
        "authorization": f"Bearer {run.token}",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": name,
    }
    async with http.post(f"{plane.url}/mcp", json=body, headers=headers) as answer:
        said = json.loads(await answer.read())
    result: dict[str, Any] = said["result"]
    decision: str | None = result["_meta"].get("watchkeeper/decision")
    return decision


def settle_accounts(record: Record, heard: Heard, account: Path) -> Account:
    """Hold what was asked, recorded and executed against each other."""
    executed = account.read_text(encoding="utf-8").split() if account.exists() else []
    problems: list[str] = []
    rows = list(record.decisions.values())
    by_entry: dict[str, list[tuple[str, str, str | None]]] = {}
    for row in rows:
        said = json.loads(row.arguments)["entry"].removeprefix("forbidden ")
        by_entry.setdefault(said, []).append((row.decision, row.verdict, row.outcome))
        if record.verdicts.get(row.decision) != [row.verdict]:
            problems.append(f"{row.decision}: {record.verdicts.get(row.decision)} in the ledger")
        told = record.outcomes.get(row.decision, [])
        if told[-1:] != ([row.outcome] if row.outcome else []):
            problems.append(f"{row.decision} ended {row.outcome}, in the ledger {told}")
    strange = (record.verdicts.keys() | record.outcomes.keys()) - record.decisions.keys()
    problems += [f"the ledger tells of {decision}, which is none" for decision in sorted(strange)]
    problems += [f"the log's key {key} was forgotten" for key in heard.keys - record.keys]
    if len(executed) != len(set(executed)):
        problems.append(f"{len(executed) - len(set(executed))} entries were executed twice")
    for entry in executed:
        found = by_entry.get(entry, [])
        if [verdict for _, verdict, _ in found] != ["permit"]:
            problems.append(f"{entry} was executed with the decisions {found}")
    ran = set(executed)
    for entry, kind in heard.asked.items():
        found = by_entry.get(entry, [])
        if entry in heard.unanswered:
            continue
        if [decision for decision, _, _ in found] != [heard.answered.get(entry)]:
            problems.append(f"{entry} ({kind}) heard {heard.answered.get(entry)}, has {found}")
            continue
        ((_, verdict, outcome),) = found
        if verdict != ("deny" if kind in REFUSALS else "permit"):
            problems.append(f"{entry} ({kind}) had the verdict {verdict}")
        if kind in FAULTS and (entry in ran) != (kind in EXECUTES):
            problems.append(f"{entry} ({kind}) executed: {entry in ran}")
        if outcome == "succeeded" and (entry not in ran or kind not in ("none",)):
            problems.append(f"{entry} ({kind}) is recorded as succeeded")
        if outcome == "failed" and kind in ("cut-after", "garbage", "slow", "wrong-output"):
            problems.append(f"{entry} ({kind}) ran and is recorded as failed")
    return Account(
        asked=len(heard.asked),
        answered=len(heard.answered),
        unanswered=len(heard.unanswered),
        recorded=len(rows),
        permitted=sum(1 for row in rows if row.verdict == "permit"),
        executed=len(executed),
        outcomes=dict(Counter(str(row.outcome) for row in rows if row.verdict == "permit")),
        problems=problems,
    )


def soak(
    directory: Path, calls: int, *, kills: int, seed: int = 1, database: str | None = None
) -> Account:
    """Run the soak in `directory` and return the accounts; on SQLite without a database."""
    account, ready = directory / "executed", directory / "upstream.json"
    upstream = Child.python(
        *("-m", "tests.rig.faulty_upstream", "--account", str(account), "--ready", str(ready)),
        log=directory / "upstream.out",
        env=clean_environment(directory),
    )
    plane = Plane(directory / "plane", clock=None, database=database)
    try:
        url = upstream.wait_for_file(ready)["url"]
        plane.start()
        plane.apply(DOCUMENTS.format(ample=json.dumps(AMPLE), url=url))
        agent = plane.enrol("poster")
        runs = [agent.open_run(f"soak {n}") for n in range(CONNECTIONS)]
        begun = time.perf_counter()
        heard = asyncio.run(post_all(plane, runs, plan(calls, seed), kills))
        seconds = time.perf_counter() - begun
        verified = plane.operator.get("/v1/audit/verification")
        spans = plane.operator.get("/v1/spans/check")
        plane.stop()
        at = database or f"sqlite:///{plane.state / 'plane.sqlite3'}"
        found = settle_accounts(asyncio.run(read_record(at)), heard, account)
    finally:
        plane.close()
        upstream.kill()
    if not verified["ok"]:
        found.problems.append(f"the ledger does not verify: {verified['what']}")
    if not spans["ok"]:
        found.problems.append(f"spans are not what was decided: {spans}")
    found.verified_entries, found.checkpoints = verified["entries"], verified["checkpoints"]
    found.keys = len(heard.keys)
    found.per_second = round(calls / seconds, 1)
    return found


def main() -> None:
    """Run and print the accounts; the exit code is 1 if they do not agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("calls", type=int, nargs="?", default=100_000)
    parser.add_argument("kills", type=int, nargs="?", default=2)
    parser.add_argument("--postgres", action="store_true")
    given = parser.parse_args()
    server = Postgres() if given.postgres else None
    with tempfile.TemporaryDirectory() as directory:
        database = server.create_database() if server else None
        found = soak(Path(directory), given.calls, kills=given.kills, database=database)
    if server is not None:
        server.close()
    problems = found.problems
    print(json.dumps({**found.__dict__, "problems": len(problems)}, indent=2))
    print("\n".join(problems[:20]))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
