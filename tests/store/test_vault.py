"""Personal data of entries: committed to, given back to readers, and gone with its keys."""

from __future__ import annotations

import hmac
import json

import pytest
from sqlalchemy import select, update

from watchkeeper.ledger.commitments import compare_commitments
from watchkeeper.ledger.reading import read_events
from watchkeeper.ledger.verification import verify
from watchkeeper.store.journal import Event, events
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.store.vault_tables import data_subjects, vault_values
from watchkeeper.tools.inspection.rules import personal_in

KIM, LEE = "kim@people.example", "lee@people.example"


@pytest.fixture(autouse=True)
def _finds(store: Store) -> None:
    store.vault.find = personal_in


def note(tx: Transaction, text: str, *, whose: str | None = None, **more: object) -> int:
    return tx.record(
        "run.closed",
        actor="agent/clerk",
        subject="run/run_1",
        run="run_1",
        body={"summary": text, **more},
        whose=whose,
    )


async def stored(store: Store) -> list[str]:
    return await store.read(
        lambda tx: [row.body for row in tx.connection.execute(select(events.c.body))]
    )


async def told(store: Store) -> list[Event]:
    return await store.read(lambda tx: read_events(tx, type="run.closed"))


async def test_an_entry_commits_to_a_text_that_readers_get(store: Store) -> None:
    text = f'He said "{KIM}\n" and {LEE}, twice: {KIM}'
    feed = store.subscribe()
    await store.write(lambda tx: note(tx, text, inner={"a": [f"to {LEE}"]}))

    (body,) = await stored(store)
    assert KIM not in body
    assert LEE not in body
    made = json.loads(body)["personal"]
    assert len(made) == 2
    opened = await store.read(lambda tx: tx.vault.open(tx, made))
    assert {one.text for one in opened.values()} == {KIM, LEE}
    for value, commitment in made.items():
        salt, said = opened[value].salt, opened[value].text
        assert salt is not None
        assert said is not None
        assert hmac.digest(salt, said.encode(), "sha256").hex() == commitment
    for event in (*await told(store), *await anext(feed)):
        assert event.body["summary"] == text
        assert event.body["inner"] == {"a": [f"to {LEE}"]}


async def test_what_is_done_for_somebody_is_theirs_as_a_whole(store: Store) -> None:
    await store.write(lambda tx: note(tx, "he wants his money back", whose="user/kim"))
    (body,) = await stored(store)
    assert "money" not in body
    (event,) = await told(store)
    assert event.body["summary"] == "he wants his money back"


async def test_of_the_erased_nothing_opens_and_the_rest_does(store: Store) -> None:
    await store.write(lambda tx: note(tx, f"{KIM} and {LEE}"))
    both = "sha256:" + "5" * 64

    def together(tx: Transaction) -> int:
        tx.vault.commit(tx, both, (KIM, LEE), "run_1")
        return note(tx, "digest of both", digest=both)

    await store.write(together)
    assert both not in " ".join(await stored(store))
    before = await stored(store)

    def erase(tx: Transaction) -> None:
        tx.silent("by hand")
        lost = data_subjects.c.name == KIM
        tx.connection.execute(update(data_subjects).where(lost).values(sealed_key=None))
        tx.after_commit(tx.vault.forget)

    await store.write(erase)
    assert await stored(store) == before
    found = await store.scan(verify)
    assert found.ok, found.detail
    first, second = await told(store)
    assert first.body["summary"] == f"[not kept] and {LEE}"
    assert second.body["digest"] == "[not kept]", "of two it is gone with either"

    def mark(tx: Transaction) -> None:
        tx.silent("by hand")
        lee = select(data_subjects.c.subject).where(data_subjects.c.name == LEE)
        erased = {"sealed": None, "handle": None, "erased_at": tx.now}
        tx.connection.execute(
            update(vault_values)
            .where(vault_values.c.subject == lee.scalar_subquery())
            .values(erased)
        )

    await store.write(mark)
    (first, _) = await told(store)
    assert first.body["summary"] == "[not kept] and [erased]"
    (said,) = await store.scan(compare_commitments)
    assert said == "personal values that entries commit to: 1 erased, 2 not kept"


async def test_a_value_that_was_changed_in_the_vault_shows(store: Store) -> None:
    await store.write(lambda tx: note(tx, f"to {KIM}"))
    await store.write(lambda tx: note(tx, f"to {LEE}"))

    def swap(tx: Transaction) -> None:
        tx.silent("by hand")
        ordered = select(vault_values).order_by(vault_values.c.value)
        first, _ = tx.connection.execute(ordered).all()
        tx.connection.execute(update(vault_values).values(sealed=first.sealed))

    await store.write(swap)
    store.vault.forget()
    texts = sorted(event.body["summary"] for event in await told(store))
    assert texts == ["to [not kept]", f"to {KIM}"], "a value opens in its own place only"


async def test_nobody_reads_a_value_by_writing_its_mark(store: Store) -> None:
    await store.write(lambda tx: note(tx, f"to {KIM}"))
    (body,) = await stored(store)
    (value,) = json.loads(body)["personal"]
    await store.write(lambda tx: note(tx, f"[personal {value}]"))
    _, forged = await told(store)
    assert forged.body["summary"] == f"[personal {value}]"
    await store.write(lambda tx: note(tx, f"[personal {value}] said {LEE}"))
    _, _, mixed = await told(store)
    assert mixed.body["summary"] == f"[personal {value}] said {LEE}"


async def test_a_unit_that_is_undone_leaves_no_commitment_behind(store: Store) -> None:
    def fail(tx: Transaction) -> None:
        note(tx, f"to {KIM}")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.write(fail)
    await store.write(lambda tx: note(tx, f"to {KIM}"))
    await store.write(lambda tx: note(tx, f"for {KIM}"))
    one, two = await told(store)
    assert (one.body["summary"], two.body["summary"]) == (f"to {KIM}", f"for {KIM}")
    assert one.body["personal"] == two.body["personal"], "in one run it is one value"


async def test_without_a_key_entries_commit_and_nothing_is_kept(store: Store) -> None:
    store.vault.use(None)
    await store.write(lambda tx: note(tx, f"to {KIM}"))
    (body,) = await stored(store)
    assert KIM not in body
    (event,) = await told(store)
    assert event.body["summary"] == "to [not kept]"
