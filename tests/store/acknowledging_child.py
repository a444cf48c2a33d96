"""Processes that write units and tell on their output which were acknowledged, until killed.

Each line on the input starts one, forked so that its imports cost nothing; the output then
carries its process id, its acknowledgements, and `dead` once it was killed.
"""

from __future__ import annotations

import asyncio
import os
import sys

from tests.store.ground import ACTOR, PUT
from watchkeeper.core.clock import SystemClock
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

CLIENTS = 6


async def client(store: Store, number: int) -> None:
    count = 0
    while True:
        count += 1
        name = f"{os.getpid()}-{number}-{count}"

        def unit(tx: Transaction, name: str = name) -> int:
            for part in ("left", "right"):
                PUT.run(tx, name=f"{name}-{part}", amount=1)
            return tx.record("account.put", actor=ACTOR, subject=name, body={"parts": 2})

        sequence = await store.write(unit)
        os.write(1, f"{sequence} {name}\n".encode())


async def run(url: str) -> None:
    store = await Store.open(url, SystemClock())
    await asyncio.gather(*(client(store, number) for number in range(CLIENTS)))


if __name__ == "__main__":
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(run(sys.argv[1]))
            os._exit(1)
        os.write(1, f"child {child}\n".encode())
        os.waitpid(child, 0)
        os.write(1, b"dead\n")
