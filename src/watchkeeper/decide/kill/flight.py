"""What is being performed at the boundary right now, so that a kill can cut it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.kill.sendings import Sending, Sendings
from watchkeeper.kill.model import Covered, LockTarget
from watchkeeper.kill.rules import covers

_MOST_LOCKS = 200
"""Locks of which it is remembered what they cut."""
MOST_EXPECTED = 20_000
"""Permits remembered that nobody performed or settled; beyond these the oldest is forgotten."""


@dataclass(slots=True, eq=False)
class InFlight:
    """One permitted action being performed, until its block is left; `cancelled` is the lock that
    cut it, if any.
    """

    decision: str
    covered: Covered
    cancel: Callable[[], None]
    cancelled: str | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    among: dict[str, InFlight] = field(default_factory=dict, repr=False)
    """All that are, by decision."""

    def __enter__(self) -> InFlight:
        return self

    def __exit__(self, *_: object) -> None:
        self.among.pop(self.decision, None)
        self.ended.set()


@dataclass(slots=True)
class _Permit:
    """What is known of an action that the plane performs, until that is settled."""

    covered: Covered
    catalogue: Catalogue
    flown: bool = False
    cut_by: str | None = None
    settled: asyncio.Event | None = None
    """There as soon as somebody waits for it."""


class Flights:
    """Every action in flight in this plane."""

    def __init__(self) -> None:
        self._permits: dict[str, _Permit] = {}
        self._flights: dict[str, InFlight] = {}
        self.sendings = Sendings()
        """What providers are asked right now."""
        self._cuts: dict[str, list[Cut]] = {}
        """By lock, what it cut."""

    def expect(self, decision: str, covered: Covered, catalogue: Catalogue) -> None:
        """Remember what an action touches that the plane performs, and under which documents it
        was decided on, until that is settled.
        """
        self._permits[decision] = _Permit(covered, catalogue)
        if len(self._permits) > MOST_EXPECTED:
            self.forget(next(iter(self._permits)))

    def forget(self, decision: str) -> None:
        """Drop a settled action."""
        permit = self._permits.pop(decision, None)
        if permit is not None and permit.settled is not None:
            permit.settled.set()

    def catalogue_of(self, decision: str) -> Catalogue | None:
        """Return what was in force when an action was permitted that is not settled yet: it is
        paid for at the prices that it was held at.
        """
        permit = self._permits.get(decision)
        return permit.catalogue if permit is not None else None

    async def settled(self, decision: str) -> None:
        """Wait until an action is settled; returns at once for one that this plane has not."""
        permit = self._permits.get(decision)
        if permit is not None:
            permit.settled = permit.settled or asyncio.Event()
            await permit.settled.wait()

    def fly(
        self, decision: str, cancel: Callable[[], None], lock: Callable[[Covered], str | None]
    ) -> InFlight:
        """Register an action while it is performed; `cancel` is called when a kill covers it.

        `lock` names a lock that came into force between the permit and now.
        """
        permit = self._permits.get(decision)
        if permit is None:
            raise LookupError(f"decision {decision} is not permitted and unsettled here")
        flight = InFlight(decision, permit.covered, cancel, among=self._flights)
        self._flights[decision] = flight
        permit.flown = True
        late = lock(permit.covered)
        if late is not None:
            self._cut(flight, late)
        return flight

    def is_flying(self, decision: str) -> bool:
        """Tell whether this plane performs an action right now."""
        return decision in self._flights

    def never_flew(self, decision: str) -> bool:
        """Tell whether this plane permitted an action to itself and never began it."""
        permit = self._permits.get(decision)
        return permit is not None and not permit.flown

    def count(self, target: LockTarget) -> int:
        """Return how many actions in flight a lock on `target` would cut."""
        return len(self._covered_by(target))

    def cut(self, target: LockTarget, lock: str) -> list[Cut]:
        """Cancel every action in flight that `target` covers and return them; of what a provider
        is asked only that.
        """
        hit = self._covered_by(target)
        for flight in hit:
            self._cut(flight, lock)
        return hit

    def cut_by(self, lock: str) -> list[Cut]:
        """Return what a lock cut, whether it has ended or not."""
        return [*self._cuts.get(lock, ())]

    def lock_of(self, decision: str) -> str | None:
        """Return the lock that cut an action which is not settled yet."""
        permit = self._permits.get(decision)
        return permit.cut_by if permit is not None else None

    def _covered_by(self, target: LockTarget) -> list[Cut]:
        if target.kind == "provider":
            return [*self.sendings.at(target.name)]
        # a drill counts in a thread of its own, while others begin and end
        return [flight for flight in [*self._flights.values()] if covers(target, flight.covered)]

    def _cut(self, flight: Cut, lock: str) -> None:
        if flight.cancelled is None:
            flight.cancelled = lock
            self._cuts.setdefault(lock, []).append(flight)
            permit = self._permits.get(flight.decision)
            if permit is not None:
                permit.cut_by = lock
            if len(self._cuts) > _MOST_LOCKS:
                del self._cuts[next(iter(self._cuts))]
            flight.cancel()


Cut = InFlight | Sending
