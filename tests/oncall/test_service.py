"""Overrides in the store, on SQLite and PostgreSQL: none twice, none rewritten, each on record."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.core.errors import Conflict, Invalid, NotFound, TooLarge
from watchkeeper.ledger.reading import read_events
from watchkeeper.oncall import service
from watchkeeper.oncall.schedules import Override
from watchkeeper.store.statement import Row
from watchkeeper.store.store import Store
from watchkeeper.wire.oncall import OverrideKind

HOUR = 3600 * MICROSECONDS
START = 1_800_000_000 * MICROSECONDS


async def add(
    store: Store,
    kind: OverrideKind = "replace",
    *,
    add: str | None = "bob",
    remove: str | None = "ada",
    start: int = 0,
    end: int = 4,
    schedule: str = "desk",
    own_only: bool = False,
) -> Row:
    """Make an override that starts and ends so many hours from now."""
    now = store.clock.now()
    return await store.write(
        lambda tx: service.add(
            tx,
            schedule,
            kind,
            add=add,
            remove=remove,
            start=now + start * HOUR,
            end=now + end * HOUR,
            reason="planned",
            by="person/cay",
            own_only=own_only,
        )
    )


async def end(store: Store, override: str) -> Row:
    return await store.write(lambda tx: service.end(tx, override, reason="back", by="person/cay"))


async def standing(store: Store) -> tuple[Override, ...]:
    return await store.read(lambda tx: service.standing(tx, tx.now))


async def test_of_many_who_do_the_same_at_once_one_succeeds(store: Store) -> None:
    made = await asyncio.gather(
        *(add(store, start=number % 3) for number in range(12)), return_exceptions=True
    )
    refused = [one for one in made if isinstance(one, Conflict)]
    assert (len(refused), {one.code for one in refused}) == (11, {"overlapping_override"})
    assert len(await standing(store)) == 1


async def test_what_overlaps_without_being_alike_is_taken(store: Store) -> None:
    await add(store)
    await add(store, "add", add="bob", remove=None)
    await add(store, "replace", add="cay", remove="bob")  # bob hands on what he got
    await add(store, schedule="other")
    await add(store, start=4, end=8)
    for wrong in (
        partial(add, store, "remove", add=None),
        partial(add, store, "replace", add="dan"),
        partial(add, store, "add", remove=None, start=3, end=9),
    ):
        with pytest.raises(Conflict, match="does that already"):
            await wrong()
    assert len(await standing(store)) == 5


async def test_nothing_is_changed_afterwards(store: Store, clock: RehearsalClock) -> None:
    row = await add(store, start=-5, end=2)
    assert row.start_at == row.created_at
    with pytest.raises(Invalid):
        await add(store, start=-5, end=-1)
    clock.advance(3600)
    ended = await end(store, row.override)
    assert ended.until == row.start_at + HOUR
    before = await store.read(lambda tx: service.standing(tx, row.start_at))
    assert [(one.start, one.end) for one in before] == [(row.start_at, row.start_at + HOUR)]
    assert await standing(store) == ()
    with pytest.raises(Conflict, match="ended at"):
        await end(store, row.override)
    later = await add(store, start=5, end=6)
    assert (await end(store, later.override)).until < later.start_at  # it never counted
    await add(store, start=0, end=9)
    with pytest.raises(NotFound):
        await end(store, "ovr_none")
    kept = await store.read(lambda tx: read_events(tx, after=0, limit=100))
    assert [one.type for one in kept] == [
        "oncall.override_added", "oncall.override_removed",
        "oncall.override_added", "oncall.override_removed", "oncall.override_added",
    ]  # fmt: skip


async def test_a_schedule_has_so_many_overrides_at_most(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_STANDING", 5)
    for number in range(5):
        await add(store, start=number, end=number + 1)
    with pytest.raises(TooLarge):
        await add(store, start=900, end=901)
    await add(store, schedule="other")
    with pytest.raises(Invalid):
        await add(store, schedule="other", start=5, end=24 * 370)


async def test_who_hands_their_own_shifts_leaves_room_for_who_sees_to_all(store: Store) -> None:
    for number in range(service.MOST_OWN):
        made = await add(store, start=number, end=number + 1, own_only=True)
    with pytest.raises(TooLarge) as refused:
        await add(store, start=900, end=901, own_only=True)
    assert "oncall" in str(refused.value)
    await add(store, start=900, end=901)
    await end(store, made.override)
    await end(store, (await add(store, "add", remove=None)).override)
    await add(store, schedule="other", own_only=True)


async def test_of_very_many_the_soonest_are_listed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_MOST_LISTED", 3)
    made = [(await add(store, start=number, end=number + 1)).override for number in range(5)]
    now = store.clock.now()
    standing = await store.read(lambda tx: service.list_overrides(tx, after=now))
    assert [row.override for row in standing] == [made[2], made[1], made[0]]
    every = await store.read(service.list_overrides)
    assert [row.override for row in every] == [made[4], made[3], made[2]]


steps = st.one_of(
    st.tuples(
        st.just("add"),
        st.sampled_from(("add", "remove", "replace")),
        st.permutations(("ada", "bob", "cay")),
        st.integers(-2, 30),
        st.integers(1, 12),
    ),
    st.tuples(st.just("end"), st.integers(0, 20)),
    st.tuples(st.just("wait"), st.integers(1, 10)),
)


@settings(max_examples=12, deadline=None)
@given(st.lists(steps, min_size=4, max_size=16))
def test_whatever_is_done_in_whatever_order(tmp_path_factory: Any, done: list[Any]) -> None:
    asyncio.run(_walk(tmp_path_factory.mktemp("overrides"), done))


async def _walk(place: Any, done: list[Any]) -> None:
    """Do as told beside a model that keeps every override in a list."""
    clock = RehearsalClock(frozen=True, start=START)
    async with await Store.open(f"sqlite:///{place / 'x.sqlite3'}", clock) as store:
        known: list[Override] = []
        ended: set[str] = set()
        for what, *how in done:
            now = clock.now()
            if what == "wait":
                clock.advance(how[0] * 1800)
            elif what == "end" and known:
                one = known[how[0] % len(known)]
                if one.override in ended or one.end <= now:
                    with pytest.raises(Conflict):
                        await end(store, one.override)
                    continue
                await end(store, one.override)
                ended.add(one.override)
                known[known.index(one)] = replace(one, end=now)
            elif what == "add":
                kind, (who, whom, _), start, length = how
                new = Override(
                    "", "desk", kind,
                    who if kind != "remove" else None, whom if kind != "add" else None,
                    max(now, now + start * HOUR), now + (start + length) * HOUR,
                )  # fmt: skip
                alike = [
                    one
                    for one in known
                    if max(one.start, new.start) < min(one.end, new.end)
                    and ((new.remove and one.remove == new.remove)
                         or (one.kind == kind == "add" and one.add == new.add))
                ]  # fmt: skip
                make = partial(
                    add, store, kind, add=new.add, remove=new.remove, start=start,
                    end=start + length,
                )  # fmt: skip
                if new.end <= now:
                    with pytest.raises(Invalid):
                        await make()
                elif alike:
                    with pytest.raises(Conflict):
                        await make()
                else:
                    known.append(replace(new, override=(await make()).override))
            assert await standing(store) == tuple(one for one in known if one.end > clock.now())
