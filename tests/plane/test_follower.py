"""Who follows the ledger is told again and again, whatever one of them makes of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.rig.deadline import eventually_async
from tests.rig.stores import sqlite_url
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.plane.follower import Follower
from watchkeeper.store.store import Store


async def test_a_listener_that_fails_leaves_nobody_else_untold(tmp_path: Path) -> None:
    decided: list[str] = []
    woken: list[int] = []

    def fail(*_: object) -> None:
        raise LookupError("odd")

    def take(requests: Iterable[str]) -> None:
        decided.extend(requests)

    async with await Store.open(sqlite_url(tmp_path), RehearsalClock()) as store:
        follower = Follower(store, take, lambda: woken.append(1), *[fail] * 7)
        follower.start()
        for type_ in ("request.created", "tool.applied", "request.approved"):
            await store.write(
                lambda tx, type_=type_: tx.record(  # type: ignore[misc]
                    type_, actor="a", subject="s", request="req_1", body={}
                )
            )

        async def told() -> bool:
            return decided == ["req_1"] and len(woken) >= 1

        await eventually_async(told)
        await follower.stop()
