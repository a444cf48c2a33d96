"""What is being performed at the boundary right now, so that a kill can cut it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.kill.model import Covered, LockTarget
from watchkeeper.kill.rules import covers

_MOST_LOCKS = 200
"""Locks of which it is remembered what they cut."""
MOST_EXPECTED = 20_000
"""Permits remembered that nobody performed or settled; beyond these the oldest is forgotten."""


@dataclass(slots=True, eq=False)
class InFlight:
    """A permitted action being performed, or one sending of a model call to a provider, until its
    block is left; `cancelled` is the lock that cut it, if any.
    """

    decision: str
    covered: Covered
    cancel: Callable[[], object]
    leave: Callable[[InFlight], object] = field(default=lambda flight: None, repr=False)
    """Called when it has ended."""
    cancelled: str | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __enter__(self) -> InFlight:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave(self)
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
        self._sendings: set[InFlight] = set()
        """What providers are asked right now: one action may ask several at once."""
        self._cuts: dict[str, list[InFlight]] = {}
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
        self, decision: str, cancel: Callable[[], object], lock: Callable[[Covered], str | None]
    ) -> InFlight:
        """Register an action while it is performed; `cancel` is called when a kill covers it.

        `lock` names a lock that came into force between the permit and now.
        """
        permit = self._permits.get(decision)
        if permit is None:
            raise LookupError(f"decision {decision} is not permitted and unsettled here")
        flight = InFlight(decision, permit.covered, cancel, self._land)
        self._flights[decision] = flight
        permit.flown = True
        late = lock(permit.covered)
        if late is not None:
            self._cut(flight, late)
        return flight

    def send(self, decision: str, provider: str, cancel: Callable[[], object]) -> InFlight:
        """Register an action's call at a provider while that is asked; a lock on the provider calls
        `cancel`. The action itself goes on where it has another target.
        """
        covered = Covered("", "", "", provider=provider)
        sending = InFlight(decision, covered, cancel, self._sendings.discard)
        self._sendings.add(sending)
        return sending

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

    def cut(self, target: LockTarget, lock: str) -> list[InFlight]:
        """Cancel every action in flight that `target` covers and return them; of what a provider
        is asked only that.
        """
        hit = self._covered_by(target)
        for flight in hit:
            self._cut(flight, lock)
        return hit

    def cut_by(self, lock: str) -> list[InFlight]:
        """Return what a lock cut, whether it has ended or not."""
        return [*self._cuts.get(lock, ())]

    def lock_of(self, decision: str) -> str | None:
        """Return the lock that cut an action which is not settled yet."""
        permit = self._permits.get(decision)
        return permit.cut_by if permit is not None else None

    def _covered_by(self, target: LockTarget) -> list[InFlight]:
        among = self._sendings if target.kind == "provider" else self._flights.values()
        # a drill counts in a thread of its own, while others begin and end
        return [flight for flight in [*among] if covers(target, flight.covered)]

    def _land(self, flight: InFlight) -> None:
        self._flights.pop(flight.decision, None)

    def _cut(self, flight: InFlight, lock: str) -> None:
        if flight.cancelled is None:
            flight.cancelled = lock
            self._cuts.setdefault(lock, []).append(flight)
            permit = self._permits.get(flight.decision)
            if permit is not None:
                permit.cut_by = lock
            if len(self._cuts) > _MOST_LOCKS:
                del self._cuts[next(iter(self._cuts))]
            flight.cancel()
