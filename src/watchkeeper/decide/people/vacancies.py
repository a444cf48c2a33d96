"""Times ahead in which nobody is on call for a role."""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import TooLarge
from watchkeeper.decide.people.rota import Rota
from watchkeeper.oncall.schedules import DAY, gaps
from watchkeeper.wire.oncall import GAP_WEEKS

_HOUR = 3600 * MICROSECONDS


@dataclass(frozen=True, slots=True)
class Vacancy:
    """A role that nobody holds at some time within four weeks."""

    role: str
    schedules: tuple[str, ...]
    start: int
    end: int
    """The first of these times."""
    count: int
    """How many there are."""

    def words(self, rota: Rota) -> str:
        """Say when, by the clock of the first schedule that exists."""
        clock = next(rota.schedules[one].clock for one in self.schedules if one in rota.schedules)
        start, end = (f"{clock.at(one):%Y-%m-%d %H:%M}" for one in (self.start, self.end))
        more = f", and {self.count - 1:,} times more in {GAP_WEEKS} weeks" if self.count > 1 else ""
        return f"nobody is on call for {self.role} from {start} to {end} ({clock.name}){more}"


def find_vacancies(rota: Rota, now: int) -> tuple[Vacancy, ...]:
    """Return every role by schedule that nobody holds at some time within four weeks.

    Takes some milliseconds where there are many shifts.
    """
    found = []
    for name, role in sorted(rota.roles.items()):
        if role.members or not any(one in rota.schedules for one in role.schedules):
            continue  # somebody always holds it, or a schedule is missing, which is told elsewhere
        try:
            known = gaps(rota.of_role(name), now, now + GAP_WEEKS * 7 * DAY)
        except TooLarge:
            continue
        if known:
            (start, end), count = known[0], len(known)
            found.append(Vacancy(name, role.schedules, start, end, count))
    return tuple(found)


class Ahead:
    """What is found, kept until an hour has passed or something has changed."""

    def __init__(self) -> None:
        self._known: tuple[Rota | None, int, tuple[Vacancy, ...]] = (None, 0, ())

    def find(self, rota: Rota, now: int) -> tuple[Vacancy, ...]:
        """Return as `find_vacancies`, from what is kept where that still holds."""
        known, until, found = self._known
        if known is not rota or now >= until:
            found = find_vacancies(rota, now)
            until = min([now + _HOUR, *(one.end for one in found)])
            self._known = (rota, until, found)
        return tuple(one for one in found if one.end > now)
