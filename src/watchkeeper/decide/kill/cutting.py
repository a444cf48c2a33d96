"""Cutting what is in flight, and saying what came of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

from sqlalchemy import func, select

from watchkeeper.core.words import count
from watchkeeper.decide.kill.effector import Done
from watchkeeper.decide.kill.effects import Reach
from watchkeeper.decide.kill.flight import InFlight
from watchkeeper.decide.service import Decider
from watchkeeper.decide.tables import decisions
from watchkeeper.kill.model import CALLS, LockInForce
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import Effect

_END_SECONDS = 3.0
_RECORD_SECONDS = 1.0
"""How long to wait for what was cut to end, and for its outcomes to be on record."""
_AT_ONCE = 500


class Calls:
    """Cuts the calls in flight, and waits for them to end."""

    effect: Effect = "stop run"
    kind = CALLS
    pauses = False

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._since = decider.store.clock.now()

    def parties(self, tx: Transaction, lock: LockInForce, reach: Reach) -> Sequence[str]:
        """Return the calls, if there are any."""
        return (CALLS,) if self._decider.flights.count(lock.target) else ()

    async def carry_out(self, lock: LockInForce, party: str) -> Done:
        """Cut them, if that was not done as the lock came into force; say how they ended."""
        flights = self._decider.flights
        # also what another lock has cut and that has not ended
        cut = list({*flights.cut(lock.target, lock.lock), *flights.cut_by(lock.lock)})
        if not cut:
            if lock.created_at < self._since:
                said = "the plane was started anew since: how they ended is on record as unknown"
            else:
                said = "cut: 0; all had ended by themselves"
            return Done(said, "plane")
        await _until([one.ended.wait() for one in cut], _END_SECONDS)
        ended = [one for one in cut if one.ended.is_set()]
        said = f"cut: {len(cut)}"
        if len(ended) < len(cut):
            return Done(f"{said}; not ended yet: {len(cut) - len(ended)}")
        if lock.target.kind == "provider":
            return Done(f"{said}; each goes on where it has another target", "plane")
        return Done(f"{said}; {await self._ended(cut)}", "plane")

    async def _ended(self, cut: Sequence[InFlight]) -> str:
        """Say how what was cut has ended."""
        names = [one.decision for one in cut]
        waits = [self._decider.flights.settled(name) for name in names]
        await _until(waits, _RECORD_SECONDS)
        found = await self._decider.store.read(lambda tx: _outcomes(tx, names))
        open_ = f"; not on record yet: {found[None]}" if found[None] else ""
        unknown = found["unknown"]
        if not unknown:
            return f"all ended{open_}"
        return f"all ended, {count(unknown, 'outcome')} unknown{open_}"


async def _until(waits: Sequence[Coroutine[Any, Any, object]], seconds: float) -> None:
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        await asyncio.wait(tasks, timeout=seconds)
    finally:
        for task in tasks:
            task.cancel()


def _outcomes(tx: Transaction, names: Sequence[str]) -> Counter[str | None]:
    found: Counter[str | None] = Counter()
    for start in range(0, len(names), _AT_ONCE):
        query = (
            select(decisions.c.outcome, func.count().label("many"))
            .where(decisions.c.decision.in_(names[start : start + _AT_ONCE]))
            .group_by(decisions.c.outcome)
        )
        for row in tx.connection.execute(query):
            found[row.outcome] += row.many
    return found
