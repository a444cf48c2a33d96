"""Statistics of approving. No clock, no storage.

Medians and 95th percentiles are by nearest rank, so each is a value that occurred. A share
without anything to take it of is None, and so is all that is said of fewer than five votes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from watchkeeper.approvals.quality.model import Cast, Ends, Load
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.wire.quality import CHARACTERS_PER_SECOND, FEWEST, QualityBy, QualityRow

_HOUR = 3600 * MICROSECONDS
MOST_ROWS = 500
NOTHING = Load()


def by_name(
    casts: Sequence[Cast], by: QualityBy, ends: Mapping[str, Ends], loads: Mapping[str, Load]
) -> list[QualityRow]:
    """Return one row for each person, role or tool, sorted by name."""
    groups: defaultdict[str, list[Cast]] = defaultdict(list)
    place = Cast._fields.index(by)
    for cast in casts:
        groups[cast[place]].append(cast)  # type: ignore[index]
    names = sorted(groups.keys() | ends.keys() | loads.keys())
    return [
        summarise(name, groups.get(name, ()), ends.get(name), loads.get(name)) for name in names
    ]


def summarise(
    name: str, casts: Sequence[Cast], ends: Ends | None = None, load: Load | None = None
) -> QualityRow:
    """Return the statistics of some votes, and of the requests that asked for them."""
    approvals = [cast for cast in casts if cast.approved]
    said: dict[str, Any] = {}
    if len(casts) >= FEWEST:
        said = _say(casts, approvals)
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
        decisions=len(casts),
        approved=len(approvals),
        enough=len(casts) >= FEWEST,
        **said,
    )


def _say(casts: Sequence[Cast], approvals: Sequence[Cast]) -> dict[str, Any]:
    waits = sorted((cast.at - cast.created_at) / MICROSECONDS for cast in casts)
    views = sorted(cast.view_ms / 1000 for cast in casts if cast.view_ms is not None)
    timed = [cast for cast in approvals if cast.view_ms is not None]
    speeds = sorted(cast.characters / (cast.view_ms / 1000) for cast in timed if cast.view_ms)
    late = [cast for cast in casts if is_late(cast)]
    agreed_late = sum(cast.approved for cast in late)
    judged = [cast for cast in casts if cast.judged is not None]
    undone = sum(cast.undone or cast.judged == "wrong" for cast in approvals)
    return {
        "decide_seconds_median": rank(waits, 50),
        "decide_seconds_p95": rank(waits, 95),
        "view_seconds_median": rank(views, 50),
        "timed": len(timed),
        "characters_median": rank(sorted(float(cast.characters) for cast in casts), 50),
        "read_speed_median": rank(speeds, 50),
        "unread_share": share(sum(map(is_unread, timed)), len(timed)),
        "overridden_share": share(undone, len(approvals)),
        "judged": len(judged),
        "wrong": sum(cast.judged == "wrong" for cast in judged),
        "late": len(late),
        "late_approved_share": share(agreed_late, len(late)),
        "early_approved_share": share(len(approvals) - agreed_late, len(casts) - len(late)),
        "per_hour": len(casts) / len({cast.at // _HOUR for cast in casts}),
    }


def is_unread(cast: Cast) -> bool:
    """Whether it was on screen for less time than reading all of it takes."""
    return cast.view_ms is not None and (
        cast.view_ms * CHARACTERS_PER_SECOND < cast.characters * 1000
    )


def is_late(cast: Cast) -> bool:
    """Whether it was cast in the last tenth of the time that there was."""
    return (cast.decide_by - cast.at) * 10 <= cast.decide_by - cast.created_at


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
