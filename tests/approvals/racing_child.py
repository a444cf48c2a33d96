"""A process that does one thing to requests over and over, beside another that does the contrary.

`racing_child URL WHAT REQUEST…`: WHAT is redeem, revoke, approve, deny or expire. It waits for a
byte, then takes the requests in order; prints one line `REQUEST 1|0` for each: whether it worked.
"""

from __future__ import annotations

import asyncio
import sys

from tests.approvals.ground import LEAD, OPS, pass_time
from tests.rig.deadline import eventually_async
from watchkeeper.approvals import service
from watchkeeper.approvals.rows import find
from watchkeeper.core.clock import SystemClock
from watchkeeper.core.errors import Conflict, WatchkeeperError
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction


def act(tx: Transaction, what: str, request: str, who: int) -> bool:
    """Do it; whether it worked."""
    tx.silent("the other may have been first")
    row = find(tx, request)
    if what == "redeem":
        grant = service.find_grant(tx, row.run, row.digest, tx.now)
        return grant is not None and service.redeem(tx, grant, f"dec_{who}", tx.now)
    if what == "revoke":
        return sum(service.revoke(tx, runs=[row.run], lock="lock_1", now=tx.now)) == 1
    service.cast_vote(
        tx,
        request,
        person=f"p{who}",
        roles=OPS | LEAD,
        verdict="approve" if what == "approve" else "reject",
        digest=row.digest,
    )
    return True


async def run(url: str, what: str, who: int, requests: list[str]) -> None:
    """Go through the requests; where only one process may write at a time, take turns."""
    left = list(requests)

    async def turn() -> bool:
        async with await Store.open(url, SystemClock(), migrate=False) as store:
            for request in left[:3]:
                worked = await once(store, what, request, who)
                sys.stdout.write(f"{request} {int(worked)}\n")
                left.remove(request)
        return not left

    await eventually_async(turn, "every request was tried", every=0.005, tolerate=(Conflict,))


async def once(store: Store, what: str, request: str, who: int) -> bool:
    """Do it to one request."""
    if what == "expire":
        return await pass_time(store) > 0
    try:
        return await store.write(lambda tx: act(tx, what, request, who))
    except WatchkeeperError as error:
        if error.code not in ("already_decided", "expired", "already_voted"):
            raise
        return False


if __name__ == "__main__":
    sys.stdin.read(1)
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
