"""What there is that a rehearsed lock would cover, and who would be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.kill.blast import measure
from watchkeeper.decide.kill.effects import agents_under, open_runs_under
from watchkeeper.decide.kill.flight import Flights
from watchkeeper.decide.notices.concerned import Notices, contacts_of
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.recorded import recorded_runs
from watchkeeper.kill.model import LockTarget
from watchkeeper.kill.rules import OWNS_RUNS
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.drills import DrillPerson
from watchkeeper.wire.locks import BlastRadius

MOST_RUNS = 2_000
"""Open runs that one drill looks at."""
_AT_ONCE = 500
_MOST_LISTED = 50


@dataclass(frozen=True, slots=True)
class World:
    """What is there to be locked, from one snapshot of the store."""

    radius: BlastRadius
    runs: Sequence[RunFacts]
    runs_left_out: int
    told: tuple[DrillPerson, ...]
    nobody: tuple[str, ...]
    sequence: int


def look_around(
    tx: Transaction,
    catalogue: Catalogue,
    flights: Flights,
    notices: Notices,
    target: LockTarget,
    head: int,
) -> World:
    """Return what a lock on `target` would cover; `head` is the newest entry of the ledger."""
    radius = measure(tx, catalogue, flights, target)
    rows = open_runs_under(tx, catalogue, target)
    if target.kind not in OWNS_RUNS:
        found = agents_under(catalogue, target)
        everything = LockTarget("everything", "*")
        rows = [r for r in open_runs_under(tx, catalogue, everything) if r.agent in found]
    names = [row.run for row in rows[:MOST_RUNS]]
    runs: list[RunFacts] = []
    for start in range(0, len(names), _AT_ONCE):
        runs += recorded_runs(tx, names[start : start + _AT_ONCE]).values()
    told: list[DrillPerson] = []
    nobody: list[str] = []
    for role in radius.told:
        people = sorted(notices.people_of(tx, catalogue, role))
        reached = False
        for person in people[:_MOST_LISTED]:
            contacts: list[str | None] = [one.channel for one in contacts_of(person, catalogue)]
            reached = reached or bool(contacts)
            told += [
                DrillPerson(role=role, person=person, contact=one) for one in contacts or [None]
            ]
        if not reached:
            nobody.append(role)
    return World(radius, runs, len(rows) - len(names), tuple(told), tuple(nobody), head)
