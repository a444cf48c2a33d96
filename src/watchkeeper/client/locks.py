"""The typed client's part on locks."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.locks import BlastRadius, Lift, Lock, LockRow, Target
from watchkeeper.wire.pages import Page


class LockCalls(Calls):
    """Locks: what one would stop, put in force, lifted."""

    async def locks(self, *, state: str = "in_force") -> Page[LockRow]:
        """List locks; `state` is in_force or all."""
        return await self._get(Page[LockRow], "/v1/locks", state=state)

    async def preview_lock(self, target: Target) -> BlastRadius:
        """Count what a lock on `target` would stop now."""
        return await self._post(BlastRadius, "/v1/locks/preview", target)

    async def lock(self, lock: Lock) -> LockRow:
        """Put a kill or pause in force."""
        return await self._post(LockRow, "/v1/locks", lock)

    async def read_lock(self, lock: str) -> LockRow:
        """Read one lock with its receipts."""
        return await self._get(LockRow, f"/v1/locks/{path_part(lock)}")

    async def lift(self, lock: str, lift: Lift) -> LockRow:
        """End a lock."""
        return await self._post(LockRow, f"/v1/locks/{path_part(lock)}/lift", lift)
