"""What is kept, for how long, and how it is found again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, text

from tests.traces.entries import RUN, about, asked, closed, decided, ended, opened
from tests.traces.test_following import stored, write
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.accounting import check_calls
from watchkeeper.store import retention
from watchkeeper.store.retention import Held
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import contents, keeping, words
from watchkeeper.traces.contents import Content
from watchkeeper.traces.keeping import Terms
from watchkeeper.traces.projector import Projector
from watchkeeper.traces.reading import Wanted, list_spans

DAY = 86_400
NONE_OF_SUCCESS = Terms(percent=0)
WORK: list[dict[str, Any]] = [
    opened(),
    decided(decision="dec_well"),
    ended("dec_well"),
    decided(decision="dec_failed"),
    ended("dec_failed", "failed", error="the bank is closed"),
    decided("denied", "dec_denied", reason="Strasse 12 is not on its allowlist"),
    asked(decision="dec_held"),
    decided("held", "dec_held", request="req_1"),
    about("request.approved", by="grace", text="approved by grace: the receipt is attached"),
    decided(decision="dec_approved", request="req_1"),
    ended("dec_approved"),
    decided(decision="dec_runs"),
    closed(),
]


async def told(store: Store, terms: Terms, at_once: int = 128) -> Projector:
    projector = Projector(store, terms, events_at_once=at_once)
    await projector.start()
    await projector.catch_up()
    return projector


@pytest.mark.parametrize("at_once", [1, 2, 128])
async def test_sampling_leaves_out_nothing_but_what_went_well(store: Store, at_once: int) -> None:
    await write(store, WORK)
    await told(store, NONE_OF_SUCCESS, at_once)
    found = await stored(store)
    assert set(found) == {
        RUN, "dec_failed", "dec_denied", "dec_held", "req_1", "dec_approved", "dec_runs",
    }  # fmt: skip
    assert (found[RUN].calls, found[RUN].cost_micros) == (4, 600)
    hour = keeping.HOUR_US
    assert await store.read(lambda tx: keeping.left_out(tx, 0, tx.now + hour)) == 1


async def test_of_a_share_of_runs_everything_is_kept(store: Store) -> None:
    for number in range(60):
        run, decision = f"run_{number}", f"dec_{number}"
        await write(store, [decided(decision=decision, run=run), ended(decision, run=run)])
    await told(store, Terms(percent=50))
    assert 15 <= len(await stored(store)) <= 45


async def test_spans_and_what_was_said_are_forgotten_in_time_unless_held(
    store: Store, clock: RehearsalClock
) -> None:
    said = [
        Content(key, "input", run, "clerk", clock.now(), "json", "{}", "sha256:0", 2)
        for key, run in (("dec_1", RUN), ("dec_2", "run_2"))
    ]
    await store.write(lambda tx: contents.keep(tx, said))
    await write(store, [opened(), decided("denied", "dec_1"), decided(decision="dec_open")])
    await write(store, [opened("run_2"), decided("denied", "dec_2", run="run_2")])
    await write(store, [closed(), closed("run_2")])
    projector = await told(store, Terms(days=2, content_days=1))

    def hold(tx: Transaction) -> None:
        tx.silent("a test")
        retention.hold(tx, "incident/1", [Held("run", "run_2")], 1)

    await store.write(hold)
    clock.advance(DAY + 60)
    await projector.purge()
    assert await store.read(lambda tx: contents.read(tx, "dec_1")) == []
    assert await store.read(lambda tx: contents.read(tx, "dec_2")) == [said[1]]
    assert len(await stored(store)) == 5
    clock.advance(DAY)
    await projector.purge()
    # what lasts is kept, and what is held
    assert set(await stored(store)) == {"dec_open", "run_2", "dec_2"}
    assert await search(store, "denied") == {"dec_2"}


async def search(store: Store, text: str) -> set[str]:
    page, _ = await store.read(lambda tx: list_spans(tx, Wanted(text=text)))
    return {span.key for span in page}


async def test_words_of_what_did_not_go_its_usual_way_are_found(store: Store) -> None:
    await write(store, WORK)
    await told(store, Terms(), 3)
    assert await search(store, "bank CLOSED") == {"dec_failed"}
    assert await search(store, "allowl") == {"dec_denied"}
    assert await search(store, "receipt grace") == {"req_1"}
    assert await search(store, "books.refund denied") == {"dec_denied"}
    assert await search(store, "12") == {"dec_denied"}
    assert await search(store, "bank strasse") == set()
    assert await search(store, 'bank" OR "x* AND NOT :*|&!') == set()
    assert "dec_well" not in await search(store, "books")
    for odd in (".", "a " * 13):
        with pytest.raises(Invalid):
            await search(store, odd)


async def test_the_check_says_what_is_missing_and_what_nobody_decided(store: Store) -> None:
    await write(store, [opened(), decided(decision="dec_1"), decided("denied", "dec_2")])
    await told(store, Terms())
    found = await store.scan(lambda tx: check_calls(tx, 0, tx.now + 1, Terms()))
    # the ledger of this test has a permit that no decision stands behind
    assert (found.ok, found.admitted, found.decided, found.recorded) == (False, 1, 0, 1)
    assert found.unknown == ("dec_1",)
    # nor does it say under which policies they were decided
    assert found.unattributed == ("dec_1", "dec_2")


async def test_the_check_says_what_cannot_be_put_down_to_anybody(store: Store) -> None:
    under = {"policies": "sha256:0"}
    entries = [
        opened(),
        decided(decision="dec_well", on_behalf_of="user/ada", **under),
        decided("denied", "dec_nobody", **under),
        decided("held", "dec_unknown_rules", on_behalf_of="user/ada"),
        decided(decision="dec_waved", request="req_1", on_behalf_of="user/ada", **under),
        decided(decision="dec_voted", request="req_2", on_behalf_of="user/ada",
                approved_by=["person/bob"], **under),
        decided(decision="dec_unversioned", on_behalf_of="user/ada", version=None, **under),
    ]  # fmt: skip
    await write(store, entries)
    await told(store, Terms())
    found = await store.scan(lambda tx: check_calls(tx, 0, tx.now + 1, Terms()))
    assert set(found.unattributed) == {
        "dec_nobody", "dec_unknown_rules", "dec_waved", "dec_unversioned",
    }  # fmt: skip


async def test_nothing_of_words_that_were_taken_out_stays_in_the_index(store: Store) -> None:
    await write(store, WORK)
    await told(store, Terms(), 3)

    def take_out(tx: Transaction) -> None:
        tx.silent("a test")
        tx.connection.execute(
            delete(words.span_words).where(words.span_words.c.key == "dec_denied")
        )
        words.scrub(tx)

    def pages(tx: Transaction) -> bytes:
        if tx.connection.dialect.name != "sqlite":
            return b""
        kept = tx.connection.execute(text("SELECT block FROM span_words_index_data")).scalars()
        return b"".join(kept)

    before = await store.read(pages)
    # a word stands without what it begins with as the one before
    assert b"rasse" in before or before == b""
    await store.write(take_out)
    assert b"rasse" not in await store.read(pages)
    assert await search(store, "strasse") == set()
    assert await search(store, "receipt") == {"req_1"}
