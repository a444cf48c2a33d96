from __future__ import annotations

import asyncio

import pytest

from tests.store.ground import ACTOR, ADD, ALL, AMOUNT, PUT, TAKE, accounts, amounts, put
from watchkeeper import ledger
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, Invalid, Unavailable, WatchkeeperError
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction


async def test_unit_is_answered_with_its_value_and_its_rows_stand(store: Store) -> None:
    assert await store.write(put("a", 3)) == 1
    assert await store.write(put("a", 4)) == 2
    assert await store.read(amounts) == {"a": 7}
    assert (await store.read(ledger.verify)).ok


async def test_neighbours_of_failing_units_stand_and_numbers_have_no_gaps(store: Store) -> None:
    failures = [None if n % 3 else ValueError(f"unit {n}") for n in range(60)]
    answers = await asyncio.gather(
        *(store.write(put(f"n{n:02}", 1, then=f)) for n, f in enumerate(failures)),
        return_exceptions=True,
    )
    good = [answer for answer in answers if isinstance(answer, int)]
    assert [str(answer) for answer in answers[::3]] == [f"unit {n}" for n in range(0, 60, 3)]
    assert good == list(range(1, 41))
    assert sorted(await store.read(amounts)) == [f"n{n:02}" for n in range(60) if n % 3]
    check = await store.read(ledger.verify)
    assert (check.ok, check.entries) == (True, 40)


async def test_broken_constraint_fails_its_unit_alone(store: Store) -> None:
    await store.write(put("full", 1))

    def overdraw(tx: Transaction) -> None:
        tx.record("account.take", actor=ACTOR, subject="full", body={})
        TAKE.run(tx, account="full", taken=2)

    answers = await asyncio.gather(
        store.write(put("a")), store.write(overdraw), store.write(put("b")), return_exceptions=True
    )
    assert isinstance(answers[1], Conflict)
    assert answers[1].code == "constraint"
    assert await store.read(amounts) == {"a": 1, "b": 1, "full": 1}
    assert (await store.read(ledger.verify)).entries == 3


async def test_lone_failing_unit_leaves_nothing(store: Store) -> None:
    with pytest.raises(KeyError):
        await store.write(put("a", then=KeyError("a")))
    assert await store.read(amounts) == {}
    assert store.head == 0
    assert await store.write(put("a")) == 1


async def test_change_without_event_is_refused_unless_declared(store: Store) -> None:
    def quiet(tx: Transaction) -> None:
        ADD.run(tx, name="a", amount=1)

    def core(tx: Transaction) -> None:
        tx.connection.execute(accounts.insert().values(name="b", amount=1))

    def declared(tx: Transaction) -> None:
        tx.silent("the test wants it so")
        ADD.run(tx, name="c", amount=1)

    for unit in (quiet, core):
        with pytest.raises(WatchkeeperError, match="recorded no event") as refusal:
            await store.write(unit)
        assert refusal.value.code == "unrecorded_change"
    await store.write(declared)
    assert await store.read(amounts) == {"c": 1}


async def test_unit_that_changed_no_row_needs_no_event(store: Store) -> None:
    assert await store.write(lambda tx: TAKE.first(tx, account="nobody", taken=1)) is None


async def test_record_outside_its_unit_is_refused(store: Store) -> None:
    kept: list[Transaction] = []
    await store.write(kept.append)
    with pytest.raises(RuntimeError, match="cannot record"):
        kept[0].record("late", actor=ACTOR, subject="x", body={})
    with pytest.raises(RuntimeError, match="cannot record"):
        await store.read(lambda tx: tx.record("r", actor=ACTOR, subject="x", body={}))


async def test_read_cannot_write(store: Store) -> None:
    with pytest.raises(Exception, match=r"(?i)read-?only|readonly"):
        await store.read(lambda tx: ADD.run(tx, name="a", amount=1))
    assert await store.read(amounts) == {}


async def test_coroutine_function_is_refused(store: Store) -> None:
    async def unit(tx: Transaction) -> None:
        tx.record("never", actor=ACTOR, subject="x", body={})

    with pytest.raises(TypeError, match="not a coroutine"):
        _ = await store.write(unit)
    assert store.head == 0


async def test_unit_cancelled_while_it_waits_is_not_run(store: Store) -> None:
    waiting = asyncio.ensure_future(store.write(put("cancelled")))
    first = asyncio.ensure_future(store.write(put("first")))
    await asyncio.sleep(0)  # both are queued now, and no batch has begun
    waiting.cancel()
    await first
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await store.read(amounts) == {"first": 1}


async def test_callbacks_run_once_for_what_is_durable(store: Store) -> None:
    called: list[str] = []

    def unit(name: str, *, fail: bool) -> object:
        def run(tx: Transaction) -> None:
            tx.after_commit(lambda: called.append(name))
            put(name, then=ValueError("no") if fail else None)(tx)

        return run

    def broken() -> None:
        raise RuntimeError("a broken callback")

    def with_broken_callback(tx: Transaction) -> None:
        tx.after_commit(broken)

    await asyncio.gather(
        store.write(unit("a", fail=False)),  # type: ignore[arg-type]
        store.write(unit("b", fail=True)),  # type: ignore[arg-type]
        store.write(with_broken_callback),
        store.write(unit("c", fail=False)),  # type: ignore[arg-type]
        return_exceptions=True,
    )
    assert called == ["a", "c"]


async def test_rows_have_names_and_places_on_every_path(store: Store) -> None:
    def unit(tx: Transaction) -> None:
        assert ADD.run(tx, name="a", amount=5) == 1
        assert PUT.run(tx, name="a", amount=5) == 1
        taken = TAKE.first(tx, account="a", taken=1)
        assert taken is not None
        assert (taken.amount, taken[0]) == (9, 9)
        assert TAKE.run(tx, account="nobody", taken=1) == 0
        assert AMOUNT.scalar(tx, account="a") == 9
        assert AMOUNT.scalar(tx, account="nobody") is None
        ADD.run_many(tx, [{"name": "b", "amount": 1}, {"name": "c", "amount": 2}])
        assert [(row.name, row[1]) for row in ALL.all(tx)] == [("a", 9), ("b", 1), ("c", 2)]
        tx.record("checked", actor=ACTOR, subject="x", body={})

    await store.write(unit)


async def test_core_and_compiled_statements_share_one_transaction(store: Store) -> None:
    def unit(tx: Transaction) -> int:
        tx.connection.execute(accounts.insert().values(name="core", amount=1))
        ADD.run(tx, name="compiled", amount=1)
        count = len(tx.connection.execute(accounts.select()).all())
        tx.record("both", actor=ACTOR, subject="x", body={})
        return count

    def failing(tx: Transaction) -> None:
        unit(tx)

    assert await store.write(unit) == 2
    results = await asyncio.gather(
        store.write(put("a")), store.write(failing), store.write(put("b")), return_exceptions=True
    )
    assert isinstance(results[1], Conflict)
    assert sorted(await store.read(amounts)) == ["a", "b", "compiled", "core"]


async def test_times_and_ids_come_from_the_clock(store: Store, clock: RehearsalClock) -> None:
    first, at = await store.write(lambda tx: (tx.new_id("run"), tx.now))
    assert at == clock.now()
    clock.advance(0.000001)
    assert first < await store.write(lambda tx: tx.new_id("run"))


async def test_event_too_large_or_without_form_fails_its_unit(store: Store) -> None:
    def record(body: dict[str, object]) -> object:
        return lambda tx: tx.record("big", actor=ACTOR, subject="x", body=body)

    with pytest.raises(WatchkeeperError, match="65535"):
        await store.write(record({"text": "x" * 70_000}))  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        await store.write(record({"value": float("nan")}))  # type: ignore[arg-type]
    assert store.head == 0


async def test_closed_store_refuses_and_what_was_queued_is_kept(
    database_url: str, clock: RehearsalClock
) -> None:
    store = await Store.open(database_url, clock)
    queued = [asyncio.ensure_future(store.write(put(f"n{n}"))) for n in range(10)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*queued) == list(range(1, 11))
    with pytest.raises(Unavailable):
        await store.write(put("late"))
    with pytest.raises(Unavailable, match="closed"):
        await store.read(amounts)
    again = await Store.open(database_url, clock)
    assert again.head == 10
    assert await again.write(put("next")) == 11
    assert (await again.read(ledger.verify)).ok
    await again.close()


async def test_many_more_units_than_a_batch(store: Store) -> None:
    answers = await asyncio.gather(*(store.write(put("a")) for _ in range(700)))
    assert answers == list(range(1, 701))
    assert await store.read(amounts) == {"a": 700}


async def test_patient_unit_waits_for_company_and_is_seen_by_whoever_reads(store: Store) -> None:
    waiting = asyncio.create_task(store.write(put("patient", 1), patience=3600))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await store.read(amounts) == {"patient": 1}
    assert await waiting == 1


async def test_patient_unit_goes_with_the_next_that_is_not(store: Store) -> None:
    waiting = asyncio.create_task(store.write(put("patient", 1), patience=3600))
    await asyncio.sleep(0)
    assert await store.write(put("urgent", 2)) == 2
    assert await waiting == 1
    assert (await store.read(ledger.verify)).entries == 2


async def test_patient_unit_goes_alone_once_its_patience_ends(store: Store) -> None:
    assert await store.write(put("patient", 1), patience=0.001) == 1


async def test_patient_unit_is_durable_before_the_store_closes(store: Store) -> None:
    waiting = asyncio.create_task(store.write(put("patient", 1), patience=3600))
    await asyncio.sleep(0)
    await store.close()
    assert await waiting == 1


async def test_unit_that_need_not_be_durable_is_not_synced_and_records_no_event(
    store: Store,
) -> None:
    synced: list[str] = []

    def unit(tx: Transaction) -> None:
        tx.silent("a test")
        PUT.run(tx, name="a", amount=1)
        on_sqlite = tx.driver is not None
        asked = "PRAGMA synchronous" if on_sqlite else "SHOW synchronous_commit"
        synced.append(str(tx.connection.exec_driver_sql(asked).scalar()))

    with pytest.raises(RuntimeError, match="not durable"):
        await store.write(put("b"), durable=False)
    await store.write(unit, durable=False)
    await store.write(unit)
    await asyncio.gather(store.write(unit, durable=False), store.write(unit))
    on_sqlite = synced[0] == "1"
    assert synced == (["1", "2", "2", "2"] if on_sqlite else ["off", "on", "on", "on"])
    assert await store.read(amounts) == {"a": 4}
    assert await store.write(put("b")) == 1
