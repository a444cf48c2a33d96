"""What a request says of others like it."""

from __future__ import annotations

from sqlalchemy import insert

from tests.approvals.ground import open_one, read
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.tables import requests
from watchkeeper.approvals.words import MOST_COUNTED
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction


async def test_of_very_many_the_newest_are_counted(store: Store) -> None:
    request = await open_one(store)
    assert (await read(store, request)).history.startswith("No other request for")

    def fill(tx: Transaction) -> None:
        tx.silent("what happened before")
        like = find(tx, request)._asdict()
        rows = [
            {
                **like,
                "request": f"req_0{n:04}",
                "run": f"old_{n}",
                "state": "succeeded" if n < MOST_COUNTED else "denied",
                "created_at": like["created_at"] - n,
            }
            for n in range(1, MOST_COUNTED + 50)
        ]
        tx.connection.execute(insert(requests), rows)

    await store.write(fill)
    said = (await read(store, request)).history
    assert said.startswith("the newest 1,000 other requests for stripe.create_refund")
    assert "999 approved, 1 rejected" in said
