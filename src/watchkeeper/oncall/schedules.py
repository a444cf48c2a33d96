"""Who is on call when: schedules, their overrides, shifts, gaps, hand-overs. No clock, no storage.

Times are microseconds. Everything walks from one change to the next, so that it costs as much
as there are shifts, however long the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import TooLarge
from watchkeeper.core.wall import NEVER, WallClock
from watchkeeper.oncall.rotations import Rotation, Windows
from watchkeeper.oncall.spans import Spans
from watchkeeper.wire.oncall import OverrideKind

DAY = 86_400 * MICROSECONDS
FORESEEN = 60 * DAY
"""How far ahead the end of a shift is looked for."""
MOST_CHANGES = 20_000
_FORESEEN_CHANGES = 2_000
FIXED = "shift"
"""What puts on call whoever a fixed shift names."""


@dataclass(frozen=True, slots=True)
class Layer:
    """People who take turns, in some hours of the week."""

    name: str
    rotation: Rotation
    windows: Windows

    def at(self, moment: int) -> tuple[str | None, int]:
        """Return who the layer puts on call, and until when that stays so at least."""
        _, until, person = self.rotation.at(moment)
        if person is None:
            return None, until
        counts, changes = self.windows.at(moment)
        return (person, min(until, changes)) if counts else (None, changes)


@dataclass(frozen=True, slots=True)
class Override:
    """A change of who is on call in one schedule for a time."""

    override: str
    schedule: str
    kind: OverrideKind
    add: str | None
    remove: str | None
    start: int
    end: int


Changes = Spans[Override]
"""The overrides of one schedule, in the order in which they were made."""
NO_CHANGES: Changes = Spans(())
Overrides = Mapping[str, Changes]
"""Schedule → its overrides."""
NO_OVERRIDES: Overrides = MappingProxyType({})
OnDuty = tuple[tuple[str, str], ...]
"""People, each with what puts them on call: a layer, `shift`, or an override's id."""


@dataclass(frozen=True, slots=True)
class Shift:
    """One person on call from one time to another."""

    person: str
    start: int
    end: int
    by: str


@dataclass(frozen=True, slots=True)
class OnCall:
    """A person on call, until when without a break; None: no end is in sight."""

    person: str
    until: int | None


class Schedule:
    """Fixed shifts over layers; a later layer takes over from earlier ones where it counts."""

    def __init__(
        self, name: str, clock: WallClock, layers: Sequence[Layer], fixed: Spans[str]
    ) -> None:
        self.name = name
        self.clock = clock
        """The clock that its times are told by."""
        self.people = frozenset(fixed.values()).union(*(one.rotation.people for one in layers))
        """Everybody who takes turns in it."""
        self._layers = tuple(reversed(layers))
        self._fixed = fixed
        self._known: tuple[Changes | None, int, int, OnDuty] = (None, 0, 0, ())

    def at(self, moment: int, changes: Changes = NO_CHANGES) -> tuple[OnDuty, int]:
        """Return who is on call, and until when that stays so at least."""
        known_changes, since, until, people = self._known
        if known_changes is not changes or not since <= moment < until:
            people, until = self._find(moment, changes)
            self._known = (changes, moment, until, people)
        return people, until

    def _find(self, moment: int, changes: Changes) -> tuple[OnDuty, int]:
        fixed, until = self._fixed.at(moment)
        people = dict.fromkeys(fixed, FIXED)
        if not people:
            for layer in self._layers:
                person, stays = layer.at(moment)
                until = min(until, stays)
                if person is not None:
                    people = {person: layer.name}
                    break
        overrides, stays = changes.at(moment)
        for override in overrides:
            _change(people, override)
        return tuple(people.items()), min(until, stays)


def _change(people: dict[str, str], override: Override) -> None:
    """Let one override count; a replacement does nothing while who it takes off is absent."""
    if override.remove is not None and people.pop(override.remove, None) is None:
        return
    if override.add is not None:
        people.setdefault(override.add, override.override)


@dataclass(frozen=True, slots=True)
class Watch:
    """Schedules that are covered together, with their overrides, and who is on call always."""

    schedules: Sequence[Schedule]
    overrides: Overrides = field(default_factory=lambda: NO_OVERRIDES)
    always: frozenset[str] = frozenset()

    def at(self, moment: int) -> tuple[OnDuty, int]:
        """Return who is on call, and until when that stays so at least."""
        until = NEVER
        people: dict[str, str] = {}
        for schedule in self.schedules:
            found, stays = schedule.at(moment, self.overrides.get(schedule.name, NO_CHANGES))
            until = min(until, stays)
            people.update(found)
        return tuple(people.items()), until

    def walk(self, start: int, end: int, most: int) -> Iterator[tuple[int, int, OnDuty]]:
        """Yield who is on call from change to change; raise `TooLarge` past `most` of them."""
        for _ in range(most):
            if start >= end:
                return
            people, until = self.at(start)
            yield start, min(until, end), people
            start = until
        if start < end:
            raise TooLarge(
                f"more than {most:,} changes of who is on call",
                remedy="ask for a shorter time",
            )


def on_call(watch: Watch, at: int) -> tuple[OnCall, ...]:
    """Return who is on call at a time, each until when without a break; members come first."""
    found: dict[str, int | None] = dict.fromkeys(sorted(watch.always))
    ongoing = {person for person, _ in watch.at(at)[0]} - watch.always
    found |= dict.fromkeys(person for person, _ in watch.at(at)[0])
    try:
        for start, _, people in watch.walk(at, at + FORESEEN, _FORESEEN_CHANGES):
            gone = ongoing - {person for person, _ in people}
            found |= dict.fromkeys(gone, start)
            ongoing -= gone
            if not ongoing:
                break
    except TooLarge:
        pass  # no end is in sight
    return tuple(OnCall(person, until) for person, until in found.items())


def shifts(watch: Watch, start: int, end: int) -> list[Shift]:
    """Return the shifts within a time in order of their start, cut off at its ends.

    Raises `TooLarge` where there are too many.
    """
    done: list[Shift] = []
    open_: dict[tuple[str, str], int] = {}
    for since, _, people in watch.walk(start, end, MOST_CHANGES):
        for key in open_.keys() - set(people):
            done.append(Shift(key[0], open_.pop(key), since, key[1]))
        for key in people:
            open_.setdefault(key, since)
    done += [Shift(person, since, end, by) for (person, by), since in open_.items()]
    return sorted(done, key=lambda shift: (shift.start, shift.person, shift.by))


def gaps(watch: Watch, start: int, end: int) -> list[tuple[int, int]]:
    """Return the times within a time in which nobody is on call; raise as `shifts`."""
    found: list[tuple[int, int]] = []
    if watch.always:
        return found
    for since, until, people in watch.walk(start, end, MOST_CHANGES):
        if people:
            continue
        if found and found[-1][1] == since:
            found[-1] = (found[-1][0], until)
        else:
            found.append((since, until))
    return found


def next_handover(watch: Watch, at: int) -> tuple[int, tuple[str, ...]] | None:
    """Return when other people are on call than at a time, and who they are; None: not soon."""
    now = {person for person, _ in watch.at(at)[0]}
    try:
        for start, _, people in watch.walk(at, at + FORESEEN, _FORESEEN_CHANGES):
            then = tuple(person for person, _ in people)
            if set(then) != now:
                return start, then
    except TooLarge:
        pass
    return None
