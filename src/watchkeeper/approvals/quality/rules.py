"""Statistics of approving. No clock, no storage.

Medians and 95th percentiles are by nearest rank, so each is a value that occurred. A share
without anything to take it of is None, and so is all that is said of fewer than five votes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from watchkeeper.approvals.quality.model import Cast, Ends, Load
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.wire.quality import CHARACTERS_PER_SECOND, FEWEST, QualityBy, QualityRow

_HOUR = 3600 * MICROSECONDS
_AT_ONCE = 10_000
MOST_ROWS = 500


@dataclass(slots=True)
class Tally:
    """What some votes come to. Votes are taken in one by one: there may be a great many."""

    decisions: int = 0
    approved: int = 0
    timed: int = 0
    unread: int = 0
    undone: int = 0
    judged: int = 0
    wrong: int = 0
    late: int = 0
    late_approved: int = 0
    hours: set[int] = field(default_factory=set)
    waits: list[float] = field(default_factory=list)
    views: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)

    def add(self, cast: Cast) -> None:
        """Take in one vote."""
        self.decisions += 1
        self.waits.append((cast.at - cast.created_at) / MICROSECONDS)
        self.lengths.append(cast.characters)
        self.hours.add(cast.at // _HOUR)
        late = is_late(cast)
        self.late += late
        if cast.judged is not None:
            self.judged += 1
            self.wrong += cast.judged == "wrong"
        if cast.view_ms is not None:
            self.views.append(cast.view_ms / 1000)
        if not cast.approved:
            return
        self.approved += 1
        self.late_approved += late
        self.undone += cast.undone or cast.judged == "wrong"
        if cast.view_ms is not None:
            self.timed += 1
            self.unread += is_unread(cast)
            if cast.view_ms:
                self.speeds.append(cast.characters / (cast.view_ms / 1000))

    def take(self, other: Tally) -> None:
        """Take in what others came to."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.hours |= other.hours
        for name in ("waits", "views", "lengths", "speeds"):
            getattr(self, name).extend(getattr(other, name))

    def say(self) -> dict[str, Any]:
        """Return the figures; nothing of too few votes."""
        if self.decisions < FEWEST:
            return {}
        waits = in_order(self.waits)
        return {
            "decide_seconds_median": rank(waits, 50),
            "decide_seconds_p95": rank(waits, 95),
            "view_seconds_median": rank(in_order(self.views), 50),
            "timed": self.timed,
            "characters_median": rank(in_order(self.lengths), 50),
            "read_speed_median": rank(in_order(self.speeds), 50),
            "unread_share": share(self.unread, self.timed),
            "overridden_share": share(self.undone, self.approved),
            "judged": self.judged,
            "wrong": self.wrong,
            "late": self.late,
            "late_approved_share": share(self.late_approved, self.late),
            "early_approved_share": share(
                self.approved - self.late_approved, self.decisions - self.late
            ),
            "per_hour": self.decisions / len(self.hours),
        }


_NONE = Tally()
_COUNTS = tuple(one.name for one in fields(Tally) if one.type == "int")


def count(casts: Iterable[Cast], by: QualityBy) -> dict[str, Tally]:
    """Return what the votes of each person, role or tool come to."""
    groups: defaultdict[str, Tally] = defaultdict(Tally)
    place = Cast._fields.index(by)
    for cast in casts:
        groups[cast[place]].add(cast)  # type: ignore[index]
    return groups


def by_name(
    tallies: Mapping[str, Tally], ends: Mapping[str, Ends], loads: Mapping[str, Load]
) -> list[QualityRow]:
    """Return one row for each person, role or tool, sorted by name."""
    names = sorted(tallies.keys() | ends.keys() | loads.keys())
    return [
        summarise(name, tallies.get(name, _NONE), ends.get(name), loads.get(name)) for name in names
    ]


def summarise(
    name: str, tally: Tally, ends: Ends | None = None, load: Load | None = None
) -> QualityRow:
    """Return the statistics of some votes, and of the requests that asked for them."""
    said = tally.say()
    if ends is not None:
        said |= {"requests": ends.requests}
        if ends.requests >= FEWEST:
            said |= {
                "expired_share": share(ends.expired, ends.requests),
                "escalated_share": share(ends.escalated, ends.requests),
            }
    if load is not None:
        said |= {"pending": load.pending, "holders": load.holders}
    return QualityRow(
        name=name,
        decisions=tally.decisions,
        approved=tally.approved,
        enough=tally.decisions >= FEWEST,
        **said,
    )


def sum_tallies(tallies: Iterable[Tally]) -> Tally:
    """Return what all votes come to."""
    found = Tally()
    for tally in tallies:
        found.take(tally)
    return found


def is_unread(cast: Cast) -> bool:
    """Whether it was on screen for less time than reading all of it takes."""
    return cast.view_ms is not None and (
        cast.view_ms * CHARACTERS_PER_SECOND < cast.characters * 1000
    )


def is_late(cast: Cast) -> bool:
    """Whether it was cast in the last tenth of the time that there was."""
    return (cast.decide_by - cast.at) * 10 <= cast.decide_by - cast.created_at


def in_order(values: list[float]) -> list[float]:
    """Return values sorted, in pieces that keep no other thread waiting for long."""
    runs = [sorted(values[at : at + _AT_ONCE]) for at in range(0, len(values), _AT_ONCE)]
    while len(runs) > 1:
        pairs = zip(runs[::2], runs[1::2], strict=False)
        left = runs[-1:] if len(runs) % 2 else []
        # two that are sorted are merged in one go
        runs = [*(sorted(one + other) for one, other in pairs), *left]
    return runs[0] if runs else []


def rank(values: Sequence[float], percent: int) -> float | None:
    """Return a percentile of a sorted sequence, by nearest rank; None if it is empty."""
    return values[-(-percent * len(values) // 100) - 1] if values else None


def share(part: int, whole: int) -> float | None:
    """Return a part of a whole from 0 to 1; None of nothing."""
    return part / whole if whole else None


def sum_ends(ends: Iterable[Ends]) -> Ends:
    """Return how all requests ended."""
    found = list(ends)
    return Ends(
        sum(one.requests for one in found),
        sum(one.expired for one in found),
        sum(one.escalated for one in found),
    )
