"""Hand-overs on a store: kept whole, taken over once, told of when they are late."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from tests.rig.sweeping import sweep
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.core.errors import Conflict, Invalid
from watchkeeper.oncall.handovers import service
from watchkeeper.oncall.handovers.model import NewHandover, Taker
from watchkeeper.oncall.handovers.rules import is_late, why_not
from watchkeeper.store.journal import events
from watchkeeper.store.store import Store

NEW = NewHandover(
    role="ops",
    schedule=None,
    by="ada",
    to=None,
    next=("bob",),
    since=1,
    due_at=2,
    sequence=3,
    text="quiet",
    edited=True,
    sections="[]",
)
NAMES = st.sampled_from(["ada", "bob", "carol", "dan"])


def taker(person: str, *names: str, holds: bool = True) -> Taker:
    return Taker(person, frozenset({person, *names}), holds)


async def test_of_many_who_take_over_at_once_one_does(store: Store) -> None:
    handover = await store.write(lambda tx: service.give(tx, NEW))
    digest = (await store.read(lambda tx: service.find(tx, handover))).digest

    async def take(number: int) -> None:
        who = taker(f"p{number}")
        await store.write(lambda tx: service.acknowledge(tx, handover, taker=who, digest=digest))

    answers = await asyncio.gather(*(take(n) for n in range(20)), return_exceptions=True)
    assert answers.count(None) == 1
    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert {answer.code for answer in refused} == {"already_acknowledged"}
    assert len(refused) == 19
    row = await store.read(lambda tx: service.find(tx, handover))
    assert row.acknowledged_by == f"p{answers.index(None)}"


async def test_it_is_told_once_that_one_is_late(store: Store, clock: RehearsalClock) -> None:
    due = replace(NEW, due_at=clock.now() + 60 * MICROSECONDS)
    handover = await store.write(lambda tx: service.give(tx, due))
    taken = await store.write(lambda tx: service.give(tx, due))
    digest = (await store.read(lambda tx: service.find(tx, taken))).digest
    await store.write(lambda tx: service.acknowledge(tx, taken, taker=taker("bob"), digest=digest))
    for _ in range(3):
        clock.advance(59)
        await sweep(store, service.HANDLERS)
    page = await store.read(lambda tx: service.list_handovers(tx, which="given"))
    assert [row.handover for row in page] == [handover]
    told = select(events.c.subject).where(events.c.type == "handover.late")
    late = await store.read(lambda tx: list(tx.connection.execute(told).scalars()))
    assert late == [f"handover/{handover}"]


@given(st.data())
def test_a_digest_covers_all_that_is_handed_over(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([field.name for field in fields(NewHandover)]))
    value = getattr(NEW, name)
    other: Any
    if name in ("role", "schedule"):
        changed = (
            replace(NEW, role="dev") if name == "role" else replace(NEW, role=None, schedule="ops")
        )
    else:
        kinds: dict[type, Any] = {bool: not value, int: value if value is None else 9}
        other = kinds.get(type(value), ("carol",) if isinstance(value, tuple) else "other")
        changed = replace(NEW, **{name: other})
    assert changed.digest("hov_1", 5) != NEW.digest("hov_1", 5)
    assert NEW.digest("hov_1", 6) != NEW.digest("hov_1", 5) != NEW.digest("hov_2", 5)


@given(NAMES, NAMES, st.frozensets(NAMES), st.booleans(), st.frozensets(NAMES))
def test_who_gave_it_never_takes_it_over(
    by: str, person: str, names: frozenset[str], holds: bool, awaited: frozenset[str]
) -> None:
    who = taker(person, *names, holds=holds)
    barrier = why_not(who, by=by, to=None, next_people=awaited)
    if by in who.names:
        assert barrier is not None
    else:
        assert (barrier is None) == (holds or bool(awaited & who.names))


@given(st.integers(0, 9), st.none() | st.integers(0, 9), st.integers(0, 9))
def test_it_is_late_from_the_change_on_until_it_is_read(
    due_at: int, acknowledged_at: int | None, now: int
) -> None:
    late = is_late(due_at=due_at, acknowledged_at=acknowledged_at, now=now)
    assert late == (acknowledged_at is None and now >= due_at)


def test_it_names_one_watch() -> None:
    for changes in ({"role": None}, {"schedule": "nights"}):
        with pytest.raises(Invalid):
            replace(NEW, **changes)
