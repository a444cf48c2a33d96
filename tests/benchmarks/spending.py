"""What spending, run costs, a report and the dearest decisions take beside many decisions.

`python -m tests.benchmarks.spending [--decisions 100000] [--postgres] [--json FILE]`. Settled
decisions of 30 days are inserted as rows: 40 agents, 3 versions each, 8 models, 10 calls a run.
Each question is then asked off the write path as the API does, of the last seven days (beside
the seven before) or of all 30, while a task counts how late the event loop runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from tests.benchmarks.quality import scan
from tests.rig.postgres import Postgres
from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS, SystemClock
from watchkeeper.decide.recorded import Wanted, list_decisions
from watchkeeper.decide.spending.attribution import read_spending
from watchkeeper.decide.spending.periods import ReportPeriod
from watchkeeper.decide.spending.report import read_chargeback
from watchkeeper.decide.spending.run_costs import read_run_costs
from watchkeeper.decide.spending.sums import Scope
from watchkeeper.decide.spending.texts import as_csv
from watchkeeper.decide.tables import decisions
from watchkeeper.identity.tables import runs
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

DAY = 86_400 * MICROSECONDS
DAYS = 30
PER_RUN = 10
AT_ONCE = 5000
EMPTY_DECISION = dict.fromkeys(column.name for column in decisions.c)
EMPTY_RUN = dict.fromkeys(column.name for column in runs.c)


def decision_of(n: int, at: int, run: str, chance: random.Random) -> dict[str, Any]:
    """Return one settled model or tool call as it is stored."""
    is_model = n % 3 != 0
    agent = n // PER_RUN % 40
    return {
        **EMPTY_DECISION, "decision": ids.new_at("dec", at), "at": at, "agent": f"agent-{agent}",
        "run": run, "version": n // PER_RUN % 3 + 1, "kind": "model" if is_model else "tool",
        "name": f"model-{n % 8}" if is_model else f"tool-{n % 50}",
        "arguments": json.dumps({"note": "x" * (n % 200)}), "digest": f"sha256:{n:064}",
        "verdict": "permit", "rule": "contract/permit", "reason": "the contract permits it",
        "epoch": 1, "outcome": "failed" if n % 40 == 0 else "succeeded", "settled_at": at + 900_000,
        "input_tokens": n % 4000 * is_model, "output_tokens": n % 900 * is_model,
        "cost_micros": int(chance.lognormvariate(7, 1)) * is_model, "performer": "plane",
        "question": "q" * 300, "provider": f"provider-{n % 3}" if is_model else None,
        "provider_model": "m" if is_model else None, "route_reason": "the first that does well",
        "team": f"team-{agent % 8}", "project": f"project-{agent % 12}" if agent % 4 else None,
        "person": f"person/p{n % 2000}", "object": f"charge/ch_{n % 9000}", "value_micros": 0,
    }  # fmt: skip


async def fill(store: Store, count: int) -> None:
    """Insert decisions and the runs that they are of."""
    chance = random.Random(1)
    begin = store.clock.now() - DAYS * DAY
    for first in range(0, count, AT_ONCE):
        rows, opened = [], []
        run = ""
        for n in range(first, min(first + AT_ONCE, count)):
            at = begin + n * DAYS * DAY // count
            if n % PER_RUN == 0:
                run = ids.new_at("run", at)
                opened.append({
                    **EMPTY_RUN, "run": run, "agent": f"agent-{n // PER_RUN % 40}", "version":
                    n // PER_RUN % 3 + 1, "state": "succeeded", "goal": "work", "environment": "x",
                    "opened_at": at, "closed_at": at + 60 * MICROSECONDS,
                })  # fmt: skip
            rows.append(decision_of(n, at, run, chance))

        def unit(tx: Transaction, rows: Any = rows, opened: Any = opened) -> None:
            tx.silent("a benchmark fills the store")
            tx.connection.execute(insert(runs), opened)
            tx.connection.execute(insert(decisions), rows)

        await store.write(unit)


async def measure(count: int, url: str) -> dict[str, Any]:
    """Fill a store and ask it everything."""
    async with await Store.open(url, SystemClock()) as store:
        begin = time.perf_counter()
        await fill(store, count)
        found: dict[str, Any] = {"decisions": count, "fill_s": round(time.perf_counter() - begin)}
        now = store.clock.now()
        week, month = Scope(now - 7 * DAY, now), Scope(now - DAYS * DAY, now)
        team = Scope(now - 7 * DAY, now, teams={"team-1"}, agents={"agent-1"})
        period = ReportPeriod("all", "UTC", month.since, month.until)
        asked = {
            "hour by agent": lambda tx: read_spending(
                tx, "agent", Scope(now - DAY // 24, now), limit=100
            ),
            "week by agent": lambda tx: read_spending(tx, "agent", week, limit=100),
            "week by run": lambda tx: read_spending(tx, "run", week, limit=100),
            "week of one team": lambda tx: read_spending(tx, "agent", team, limit=100),
            "month by model": lambda tx: read_spending(tx, "model", month, limit=100),
            "run costs": lambda tx: read_run_costs(tx, until=now),
            "report of 30 days": lambda tx: read_chargeback(
                tx, period, ("team", "project", "agent", "version", "model"), month
            ),
            "report as CSV": lambda tx: as_csv(
                read_chargeback(tx, period, ("team", "project", "agent", "version"), month)
            ),
            "dearest": lambda tx: list_decisions(tx, Wanted(order="dearest"), limit=100),
            "dearest of a provider": lambda tx: list_decisions(
                tx, Wanted(named={"provider": "provider-1"}, order="dearest"), limit=100
            ),
        }
        for name, query in asked.items():
            found[name] = await scan(store, query)
        return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--decisions", type=int, default=100_000)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.postgres:
        server = Postgres()
        try:
            found = asyncio.run(measure(given.decisions, server.create_database()))
        finally:
            server.close()
    else:
        with tempfile.TemporaryDirectory() as directory:
            url = f"sqlite:///{directory}/plane.sqlite3"
            found = asyncio.run(measure(given.decisions, url))
    text = json.dumps(found, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
