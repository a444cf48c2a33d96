"""Sessions on record: which run stands for one, on both databases, and after a restart."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.hooks.ground import after, before, command, governed, run
from tests.rig.plane import Plane
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.runs.sessions import SESSION, find_session, under_way, waiting_in
from watchkeeper.identity.enrolment import enrol, redeem_enrolment, workload_of
from watchkeeper.identity.model import NewRun, ReplayOf
from watchkeeper.identity.runs import open_run
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction


async def test_the_newest_run_of_a_session_is_found(store: Store, clock: RehearsalClock) -> None:
    def enrolled(tx: Transaction) -> str:
        return redeem_enrolment(tx, enrol(tx, "coder", ttl_seconds=60, actor="x").secret).secret

    mine = await store.write(enrolled)

    async def opened(session: str, kind: str = SESSION, replay: ReplayOf | None = None) -> str:
        def unit(tx: Transaction) -> str:
            new = NewRun("work", object_kind=kind, object_id=session, replay=replay)
            run = tx.new_id("run")
            workload = workload_of(tx, mine)
            return open_run(tx, workload, 1, new, run=run, ttl_seconds=60, epoch=0).run

        clock.advance(1)
        return await store.write(unit)

    async def found(session: str) -> str | None:
        agent, row = await store.read(lambda tx: find_session(tx, mine, session))
        assert agent == "coder"
        return row.run if row else None

    assert await found("claude:a") is None
    await opened("claude:a")
    newest = await opened("claude:a")
    await opened("claude:b")
    await opened("claude:a", kind="charge")
    # else the session would wait for a token that no agent has, or outlive its kill
    await opened("claude:a", replay=ReplayOf(newest, "dec_1", "person/ada"))
    assert await found("claude:a") == newest
    assert await store.read(lambda tx: waiting_in(tx, newest)) == []
    for key in ("claude:t1", None):
        with pytest.raises(NotFound):
            await store.read(partial(under_way, run=newest, key=key, call_digest="sha256:0"))


def test_a_session_goes_on_after_a_restart(tmp_path: Path) -> None:
    plane = Plane(tmp_path, clock="running").start()
    try:
        hook = command("claude", governed(plane))
        assert run(hook, before(), home=tmp_path).decision == "allow"
        plane.kill()
        blocked = run(hook, before(call="toolu_2"), home=tmp_path)
        assert (blocked.code, blocked.out) == (2, "")
        plane.restart()
        assert run(hook, after(), home=tmp_path).json() == {}
        assert run(hook, before(), home=tmp_path).decision == "deny", "it ran already"
        assert run(hook, before(call="toolu_2"), home=tmp_path).decision == "allow"
        (row,) = plane.operator.get("/v1/runs")["rows"]
        first = plane.operator.get("/v1/decisions", run=row["run"])["rows"][-1]
        assert first["outcome"] == "succeeded"
        lock = {"target": {"kind": "run", "name": row["run"]}, "reason": "stop it"}
        plane.operator.post("/v1/locks", lock)
        plane.stop()
        plane.restart()
        stopped = run(hook, before(call="toolu_3"), home=tmp_path)
        assert stopped.decision == "deny", "no new run evades the kill"
        assert stopped.json()["continue"] is False
    finally:
        plane.close()
