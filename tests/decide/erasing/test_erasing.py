"""An erasure is one thing: begun with the keys' end, and told as done when nothing is left."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from watchkeeper.api.erasing import needs_of_erasures
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Conflict, Unavailable
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.erasing import service, sweep
from watchkeeper.decide.erasing.records import list_erasures
from watchkeeper.decide.erasing.service import Erasing
from watchkeeper.identity.enrolment import enrol, redeem_enrolment, workload_of
from watchkeeper.identity.model import NewRun
from watchkeeper.identity.runs import open_run
from watchkeeper.identity.tables import runs
from watchkeeper.ledger.reading import read_events
from watchkeeper.ledger.verification import verify
from watchkeeper.store import retention
from watchkeeper.store.journal import events
from watchkeeper.store.metadata import metadata
from watchkeeper.store.retention import Held
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.store.vault_tables import data_subjects, vault_values
from watchkeeper.tools.inspection.rules import personal_in
from watchkeeper.traces import contents
from watchkeeper.traces.contents import Content

ROWS, AT_ONCE = 4, 2
"""More than one unit takes."""
LEE = "lee@people.example"


class Cut(BaseException):
    """The process ends here."""


@pytest.fixture(autouse=True)
def _finds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.vault.find = personal_in
    monkeypatch.setattr(service, "ROWS_AT_ONCE", AT_ONCE)


def erasing(store: Store, state: Path) -> Erasing:
    """What a plane makes when it starts."""

    async def settle() -> None:
        pass

    return Erasing(store, CatalogueView(build_catalogue({})), state, settle=settle)


async def plant(store: Store, state: Path, person: str) -> None:
    """Have somebody in entries, in tables and in the log."""

    def say(tx: Transaction) -> None:
        body = {"summary": f"to {person} and {LEE}"}
        tx.record("run.closed", actor="agent/clerk", subject="run/run_1", run="run_1", body=body)
        kept = [
            Content(f"dec {person} {n}", "input", f"run_{n}", "clerk", tx.now, "text",
                    f"said {n} to {person}", "sha256:0", 9, None)
            for n in range(ROWS)
        ]  # fmt: skip
        contents.keep(tx, kept)

    await store.write(say)
    with (state / "plane.log").open("a") as log:
        log.write(f"refused for {person}\n")


async def dump(store: Store, state: Path) -> str:
    """All that stands in tables and logs."""

    def read(tx: Transaction) -> str:
        return "\n".join(
            str(row) for table in metadata.sorted_tables
            for row in tx.connection.execute(select(table))
        )  # fmt: skip

    return await store.scan(read) + (state / "plane.log").read_text()


async def told(store: Store, type_: str) -> list[dict[str, Any]]:
    found = await store.read(lambda tx: read_events(tx, type=type_, limit=500))
    return [dict(event.body) for event in found]


def cut_after(store: Store, writes: int) -> Callable[[], None]:
    """End the process when it has written so often; returns what lets it live again."""
    left, write = itertools.count(), store.write

    async def cutting(*given: Any, **more: Any) -> Any:
        if next(left) == writes:
            raise Cut
        return await write(*given, **more)

    store.write = cutting  # type: ignore[method-assign]
    return lambda: setattr(store, "write", write)


async def test_one_that_is_cut_off_anywhere_is_finished_and_never_told_as_done_before(
    store: Store, tmp_path: Path
) -> None:
    ended = 0
    for step in itertools.count():
        person = f"kim{step}@people.example"
        await plant(store, tmp_path, person)
        live = cut_after(store, step)
        try:
            done = await erasing(store, tmp_path).erase(
                [person], reason="asked", despite=(), actor="person/ada"
            )
        except Cut:
            done = None
        finally:
            live()
        left = person in await dump(store, tmp_path)
        told_as_done = len(await told(store, "subject.erased")) > ended
        assert not (left and told_as_done)
        if step == 0:
            assert left
            assert await store.read(list_erasures) == [], "nothing was begun"
        else:
            newest, *_ = await store.read(list_erasures)
            assert (newest.ended_at is not None) == told_as_done

        await erasing(store, tmp_path).go_on()
        if step == 0:
            await erasing(store, tmp_path).erase(
                [person], reason="asked", despite=(), actor="person/ada"
            )
        ended += 1
        assert person not in await dump(store, tmp_path)
        assert len(await told(store, "subject.erasing")) == ended
        assert len(await told(store, "subject.erased")) == ended
        if done is not None:
            break
    assert ended > 6, "it was cut off at every step"
    rows = [row.swept for row in await store.read(list_erasures)]
    assert rows == [ROWS] * ended, "each row is counted once, however often it was cut off"
    found = await store.scan(verify)
    assert found.ok, found.detail
    assert LEE in await dump(store, tmp_path) or LEE in str(await told(store, "run.closed"))


@pytest.mark.parametrize("kind", ["run", "agent", "everything"])
async def test_a_hold_that_comes_meanwhile_wins(
    store: Store, tmp_path: Path, kind: retention.Kind
) -> None:
    person = "kim@people.example"
    await plant(store, tmp_path, person)
    name = {"run": "run_3", "agent": "clerk", "everything": "*"}[kind]
    scan = store.scan

    async def scan_and_hold(query: Any) -> Any:
        found = await scan(query)

        def hold(tx: Transaction) -> None:
            tx.silent("by hand")
            retention.hold(tx, "inc_1", [Held(kind, name)], 1)

        await store.write(hold)
        return found

    store.scan = scan_and_hold  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="inc_1") as refused:
        await erasing(store, tmp_path).erase(
            [person], reason="asked", despite=(), actor="person/ada"
        )
    assert refused.value.rule == "incident/inc_1"
    store.scan = scan  # type: ignore[method-assign]
    assert person in str(await told(store, "run.closed")), "nothing was destroyed"
    assert await store.read(list_erasures) == []


async def test_one_that_does_not_come_to_an_end_says_so_and_goes_on(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = "kim@people.example"
    await plant(store, tmp_path, person)
    change = sweep.change

    def change_nothing(tx: Transaction, rows: Any) -> None:
        tx.silent("somebody writes it anew each time")

    monkeypatch.setattr(sweep, "change", change_nothing)
    with pytest.raises(Unavailable, match="copies are still being written") as told_so:
        await erasing(store, tmp_path).erase(
            [person], reason="asked", despite=(), actor="person/ada"
        )
    assert told_so.value.code == "erasure_unfinished"
    (row,) = await store.read(list_erasures)
    assert row.ended_at is None
    assert await told(store, "subject.erased") == []
    assert person not in str(await told(store, "run.closed")), "entries tell it no more"

    monkeypatch.setattr(sweep, "change", change)
    await erasing(store, tmp_path).go_on()
    assert person not in await dump(store, tmp_path)
    assert len(await told(store, "subject.erased")) == 1


async def test_with_every_key_in_hand_nothing_known_can_be_tried_against_what_is_left(
    store: Store, tmp_path: Path
) -> None:
    person, key = "kim@people.example", bytes(32)
    store.vault.use(key)
    await plant(store, tmp_path, person)
    await erasing(store, tmp_path).erase([person], reason="asked", despite=(), actor="person/ada")

    guesses = [person, f"user/{person}", LEE, "sub_1", "run_1"]
    handles = hmac.digest(key, b"watchkeeper/vault/handle/v1", "sha256")
    found = {hashlib.sha256(one.encode()).hexdigest() for one in guesses}
    for scope, one in itertools.product(["", "run_1", *(f"run_{n}" for n in range(ROWS))], guesses):
        for secret in (key, handles, b"", one.encode()):
            found.add(hmac.digest(secret, one.encode(), "sha256").hex())
            found.add(hmac.digest(secret, f"{scope}\0{one}".encode(), "sha256").hex())

    def bodies(tx: Transaction) -> str:
        return " ".join(tx.connection.scalars(select(events.c.body)))

    stored = await store.read(bodies)
    assert [one for one in found if one in stored] == []

    def kept(tx: Transaction) -> tuple[list[Any], list[Any]]:
        subjects = tx.connection.execute(select(data_subjects)).all()
        values = tx.connection.execute(select(vault_values)).all()
        return list(subjects), list(values)

    subjects, values = await store.read(kept)
    gone = {row.subject for row in subjects if row.erased_at is not None}
    assert len(gone) == 1
    assert all(row.name is None and row.sealed_key is None for row in subjects
               if row.subject in gone)  # fmt: skip
    of_gone = [row for row in values if row.subject in gone]
    assert of_gone
    assert all(row.sealed is None and row.handle is None for row in of_gone)
    left = {row.handle.hex() for row in values if row.handle is not None}
    assert left & found == {hmac.digest(handles, f"run_1\0{LEE}".encode(), "sha256").hex()}, (
        "of whoever is not erased, the vault's own key finds it"
    )


async def test_one_that_does_not_get_on_needs_somebody(store: Store, tmp_path: Path) -> None:
    await plant(store, tmp_path, LEE)
    live = cut_after(store, 1)
    with pytest.raises(Cut):
        await erasing(store, tmp_path).erase([LEE], reason="asked", despite=(), actor="person/ada")
    live()
    rooms: Any = SimpleNamespace(store=store)
    minute = 60 * MICROSECONDS
    assert await needs_of_erasures(rooms, store.clock.now() + minute, mine=True) == []
    (need,) = await needs_of_erasures(rooms, store.clock.now() + 11 * minute, mine=True)
    assert "has not ended" in need.text
    await erasing(store, tmp_path).go_on()
    assert await needs_of_erasures(rooms, store.clock.now() + 11 * minute, mine=True) == []


async def test_who_is_called_as_somebody_begins_stays_in_their_runs(
    store: Store, tmp_path: Path
) -> None:
    kim = "kim@people.example"
    (tmp_path / "plane.log").touch()

    def opened(tx: Transaction) -> None:
        workload = workload_of(tx, redeem_enrolment(
            tx, enrol(tx, "clerk", ttl_seconds=60, actor="x").secret
        ).secret)  # fmt: skip
        for person in (
            f"{kim}.org",
            f"user/{kim}.co-op.org",
            f"mailto:{kim}",
            f"{kim}.org and {kim}",
        ):
            new = NewRun("work", person)
            open_run(tx, workload, 1, new, run=tx.new_id("run"), ttl_seconds=60, epoch=0)

    await store.write(opened)
    await store.write(
        lambda tx: tx.record("x.y", actor="x", subject="x", whose=kim, body={"a": kim})
    )
    await erasing(store, tmp_path).erase([kim], reason="asked", despite=(), actor="person/ada")
    query = select(runs.c.on_behalf_of).order_by(runs.c.run)
    found = await store.read(lambda tx: list(tx.connection.scalars(query)))
    assert found == [
        f"{kim}.org", f"user/{kim}.co-op.org", "mailto:[erased]", "[erased].org and [erased]"
    ]  # fmt: skip
