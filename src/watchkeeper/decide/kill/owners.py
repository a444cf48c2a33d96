"""Telling owners that a lock is in force, and knowing that it reached them.

The message itself goes the way of all notices (see `decide.notices`); here is looked whether it
arrived, or whether somebody of the role follows the ledger and was shown it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from sqlalchemy import bindparam, select

from watchkeeper.core import ids
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.kill.effector import Done, name_of
from watchkeeper.decide.kill.effects import Reach, people_told
from watchkeeper.decide.notices.concerned import Notices, contacts_of
from watchkeeper.decide.service import Decider
from watchkeeper.kill.model import LockInForce
from watchkeeper.ledger.reading import read_events
from watchkeeper.outbox.model import NewDelivery
from watchkeeper.outbox.service import enqueue
from watchkeeper.outbox.tables import deliveries, outbox_cursor
from watchkeeper.store.journal import Event
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import Effect

_LOOKS_SECONDS = (0.06, 0.1, 0.2, 0.4, 0.8, 1.2)
"""Pauses between looks within one attempt."""
_MOST_NAMED = 5

_TOLD = Statement(
    select(deliveries)
    .where(deliveries.c.id >= bindparam("first"), deliveries.c.event == bindparam("event_is"))
    .order_by(deliveries.c.id)
    .limit(1_000)
)


class Onlookers:
    """Who follows the ledger right now, and the last entry that each was sent."""

    def __init__(self) -> None:
        self._open: dict[object, tuple[str, int]] = {}

    def sent(self, feed: object, actor: str, sequence: int) -> None:
        """Note that a feed was sent all up to an entry."""
        self._open[feed] = (actor, sequence)

    def left(self, feed: object) -> None:
        """Note that a feed has ended."""
        self._open.pop(feed, None)

    def shown(self, sequence: int) -> frozenset[str]:
        """Return who was sent an entry, by a feed that is open still."""
        return frozenset(actor for actor, sent in self._open.values() if sent >= sequence)


class Owners:
    """Looks whether a lock's owners were told, role by role."""

    effect: Effect = "notify owner"
    kind = "role"
    pauses = True

    def __init__(
        self,
        decider: Decider,
        notices: Notices,
        onlookers: Onlookers,
        on_enqueued: Callable[[], None] = lambda: None,
    ) -> None:
        self._decider = decider
        self._notices = notices
        self._onlookers = onlookers
        self._on_enqueued = on_enqueued

    def parties(self, tx: Transaction, lock: LockInForce, reach: Reach) -> Sequence[str]:
        """Return every role that a lock concerns."""
        told = people_told(self._decider.catalogue.now, lock.target, reach.agents)
        return [f"{self.kind}/{name}" for name in told]

    async def carry_out(self, lock: LockInForce, party: str) -> Done:
        """Wait a moment until one of the role has it, however they come to."""
        role = name_of(party)
        told = False
        for pause in (*_LOOKS_SECONDS, None):
            said, coming = await self._decider.store.read(lambda tx: self._look(tx, lock, role))
            if said.acknowledged is not None:
                break
            if not told:
                told = True
                coming |= await self._tell_again(lock, role)
            if not coming or pause is None:
                break
            await asyncio.sleep(pause)
        return said

    async def _tell_again(self, lock: LockInForce, role: str) -> bool:
        """Tell who was not told yet, or by what did not reach them, by another way; return
        whether there is anybody.
        """
        store = self._decider.store
        if not await store.read(lambda tx: self._untold(tx, lock, role)):
            return False

        def unit(tx: Transaction) -> None:
            tx.silent("how each went is recorded then")
            for new in self._untold(tx, lock, role):
                enqueue(tx, new)

        await store.write(unit)
        self._on_enqueued()
        return True

    def _untold(self, tx: Transaction, lock: LockInForce, role: str) -> list[NewDelivery]:
        """Return what is to be sent, once the lock's own messages are on their way."""
        event = _created(tx, lock)
        routed = outbox_cursor.at(tx)
        if event is None or routed is None or routed < event.sequence:
            return []
        catalogue = self._decider.catalogue.now
        people = self._notices.people_of(tx, catalogue, role)
        before = _told(tx, lock, event.sequence)
        return self._notices.tell_again(tx, catalogue, event, people, before)

    def _look(self, tx: Transaction, lock: LockInForce, role: str) -> tuple[Done, bool]:
        """Return how it stands, and whether it may stand better in a moment."""
        catalogue = self._decider.catalogue.now
        people = self._notices.people_of(tx, catalogue, role)
        by = self._notices.person_of(catalogue, lock.by)
        if by in people and lock.by.startswith("person/"):
            return Done(f"{by} put it in force", by), False
        event = _created(tx, lock)
        if event is None:
            return Done("it is not in the ledger"), False
        sequence = event.sequence
        shown = self._among(self._onlookers.shown(sequence), people, catalogue)
        if shown:
            return Done(f"shown live to {_named(shown)}", shown[0]), False
        rows = [
            row
            for row in _told(tx, lock, sequence)
            if row.recipient is not None and catalogue.names.key(row.recipient) in people
        ]
        arrived = [row for row in rows if row.state == "sent"]
        if arrived:
            one = arrived[0]
            told = _named(sorted({row.recipient for row in arrived}))
            return Done(f"told {told} by {one.target}", one.recipient), False
        watch = bool(self._among(self._onlookers.shown(0), people, catalogue))
        reachable = any(contacts_of(one, catalogue) for one in people)
        if rows:
            return Done(_on_the_way(rows)), True
        if watch or reachable:
            return Done("being told"), True
        if not people:
            return Done(f"nobody holds {role}"), False
        return Done("nobody of the role has a contact in force or a console open"), False

    def _among(
        self, actors: Collection[str], people: Collection[str], catalogue: Catalogue
    ) -> list[str]:
        """Return the people among some actors, by name."""
        return sorted({self._notices.person_of(catalogue, one) for one in actors} & set(people))


def _created(tx: Transaction, lock: LockInForce) -> Event | None:
    found = read_events(tx, subject=f"lock/{lock.lock}", type="lock.created", limit=1)
    return found[0] if found else None


def _told(tx: Transaction, lock: LockInForce, sequence: int) -> list[Row]:
    """Return the messages that tell of a lock."""
    first = ids.first_at("msg", lock.created_at)
    return list(_TOLD.all(tx, first=first, event_is=sequence))


def _on_the_way(rows: Sequence[Row]) -> str:
    lost = [row for row in rows if row.state in ("dead", "unknown", "discarded")]
    if len(lost) < len(rows):
        one = next(row for row in rows if row not in lost)
        why = f" ({one.last_error})" if one.last_error else ""
        return f"a message to {one.recipient} by {one.target} is on its way{why}"
    one = lost[0]
    why = f": {one.last_error}" if one.last_error else ""
    ended = {"dead": "was given up", "unknown": "may not have arrived"}.get(
        one.state, "was discarded"
    )
    return f"the message to {one.recipient} by {one.target} {ended}{why}"


def _named(people: Sequence[str]) -> str:
    more = len(people) - _MOST_NAMED
    return ", ".join(people[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
