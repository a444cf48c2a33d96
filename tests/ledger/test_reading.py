from __future__ import annotations

import pytest

from watchkeeper import ledger
from watchkeeper.core.errors import Invalid
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

OWNER = "spiffe://watchkeeper.local/person/owner"


@pytest.fixture
async def filled(store: Store) -> Store:
    """Twelve events of three agents, in order 1 to 12."""

    def unit(tx: Transaction) -> None:
        for number in range(12):
            tx.record(
                ("decision.held", "request.created", "decision_like", "decision.denied")[
                    number % 4
                ],
                actor=OWNER,
                subject=f"s{number % 2}",
                agent=f"agent-{number % 3}",
                run=f"run_{number % 6}",
                request="request_1" if number % 4 == 1 else None,
                body={"number": number},
            )

    await store.write(unit)
    return store


def sequences(found: list[ledger.Event]) -> list[int]:
    return [event.sequence for event in found]


async def test_windows_hang_from_either_end(filled: Store) -> None:
    read = ledger.read_events
    assert sequences(await filled.read(lambda tx: read(tx, limit=3))) == [1, 2, 3]
    assert sequences(await filled.read(lambda tx: read(tx, after=3, limit=2))) == [4, 5]
    newest = await filled.read(lambda tx: read(tx, limit=2, newest_first=True))
    assert sequences(newest) == [12, 11]
    older = await filled.read(lambda tx: read(tx, before=11, limit=2, newest_first=True))
    assert sequences(older) == [10, 9]
    assert sequences(await filled.read(lambda tx: read(tx, after=4, before=7))) == [5, 6]
    assert await filled.read(lambda tx: read(tx, after=12)) == []


async def test_filters_all_hold(filled: Store) -> None:
    read = ledger.read_events
    assert sequences(await filled.read(lambda tx: read(tx, agent="agent-2"))) == [3, 6, 9, 12]
    assert sequences(await filled.read(lambda tx: read(tx, agent="agent-2", run="run_5"))) == [
        6,
        12,
    ]
    assert sequences(await filled.read(lambda tx: read(tx, request="request_1"))) == [2, 6, 10]
    assert sequences(await filled.read(lambda tx: read(tx, subject="s1", after=9))) == [10, 12]
    assert sequences(await filled.read(lambda tx: read(tx, type="request.created"))) == [2, 6, 10]
    below = await filled.read(lambda tx: read(tx, type="decision."))
    assert sequences(below) == [1, 4, 5, 8, 9, 12]
    assert await filled.read(lambda tx: read(tx, type="deci%.")) == []
    assert await filled.read(lambda tx: read(tx, actor="nobody")) == []


async def test_timeline_is_the_latest_in_order(filled: Store) -> None:
    timeline = ledger.timeline
    assert sequences(await filled.read(lambda tx: timeline(tx, request="request_1"))) == [2, 6, 10]
    latest = await filled.read(lambda tx: timeline(tx, agent="agent-0", limit=2))
    assert sequences(latest) == [7, 10]
    assert latest[-1].body == {"number": 9}


async def test_limits_and_empty_timelines_are_refused(store: Store) -> None:
    for limit in (0, 1001):
        with pytest.raises(Invalid, match="limit"):
            await store.read(lambda tx, limit=limit: ledger.read_events(tx, limit=limit))  # type: ignore[misc]
    with pytest.raises(Invalid, match="timeline needs"):
        await store.read(ledger.timeline)
