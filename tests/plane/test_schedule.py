"""Housekeeping forgets what is spent, and nothing that still counts."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select

from tests.rig.stores import sqlite_url
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.activity import purge_activity
from watchkeeper.decide.runs.children import expire_runs
from watchkeeper.decide.tables import BUCKET_US, activity
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import IssuedRun, NewRun, Workload
from watchkeeper.identity.persons import issue_token
from watchkeeper.identity.purging import purge_expired
from watchkeeper.identity.runs import open_run
from watchkeeper.identity.tables import credentials, enrolments, person_tokens, runs
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

TABLES = (enrolments, credentials, person_tokens)


async def test_expired_secrets_are_forgotten_and_live_ones_kept(tmp_path: Path) -> None:
    clock = RehearsalClock(frozen=True)
    async with await Store.open(sqlite_url(tmp_path), clock) as store:

        async def counts() -> list[int]:
            return await store.read(
                lambda tx: [
                    tx.connection.execute(select(func.count()).select_from(one)).scalar_one()
                    for one in TABLES
                ]
            )

        secret = await store.write(lambda tx: enrol(tx, "clerk", ttl_seconds=60, actor="a"))
        await store.write(lambda tx: redeem_enrolment(tx, secret.secret))
        await store.write(lambda tx: issue_token(tx, "ada", "viewer", ttl_seconds=60, actor="a"))
        assert await store.write(lambda tx: purge_expired(tx, tx.now)) == 0
        clock.advance(61)
        assert await store.write(lambda tx: purge_expired(tx, tx.now)) == 2
        assert await counts() == [0, 1, 0]


async def test_old_sums_of_activity_are_forgotten(tmp_path: Path) -> None:
    async with await Store.open(sqlite_url(tmp_path), RehearsalClock(frozen=True)) as store:
        rows = [
            {"agent": "clerk", "bucket": bucket, "permitted": 1, "denied": 0, "held": 0,
             "spend_micros": 0, "last_at": bucket * BUCKET_US}
            for bucket in (1, 2, 3)
        ]  # fmt: skip

        def add(tx):  # type: ignore[no-untyped-def]
            tx.silent("a test")
            tx.connection.execute(activity.insert(), rows)

        await store.write(add)
        assert await store.write(lambda tx: purge_activity(tx, 3 * BUCKET_US)) == 2


async def test_a_run_whose_tokens_are_gone_has_expired(tmp_path: Path) -> None:
    clock = RehearsalClock(frozen=True)
    async with await Store.open(sqlite_url(tmp_path), clock) as store:
        new = NewRun("left behind")
        clerk = Workload("clerk", "proof")

        def begin(tx: Transaction) -> IssuedRun:
            return open_run(tx, clerk, 1, new, run=tx.new_id("run"), ttl_seconds=60, epoch=0)

        left = await store.write(begin)
        clock.advance(61)
        alive = await store.write(begin)
        assert await store.write(lambda tx: expire_runs(tx, tx.now - 60_000_000)) == 0
        await store.write(lambda tx: purge_expired(tx, tx.now))
        assert await store.write(lambda tx: expire_runs(tx, tx.now)) == 1
        states = await store.read(
            lambda tx: dict(tx.connection.execute(select(runs.c.run, runs.c.state)).all())
        )
        assert states == {left.run: "expired", alive.run: "open"}
