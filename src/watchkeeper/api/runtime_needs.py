"""What needs a person in runtimes: runs that nothing covers, runtimes that do not answer."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.core.text import make_safe
from watchkeeper.core.words import count
from watchkeeper.wire.plane import Need
from watchkeeper.wire.runtimes import RemoteRunRow, RuntimeRow


def from_rogue(row: RemoteRunRow, *, mine: bool) -> Need:
    """A run was found that no envelope covers: a person adopts or stops it."""
    who = row.agent or make_safe(row.offered or "an unknown agent", limit=80)
    return Need(
        need=f"rogue/{row.runtime}/{row.id}",
        kind="runtime",
        subject=f"{row.runtime}/{row.id}",
        score=150 if mine else 37,
        risk="high",
        text=f"{who} runs rogue in runtime {row.runtime}: {row.why or ''}",
        todo=f"`watchkeeper runtimes stop {row.runtime} {row.id}`, or adopt it",
        since=row.first_seen_at,
        agent=row.agent,
        mine=mine,
    )


def from_rogues_beyond(runtimes: Sequence[str], more: int, now: int, *, mine: bool) -> Need:
    """There are more of them than are listed one by one."""
    return Need(
        need="rogue/more",
        kind="runtime",
        subject=runtimes[0],
        score=149 if mine else 37,
        risk="high",
        text=f"{count(more, 'more rogue run')} in {', '.join(runtimes)}",
        todo=f"`watchkeeper runtimes runs {runtimes[0]} --rogue`; stop them, or adopt them",
        since=now,
        mine=mine,
    )


def from_runtime(row: RuntimeRow, now: int, *, mine: bool) -> Need | None:
    """A runtime does not answer: nothing is known of its runs, and none can be stopped there."""
    if row.health != "down":
        return None
    runs = row.running + row.waiting
    left = f", with {count(runs, 'run')} in it as far as is known" if runs else ""
    return Need(
        need=f"runtime/{row.runtime}",
        kind="runtime",
        subject=row.runtime,
        score=80 if mine else 20,
        risk="medium",
        text=f"runtime {row.runtime} does not answer{left}: {row.problem or 'no reason known'}",
        todo="see to it; what runs there is refused by the gateways once it is locked",
        since=row.seen_at or now,
        mine=mine,
    )
