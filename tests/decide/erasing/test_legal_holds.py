"""What people hold outlasts every purge and erasure, and nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.decide.erasing.test_erasing import erasing, told
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.decide.erasing.holds import Wanted, extend, lift, list_holds, place
from watchkeeper.decide.erasing.keeping import purge_values, purge_vault
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.inspection.rules import personal_in

KIM, LEE = "kim@people.example", "lee@people.example"
DAY = 86_400


@pytest.fixture(autouse=True)
def _finds(store: Store) -> None:
    store.vault.find = personal_in


async def say(store: Store, text: str, run: str = "run_1") -> None:
    await store.write(
        lambda tx: tx.record(
            "run.closed", actor="agent/clerk", subject=f"run/{run}", run=run, body={"summary": text}
        )
    )


async def hold(store: Store, name: str, **wanted: Any) -> None:
    await store.write(
        lambda tx: place(tx, name, Wanted(**wanted), reason="a court", actor="person/ada")
    )


async def erase(store: Store, state: Path, *names: str, **more: Any) -> None:
    await erasing(store, state).erase(
        names, reason="asked", despite=more.get("despite", ()), actor="person/ada"
    )


@pytest.mark.parametrize("wanted", [{"people": [f"user/{KIM.title()}"]}, {"everything": True}])
async def test_nobody_is_erased_who_is_held(
    store: Store, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    await say(store, f"to {KIM}")
    await hold(store, "smith-v-acme", **wanted)
    for despite in ((), ("hold/smith-v-acme",), ("smith-v-acme",)):
        with pytest.raises(Conflict, match="smith-v-acme") as refused:
            await erase(store, tmp_path, KIM, despite=despite)
        assert refused.value.rule == "hold/smith-v-acme"
    (placed,) = await told(store, "hold.placed")
    assert KIM not in str(placed).lower()

    await store.write(lambda tx: lift(tx, "smith-v-acme", reason="settled", actor="person/bob"))
    await erase(store, tmp_path, KIM)
    assert "[erased]" in str(await told(store, "run.closed"))
    ((row, held),) = await store.read(list_holds)
    assert (row.lifted_by, row.lifted_why) == ("person/bob", "settled")
    assert held == ["everything"] or any(one.startswith("subject/sub_") for one in held)


async def test_a_name_is_taken_once_and_only_what_there_is_is_held(store: Store) -> None:
    await hold(store, "one", people=[KIM])
    with pytest.raises(Conflict):
        await hold(store, "one", people=[LEE])
    with pytest.raises(NotFound):
        await hold(store, "two", runs=["run_none"])
    with pytest.raises(NotFound):
        await store.write(lambda tx: lift(tx, "other", reason="x", actor="person/ada"))
    await store.write(lambda tx: lift(tx, "one", reason="x", actor="person/ada"))
    with pytest.raises(Conflict):
        await store.write(lambda tx: lift(tx, "one", reason="x", actor="person/ada"))


async def test_the_vault_drops_what_is_old_and_keeps_what_is_held(
    store: Store, clock: RehearsalClock
) -> None:
    await say(store, f"to {KIM} of {LEE}")
    await say(store, f"and {LEE}", "run_2")
    await hold(store, "kept", people=[KIM])
    clock.advance(31 * DAY)
    await say(store, f"new {LEE}", "run_3")
    await purge_vault(store, 30)
    texts = [body["summary"] for body in await told(store, "run.closed")]
    assert texts == [f"to {KIM} of {LEE}", "and [not kept]", f"new {LEE}"], "held with its run"
    (purged,) = await told(store, "vault.purged")
    assert (purged["values"], purged["days"]) == (1, 30)
    assert await store.write(lambda tx: purge_values(tx, 30)) == 0

    await store.write(lambda tx: lift(tx, "kept", reason="settled", actor="person/ada"))
    await purge_vault(store, 30)
    texts = [body["summary"] for body in await told(store, "run.closed")]
    assert texts == ["to [not kept] of [not kept]", "and [not kept]", f"new {LEE}"]
    names = {row.name for row in await erasing(store, Path()).subjects()}
    assert names == {LEE}


async def test_runs_that_began_since_are_held_with_the_person(store: Store) -> None:
    await hold(store, "kept", people=[KIM])
    await say(store, f"to {KIM}", "run_9")

    def held(tx: Transaction) -> list[str]:
        ((_, names),) = list_holds(tx)
        return names

    assert "run/run_9" not in await store.read(held)
    await store.write(extend)
    assert "run/run_9" in await store.read(held)
    await store.write(extend)
