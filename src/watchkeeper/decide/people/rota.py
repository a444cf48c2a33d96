"""Who holds roles and is on call: documents compiled once, with the overrides that stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from watchkeeper.core.errors import Invalid
from watchkeeper.core.wall import NEVER, wall_clock
from watchkeeper.oncall.model import ANYONE, OWNER
from watchkeeper.oncall.rotations import Rotation, Window, Windows
from watchkeeper.oncall.schedules import (
    NO_CHANGES,
    NO_OVERRIDES,
    Layer,
    OnCall,
    Override,
    Overrides,
    Schedule,
    Watch,
    on_call,
)
from watchkeeper.oncall.service import by_schedule, standing
from watchkeeper.oncall.spans import Spans
from watchkeeper.registry import watch as documents
from watchkeeper.registry.documents import Role
from watchkeeper.store.transaction import Transaction

PERSON_ROLE = "person/"
"""`person/NAME` is the role that exactly that person holds."""
_MOST_KEPT = 1000
MOST_AT_ONCE = 50
"""Fixed shifts of one schedule at one time."""
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Rota:
    """Every role and schedule in force, and the overrides that have not ended."""

    roles: Mapping[str, Role]
    schedules: Mapping[str, Schedule]
    standing: tuple[Override, ...] = ()
    overrides: Overrides = field(default_factory=lambda: NO_OVERRIDES)
    _held: dict[tuple[str, bool], tuple[int, int, frozenset[str]]] = field(
        default_factory=dict, compare=False, repr=False
    )
    _ends: dict[str, tuple[int, int, tuple[OnCall, ...]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def overridden(self, known: tuple[Override, ...]) -> Rota:
        """Return the same with these overrides and no others."""
        if known == self.standing:
            return self
        return Rota(self.roles, self.schedules, known, by_schedule(known))

    def now(self, tx: Transaction) -> Rota:
        """Return the same with the overrides that a transaction sees."""
        # those of this moment are enough to know, and those in memory may be of longer ago
        found = standing(tx, tx.now)
        if found == tuple(one for one in self.standing if one.end > tx.now):
            return self
        return self.overridden(found)

    def of_schedule(self, name: str) -> Watch:
        """Return the watch of one schedule; nobody is in one that does not exist."""
        known = self.schedules.get(name)
        return Watch((known,) if known else (), self.overrides)

    def of_role(self, name: str) -> Watch:
        """Return the watch of a role: members always, and whoever is on call.

        `*` is any known person. A role that does not exist is held by nobody.
        """
        if name.startswith(PERSON_ROLE):
            return Watch((), always=frozenset({name.removeprefix(PERSON_ROLE)}))
        role = self.roles.get(name)
        if role is None:
            return Watch((), always=frozenset({OWNER} if name == OWNER else ()))
        found = (self.schedules.get(one) for one in role.schedules)
        schedules = tuple(one for one in found if one is not None)
        return Watch(schedules, self.overrides, frozenset(role.members))

    def holders(self, role: str, at: int) -> frozenset[str]:
        """Return who holds a role at a time; `owner` and `*` as in documents."""
        watch = self.of_role(role)
        return watch.always.union(person for person, _ in watch.at(at)[0])

    def roles_of(self, person: str, *, owner: bool, at: int) -> frozenset[str]:
        """Return the roles that a person (by plain name) holds at a time."""
        known = self._held.get((person, owner))
        if known is None or not known[0] <= at < known[1]:
            if len(self._held) >= _MOST_KEPT:
                self._held.clear()
            known = self._held[(person, owner)] = self._find_roles(person, owner, at)
        return known[2]

    def _find_roles(self, person: str, owner: bool, at: int) -> tuple[int, int, frozenset[str]]:
        """Return the roles of a person, and from when until when they stay the same."""
        names = {person, OWNER} if owner else {person}
        found, until, on_call = {f"{PERSON_ROLE}{name}" for name in names}, NEVER, set()
        for name, schedule in self.schedules.items():
            people, stays = schedule.at(at, self.overrides.get(name, NO_CHANGES))
            until = min(until, stays)
            if any(one in names for one, _ in people):
                on_call.add(name)
        for role in self.roles.values():
            member = ANYONE in role.members or not names.isdisjoint(role.members)
            if member or not on_call.isdisjoint(role.schedules):
                found.add(role.name)
        return at, until, frozenset(found)

    def people_of(self, role: str) -> frozenset[str]:
        """Return everybody who may come to hold a role without an override."""
        known = self.roles.get(role)
        if known is None:
            return self.of_role(role).always
        taking_turns = (self.schedules[one] for one in known.schedules if one in self.schedules)
        return frozenset(known.members).union(*(one.people for one in taking_turns))

    def on_call_in(self, names: Iterable[str], at: int) -> tuple[str, ...]:
        """Return the schedules in which somebody of these names is on call."""
        known = frozenset(names)
        return tuple(
            name
            for name, schedule in sorted(self.schedules.items())
            if any(one in known for one, _ in self._at(schedule, at))
        )

    def ends(self, schedule: str, at: int) -> tuple[OnCall, ...]:
        """Return who is on call in a schedule, until when; kept until that has changed."""
        known = self._ends.get(schedule)
        if known is None or not known[0] <= at < known[1]:
            watch = self.of_schedule(schedule)
            known = self._ends[schedule] = (at, watch.at(at)[1], on_call(watch, at))
        return known[2]

    def next_change(self, at: int) -> int | None:
        """Return when somebody may next come on call or go off; None: no schedule says."""
        until = [
            one.at(at, self.overrides.get(one.name, NO_CHANGES))[1]
            for one in self.schedules.values()
        ]
        found = min(until, default=NEVER)
        return found if found < NEVER else None

    def _at(self, schedule: Schedule, at: int) -> tuple[tuple[str, str], ...]:
        return schedule.at(at, self.overrides.get(schedule.name, NO_CHANGES))[0]


def compile_rota(roles: Mapping[str, Role], schedules: Mapping[str, documents.Schedule]) -> Rota:
    """Compile documents; raise `Invalid` for a schedule that can't be used."""
    return Rota(roles, {name: compile_schedule(one) for name, one in schedules.items()})


def compile_schedule(document: documents.Schedule) -> Schedule:
    """Compile one schedule; raise `Invalid` where it can't be used."""
    layers = []
    for layer in document.layers:
        clock = wall_clock(layer.zone or document.zone)
        rotation = Rotation(
            layer.people,
            layer.rotation,
            layer.every,
            datetime.fromisoformat(layer.starts),
            clock,
            datetime.fromisoformat(layer.ends) if layer.ends else None,
        )
        windows = [_window(one) for one in layer.restrictions]
        layers.append(Layer(layer.name, rotation, Windows(windows, clock)))
    fixed = []
    for shift in document.shifts:
        clock = wall_clock(shift.zone or document.zone)
        start = clock.first(datetime.fromisoformat(shift.start))
        fixed.append((start, clock.last(datetime.fromisoformat(shift.end)), shift.person))
    try:
        spans = Spans(fixed, most=MOST_AT_ONCE)
    except Invalid as error:
        raise Invalid(
            f"schedule {document.name!r}: shifts: {error.message}",
            remedy="correct it and apply again; nothing was changed",
        ) from None
    return Schedule(document.name, wall_clock(document.zone), layers, spans)


def _window(restriction: documents.Restriction) -> Window:
    start, end = _minutes(restriction.start), _minutes(restriction.end)
    days = frozenset(_DAYS.index(day) for day in restriction.days)
    return Window(days, start, end if end > start else end + 24 * 60)


def _minutes(time_of_day: str) -> int:
    hours, _, minutes = time_of_day.partition(":")
    return int(hours) * 60 + int(minutes)
