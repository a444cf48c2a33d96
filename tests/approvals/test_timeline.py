"""The timeline of a request whose agent asks again and again."""

from __future__ import annotations

from tests.approvals.ground import OPS, open_one, vote
from watchkeeper.approvals.acknowledging import acknowledge
from watchkeeper.approvals.attendance import caller_came, caller_left
from watchkeeper.approvals.comments import comment
from watchkeeper.approvals.timeline import LONGEST_TIMELINE, read_timeline
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction


async def come_and_go(store: Store, request: str, times: int) -> None:
    """Have its caller hang up and ask again."""

    def unit(tx: Transaction) -> None:
        for _ in range(times):
            caller_left(tx, request)
            caller_came(tx, request)

    await store.write(unit)


async def test_no_vote_and_no_word_is_drowned(store: Store) -> None:
    request = await open_one(store, quorum=2)
    await come_and_go(store, request, 600)
    await vote(store, request)
    await store.write(lambda tx: comment(tx, request, person="person/bob", text="wait"))
    await store.write(lambda tx: acknowledge(tx, request, person="person/grace", roles=OPS))
    await come_and_go(store, request, 300)
    shown = await store.read(lambda tx: read_timeline(tx, request))
    types = [entry.type for entry in shown]
    assert len(types) <= LONGEST_TIMELINE
    assert types[0] == "request.created"
    assert [one for one in types if not one.startswith("request.caller_")] == [
        "request.created", "vote.cast", "request.commented", "request.acknowledged",
    ]  # fmt: skip
    assert sorted(entry.sequence for entry in shown) == [entry.sequence for entry in shown]
