"""Following the ledger: the same spans whatever the batches, each entry told once."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from tests.traces.entries import (
    CALLER,
    RUN,
    about,
    as_events,
    asked,
    closed,
    decided,
    ended,
    entry,
    opened,
    record,
)
from watchkeeper.core.errors import Conflict
from watchkeeper.ledger.reading import read_events
from watchkeeper.store.journal import Event
from watchkeeper.store.store import Store
from watchkeeper.traces import projector as projector_module
from watchkeeper.traces import rows, service
from watchkeeper.traces.model import Span
from watchkeeper.traces.projector import Projector
from watchkeeper.traces.rules import needed_by
from watchkeeper.traces.tables import spans

RUNS = st.sampled_from([RUN, "run_2"])
DECISIONS = st.sampled_from(["dec_1", "dec_2", "dec_3"])
REQUESTS = st.sampled_from([None, "req_1", "req_2"])
CONTEXTS = st.sampled_from([{}, {"traceparent": CALLER}])
ENTRIES = st.one_of(
    st.builds(lambda run, more: opened(run, **more), RUNS, CONTEXTS),
    st.builds(closed, RUNS),
    st.builds(
        lambda verdict, decision, run, request, more: decided(
            verdict, decision, run=run, request=request, **more
        ),
        st.sampled_from(["permitted", "held", "denied"]),
        DECISIONS,
        RUNS,
        REQUESTS,
        CONTEXTS,
    ),
    st.builds(
        lambda decision, status, run: ended(decision, status, run=run),
        DECISIONS,
        st.sampled_from(["succeeded", "failed", "unknown"]),
        RUNS,
    ),
    st.builds(lambda decision: asked(decision=decision), DECISIONS),
    st.builds(
        about,
        st.sampled_from(
            ["request.approved", "request.revoked", "vote.cast", "grant.redeemed", "decision.odd"]
        ),
    ),
    st.builds(
        lambda decision: entry("hold.extended", f"decision/{decision}", decision="dec_1"), DECISIONS
    ),
    st.builds(lambda decision: entry("breaker.opened", "breaker/b", decision=decision), DECISIONS),
    st.builds(
        lambda decision: entry(
            "outcome.reconciled", f"decision/{decision}", request="req_1", status="failed"
        ),
        DECISIONS,
    ),
    st.builds(lambda: entry("run.stopped", f"run/{RUN}", lock="l", reason="r")),
    st.builds(lambda: entry("run.refused", "agent/clerk", run=None, reason="r", rule="x")),
)


def tell_all(events: list[Event]) -> dict[str, Span]:
    return {span.key: span for span in service.tell(service.Ahead(0, events, {})).changed}


@given(entries=st.lists(ENTRIES, max_size=25), data=st.data())
def test_batches_and_crashes_change_nothing(entries: list[dict[str, Any]], data: Any) -> None:
    events = as_events(entries)
    stored: dict[str, Span] = {}
    at = 0
    while at < len(events):
        batch = events[at : at + data.draw(st.integers(1, 6))]
        # what the store would find: nothing but what is looked for
        found = {key: stored[key] for key in needed_by(batch) if key in stored}
        changed = service.tell(service.Ahead(at, batch, found))
        if data.draw(st.booleans()):  # else the plane ended before it was kept
            stored |= {span.key: span for span in changed.changed}
            at += len(batch)
    assert stored == tell_all(events)


STORY = [
    opened(),
    asked(),
    decided("held", request="req_1", traceparent=CALLER, classes_in="email"),
    about("vote.cast"),
    about("request.approved", by="grace"),
    decided(decision="dec_2", request="req_1", routed={"model": "m", "reason": "called"}),
    about("grant.redeemed"),
    ended("dec_2"),
    decided("denied", "dec_3"),
    entry("tool.applied", "tool/t", run=None),
    closed(),
]


async def stored(store: Store) -> dict[str, Span]:
    query = select(spans)
    return await store.read(
        lambda tx: {row.key: rows.as_span(row) for row in tx.connection.execute(query)}
    )


async def write_story(store: Store) -> None:
    await write(store, STORY)


async def write(store: Store, entries: list[dict[str, Any]]) -> None:
    for one in entries:
        await store.write(partial(record, one=one))


async def test_a_store_holds_what_was_told_and_a_second_plane_tells_nothing_twice(
    store: Store,
) -> None:
    await write_story(store)
    one, other = Projector(store, events_at_once=1), Projector(store, events_at_once=3)
    await one.start()
    await other.start()
    await asyncio.gather(one.catch_up(), other.catch_up())
    await asyncio.gather(one.catch_up(), other.catch_up())
    assert one.told == other.told == store.head
    read = await store.read(lambda tx: service.look_ahead(tx, 10))
    assert (read.after, read.events) == (store.head, [])
    events = await store.read(lambda tx: read_events(tx, limit=99))
    found = await stored(store)
    assert found == tell_all(events)
    assert len(found) == 5


async def test_what_was_not_kept_is_told_again(store: Store) -> None:
    await write_story(store)
    projector = Projector(store, events_at_once=4)
    await projector.start()
    await projector.catch_up()
    whole = await stored(store)
    await write(store, [opened("run_9"), closed("run_9")])
    ahead = await store.read(lambda tx: service.look_ahead(tx, 10))

    def cut_off(tx: Any) -> None:
        service.keep(tx, ahead, service.tell(ahead))
        raise Conflict("the plane ends here")

    with pytest.raises(Conflict, match="ends here"):
        await store.write(cut_off)
    assert await stored(store) == whole
    await projector.catch_up()
    assert (await stored(store))["run_9"].outcome == "succeeded"
    with pytest.raises(Conflict, match="another"):
        await store.write(lambda tx: service.keep(tx, ahead, service.tell(ahead)))


async def test_who_reads_does_not_wait_for_all_that_happened_before_an_upgrade(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector_module, "FURTHEST_BEHIND", len(STORY) - 1)
    await write(store, STORY)
    projector = Projector(store)
    await projector.start()
    assert (await projector.catch_up(), await stored(store)) == (0, {})
    await projector.follow()
    assert await projector.catch_up() == store.head


async def test_a_plane_that_stops_ends_what_it_began_and_tells_no_more(store: Store) -> None:
    await write(store, STORY)
    projector = Projector(store, events_at_once=2)
    await projector.start()
    following = asyncio.create_task(projector.follow())
    await asyncio.sleep(0)  # the first events are being told
    await projector.stop()
    assert projector.told == 2
    await following
    assert projector.told == 2
    after = Projector(store)
    await after.start()
    assert after.told == 2
