"""What runtimes say of a run counts as its sign of life only where it can give no other."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from watchkeeper.health.model import Remote
from watchkeeper.runtimes.life import life_of
from watchkeeper.runtimes.tables import remote_runs, runtime_states
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

FOUND: dict[str, Any] = {
    "runtime": "graphs", "state": "running", "said": "running", "first_seen_at": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "remote"),
    [
        ([], Remote()),
        ([{"standing": "ours"}], Remote()),
        ([{"standing": "adopted"}], Remote(seen_at=50)),
        ([{"standing": "adopted", "missing_since": 40}], Remote()),
        ([{"standing": "ours", "missing_since": 40, "lost_at": 45}], Remote(lost_at=45)),
        ([{"standing": "ours", "lost_at": 45}, {"standing": "ours"}], Remote()),
        ([{"standing": "ours", "lost_at": 45, "ended_at": 46}], Remote()),
    ],
)
async def test_what_runtimes_say(store: Store, rows: list[dict[str, Any]], remote: Remote) -> None:
    def put(tx: Transaction) -> None:
        tx.silent("as polling keeps it")
        state = {"runtime": "graphs", "answers": "ok", "complete": 1, "failures": 0}
        tx.connection.execute(insert(runtime_states).values(**state, listed_at=50, offered="[]"))
        for n, row in enumerate(rows):
            found = {**FOUND, "id": f"r{n}", "run": "run_1", **row}
            tx.connection.execute(insert(remote_runs).values(found))

    await store.write(put)
    assert await store.read(lambda tx: life_of(tx, "run_1")) == remote
    assert await store.read(lambda tx: life_of(tx, "run_2")) == Remote()
