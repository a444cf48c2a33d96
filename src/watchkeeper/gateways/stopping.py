"""Shutting off the upstreams that a lock is on: child processes and sessions end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from watchkeeper.decide.kill.effector import Done, name_of
from watchkeeper.decide.kill.effects import Reach
from watchkeeper.kill.model import LockInForce
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.upstreams.pool import Pool
from watchkeeper.wire.locks import ENDS, Effect


class UpstreamStops:
    """Ends the connections of a locked upstream, and says when nothing of them is left."""

    effect: Effect = "stop run"
    kind = "upstream"
    pauses = False

    def __init__(self, pool: Pool, in_force: Callable[[], Iterable[LockInForce]]) -> None:
        self._pool = pool
        self._in_force = in_force

    def parties(self, tx: Transaction, lock: LockInForce, reach: Reach) -> Sequence[str]:
        """Return the upstream that is the target."""
        return (f"{self.kind}/{lock.target.name}",) if lock.target.kind == "upstream" else ()

    async def carry_out(self, lock: LockInForce, party: str) -> Done:
        """Shut it off, and wait until its process has ended, or its session."""
        name = name_of(party)
        if all(one.lock != lock.lock for one in self._in_force()):
            return Done("the lock was lifted before it was shut off", "plane")
        if name not in self._pool.shut:
            self._pool.shut_off({**self._pool.shut, name: f"lock/{lock.lock}"})
        whole = await self._pool.ended(name)
        transport = self._pool.transport_of(name)
        if transport is None:
            return Done("no upstream of that name is in force: nothing is called there", "plane")
        if transport == "http":
            session = "its session is closed" if whole else "it did not say that it let go of ours"
            return Done(f"nothing more is sent to it; {session}", "plane")
        if not whole:
            return Done("of its process group something still runs: end it by hand")
        if not self._pool.ended_here(name):
            said = "this plane started no process of it, and starts none; one that a plane left "
            return Done(f"{said}which died has lost its pipes: look for it by hand", "plane")
        return Done("its process has ended, with its group; none is started", "plane")

    async def rehearse(self, lock: LockInForce, party: str) -> Done:
        """Say what would end."""
        transport = self._pool.transport_of(name_of(party))
        if transport is None:
            return Done("no upstream of that name is in force", supported=False)
        if transport == "http":
            return Done("nothing more would be sent to it, and its session closed")
        return Done("its process would be ended, with its group")


def shut_by(
    locks: Iterable[LockInForce], already: Mapping[str, str], *, starting: bool = False
) -> dict[str, str]:
    """Return the upstreams that locks shut off, each with its lock.

    A drain does once what it covers has ended: where that was seen already, or the plane starts
    and nothing is in flight.
    """
    found: dict[str, str] = {}
    for lock in locks:
        name = lock.target.name
        if lock.target.kind != "upstream" or lock.mode not in ENDS:
            continue
        if lock.mode == "stop" or starting or name in already:
            found.setdefault(name, f"lock/{lock.lock}")
    return found
