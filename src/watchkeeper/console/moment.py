"""Times as people read them: how long ago, how long left, or the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from watchkeeper.console.painting import NOTHING, Span, span
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.durations import read_duration
from watchkeeper.core.errors import Invalid

_SOON_SECONDS = 120


def duration_text(seconds: int) -> str:
    """Write seconds in at most five cells: ``02:11``, ``1h04``, ``3d07``."""
    if seconds < 3600:
        return f"{seconds // 60:02d}:{seconds % 60:02d}"
    if seconds < 86_400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02d}"
    if seconds < 100 * 86_400:
        return f"{seconds // 86_400}d{seconds % 86_400 // 3600:02d}"
    return f"{seconds // 86_400}d"


def read_moment(text: str, now: int) -> int:
    """Read `7d` (ago), `2026-11-17` or `2026-11-17T12:00`, in UTC unless told, in microseconds."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            return max(0, now - read_duration(text) * MICROSECONDS)
        except Invalid:
            raise Invalid(f"{text!r:.40} is no time", remedy="write 7d or 2026-11-17") from None
    return int(found.replace(tzinfo=found.tzinfo or UTC).timestamp()) * MICROSECONDS


@dataclass(frozen=True)
class Moment:
    """Now, by the plane's clock, and how the person wants times shown.

    `now` is in microseconds since the Unix epoch; `absolute` asks for clock times.
    """

    now: int
    zone: tzinfo = UTC
    absolute: bool = False

    def time(self, at: int | None) -> Span:
        """The clock time: the hour of today, else with its date."""
        if at is None:
            return NOTHING
        moment = datetime.fromtimestamp(at // MICROSECONDS, self.zone)
        today = datetime.fromtimestamp(self.now // MICROSECONDS, self.zone).date()
        if moment.date() == today:
            return span(moment.strftime("%H:%M:%S"))
        same_year = moment.year == today.year
        return span(moment.strftime("%d %b %H:%M" if same_year else "%d %b %Y"))

    def left(self, at: int | None) -> Span:
        """How long until `at`; the last two minutes and what is late stand out in words too."""
        if at is None:
            return NOTHING
        seconds = (at - self.now) // MICROSECONDS
        if self.absolute:
            return self.time(at)._replace(token="critical" if seconds < 0 else "text")
        if seconds < 0:
            return span(f"late {duration_text(-seconds)}", "critical")
        return span(duration_text(seconds), "warning" if seconds < _SOON_SECONDS else "text")

    def age(self, at: int | None) -> Span:
        """How long since `at`."""
        if at is None:
            return NOTHING
        if self.absolute:
            return self.time(at)
        return span(duration_text(max(0, (self.now - at) // MICROSECONDS)), "quiet")
