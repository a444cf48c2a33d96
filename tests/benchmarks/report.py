"""How long each report on a period takes, and how late the event loop runs meanwhile.

`python -m tests.benchmarks.report [--runs 100000] [--json FILE]`. A ledger of 30 days is written in
bulk: each run is opened, makes five calls that end, and is closed (12 entries); one in fifty asks
for an approval, one in ten sees personal data, a few are stopped. The log over it is made before
anything is measured, as a plane does while it goes on. Every report is then made as the API does,
in a process of its own, in every format.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from tests.benchmarks.evidence import most
from tests.benchmarks.spending import decision_of
from tests.ledger.ground import open_log
from watchkeeper.api.events import event_row
from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.decide.reports.making import Reporting
from watchkeeper.decide.reports.model import Asked
from watchkeeper.decide.reports.pages import as_html
from watchkeeper.decide.reports.texts import as_csv, as_markdown
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.store.journal import Journal
from watchkeeper.wire.reports import ReportKind

DAY = 86_400 * MICROSECONDS
DAYS, CALLS, AT_ONCE = 30, 5, 2_000
FILE = "plane.sqlite3"
WAYS = {"html": (as_html, 1_000), "markdown": (as_markdown, 1_000), "csv": (as_csv, 100_000)}
EVENT = f"insert into events values ({', '.join('?' * 11)})"


def tell(journal: Journal, run: str, number: int, at: int, rows: list[dict[str, Any]]) -> None:
    """Write what one run did into a journal, and its decisions into rows."""
    agent = f"agent-{number % 40}"
    request: str | None = None

    def note(type_: str, subject: str, body: dict[str, Any], actor: str = "") -> None:
        actor = actor or f"agent/{agent}"
        journal.append(at + len(rows), type_, actor, subject, agent, run, request, body)

    note(
        "run.opened", f"run/{run}", {"goal": "settle it", "version": 3, "on_behalf_of": "person/p"}
    )
    for call in range(CALLS):
        row = decision_of(number * CALLS + call, at + call * 1000, run, CHANCE)
        row["agent"], row["settled_at"] = agent, at + call * 1000 + 500
        rows.append(row)
        body: dict[str, Any] = {
            "decision": row["decision"], "kind": row["kind"], "name": row["name"], "version": 3,
            "rule": row["rule"], "reason": row["reason"], "digest": row["digest"], "epoch": 1,
            "policies": row["digest"],
        }  # fmt: skip
        if number % 10 == 0 and call == 0:
            body["classes_in"] = "email,phone"
        note("decision.permitted", f"decision/{row['decision']}", body)
        note("outcome.recorded", f"decision/{row['decision']}", {
            "decision": row["decision"], "kind": row["kind"], "name": row["name"], "version": 3,
            "status": row["outcome"], "cost_micros": row["cost_micros"], "error": None,
            "input_tokens": row["input_tokens"], "output_tokens": row["output_tokens"],
            "result_digest": row["digest"],
        })  # fmt: skip
    if number % 50 == 0:
        request = ids.new_at("req", at)
        asked = {"tool": "books.create_refund", "digest": "sha256:0", "text": "asks"}
        note("request.created", f"request/{request}", asked)
        note("vote.cast", f"request/{request}", {**asked, "verdict": "approve", "roles": ["ops"],
             "view_ms": 4200, "display": "sha256:1"}, f"person/p{number % 30}")  # fmt: skip
        note("request.approved", f"request/{request}", {**asked, "by": "person/p"}, "person/p")
        request = None
    if number % 1000 == 0:
        lock = ids.new_at("lock", at)
        note("lock.created", f"lock/{lock}", {"target": f"run/{run}", "mode": "stop",
             "reason": "odd", "epoch": 1}, "person/p1")  # fmt: skip
        note("run.stopped", f"run/{run}", {"lock": lock, "reason": "odd"}, "person/p1")
    note("run.closed", f"run/{run}", {"outcome": "succeeded"})


CHANCE = random.Random(1)
BEGIN = int(time.time()) * MICROSECONDS - DAYS * DAY


def fill(path: Path, runs: int) -> int:
    """Write the ledger and the decisions of so many runs; return how many entries there are."""
    with sqlite3.connect(path) as connection:
        journal = Journal()
        journal.load(*connection.execute("select sequence, chain_hash from ledger_head").fetchone())
        for first in range(0, runs, AT_ONCE):
            rows: list[dict[str, Any]] = []
            for number in range(first, min(first + AT_ONCE, runs)):
                at = BEGIN + number * DAYS * DAY // runs
                tell(journal, ids.new_at("run", at), number, at, rows)
            connection.executemany(EVENT, journal.pending)
            names = ", ".join(f'"{name}"' for name in rows[0])
            holes = ", ".join("?" * len(rows[0]))
            connection.executemany(
                f"insert into decisions ({names}) values ({holes})",
                [tuple(row.values()) for row in rows],
            )
            journal.pending.clear()
        head = (journal.sequence, journal.chain.hex())
        connection.execute("update ledger_head set sequence = ?, chain_hash = ?", head)
    return journal.sequence


async def prepare(directory: Path, runs: int) -> None:
    """Make a store with its ledger and its log."""
    start = BEGIN - DAY
    log = await open_log(directory, RehearsalClock(frozen=True, start=start))
    await log.store.close()
    fill(directory / FILE, runs)


def lateness(done: asyncio.Event) -> Iterator[float]:
    """Yield how late the loop ran at worst, once it is done."""
    loop, late = asyncio.get_running_loop(), [0.0]

    def watch(due: float) -> None:
        late.append(loop.time() - due)
        if not done.is_set():
            then = loop.time() + 0.005
            loop.call_at(then, watch, then)

    watch(loop.time())
    while True:
        yield max(late)


async def make(directory: Path, kind: ReportKind) -> dict[str, Any]:
    """Make one report in every format; return what that took."""
    log = await open_log(directory, RehearsalClock())
    gc.collect()
    gc.freeze()  # as a plane does
    began = time.perf_counter()
    await log.advance(now=True)
    found: dict[str, Any] = {"log_s": round(time.perf_counter() - began, 1)}
    reporting = Reporting(log.store, LedgerAudit(log), "bench")
    now = log.store.clock.now()

    async def never() -> bool:
        return False

    for way, (write, rows) in WAYS.items():
        done = asyncio.Event()
        late = lateness(done)
        next(late)
        began = time.perf_counter()
        asked = Asked(kind, now - (DAYS + 2) * DAY, now + 1, rows)
        report = await reporting.make(asked, lambda e: event_row(e).text, by="person/p", gone=never)
        text = await asyncio.to_thread(write, report)
        done.set()
        found[way] = {
            "s": round(time.perf_counter() - began, 1),
            "loop_late_ms": round(next(late) * 1000),
            "kb": len(text.encode()) // 1024,
        }
        found["entries"], found["counted"] = report.source.entries, report.source.counted
    await log.store.close()
    return {**found, "mb_at_most": most()}


def main() -> None:
    """Measure and print, or do what a parent asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=2, metavar=("KIND", "DIRECTORY"))
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(asyncio.run(make(Path(asked.child[1]), asked.child[0]))))
        return
    found: dict[str, Any] = {"runs": asked.runs}
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        asyncio.run(prepare(Path(directory), asked.runs))
        found["fill_s"] = round(time.perf_counter() - began)
        for kind in get_args(ReportKind):
            command = [sys.executable, "-m", "tests.benchmarks.report", "--child", kind, directory]
            ended = subprocess.run(command, capture_output=True, text=True, check=True)
            found[kind] = json.loads(ended.stdout)
            print(kind, json.dumps(found[kind]), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
