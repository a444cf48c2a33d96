"""A year of hand-overs in every zone, and what asking who is on call costs, in one run.

`python -m tests.benchmarks.oncall [--year 2026] [--json FILE]`. "walls": first and last moments of
wall times against a second opinion (tests/oncall/ground.py), every 30 s of a year in ten zones,
and every 15 min around each change of clocks in every zone of the IANA database. "turns": every
hand-over of a year of 12-hourly, daily and weekly rotations in every zone, and of hourly ones in
ten: no gap, no overlap, no length that the offset does not explain. "clock": a year of plane time
in ten zones, minute by minute, `who` against `shifts`. "costs": microseconds of the calls that
decisions make.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.oncall.ground import DAY, EPOCH, HOUR, TEN, check_turns, check_walls, layer, offsets_of
from tests.oncall.ground import schedule_of as schedule
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.wall import wall_clock, zone_names
from watchkeeper.decide.people.rota import Rota
from watchkeeper.oncall.rotations import Window
from watchkeeper.oncall.schedules import Schedule, Watch, gaps, on_call, shifts
from watchkeeper.registry.documents import Role

EVERY_DAY = frozenset(range(7))


def seconds(moment: datetime) -> int:
    """Return seconds since the epoch of a time without a zone."""
    return int((moment - EPOCH).total_seconds())


def walls(start: int, end: int) -> dict[str, int]:
    """Check wall times; return how many."""
    fine = 0
    for zone in TEN:
        known = offsets_of(zone, start - 40 * DAY, end + 40 * DAY)
        fine += check_walls(wall_clock(zone), known, start, end, 30)
    coarse = 0
    for zone in sorted(zone_names()):
        known = offsets_of(zone, start - 40 * DAY, end + 40 * DAY)
        for at, _ in known.changes:
            wall, clock = known.wall(at), wall_clock(zone)
            coarse += check_walls(clock, known, wall - 30 * HOUR, wall + 30 * HOUR, 900)
    return {"every 30 s of a year, ten zones": fine, "around changes, every zone": coarse}


def turns(start: int, end: int) -> dict[str, int]:
    """Check hand-overs; return how many turns."""
    found = dict.fromkeys(("hourly", "12-hourly", "daily", "weekly"), 0)
    names = sorted(zone_names())
    for number, zone in enumerate(names):
        known = offsets_of(zone, start - 40 * DAY, end + 40 * DAY)
        # a different minute of the day in each zone, so that all are met
        first = start + (number * 150) % DAY // 60 * 60
        if zone in TEN:
            found["hourly"] += check_turns(zone, known, "hourly", first, start + 2 * DAY, end)
        found["12-hourly"] += check_turns(
            zone, known, "hourly", first, start + 2 * DAY, end, every=12
        )
        for minute in (90, 150, 165):
            at = start + minute * 60
            found["daily"] += check_turns(zone, known, "daily", at, start + 2 * DAY, end)
        found["weekly"] += check_turns(zone, known, "weekly", first, start + 2 * DAY, end)
    return found


def team(zone: str, name: str = "desk") -> Schedule:
    """Return a schedule as teams have it: weeks by day, and somebody else at night."""
    night = (Window(EVERY_DAY, 22 * 60, 30 * 60),)
    made = schedule(
        zone,
        layer(zone, ("ada", "bob", "cay"), "weekly", "2026-01-05T09:00"),
        layer(zone, ("dan", "eve"), "daily", "2026-01-05T02:30", windows=night, name="night"),
    )
    made.name = name
    return made


def year_of_clock(start: int, end: int) -> dict[str, int]:
    """Ask each minute of a year who is on call, and compare with the shifts listed for it."""
    minutes = handovers = 0
    for zone in TEN:
        watch = Watch((team(zone),))
        listed = shifts(watch, start * MICROSECONDS, end * MICROSECONDS)
        assert not gaps(watch, start * MICROSECONDS, end * MICROSECONDS), zone
        for shift in listed:
            for minute in range(shift.start, shift.end, 60 * MICROSECONDS):
                assert watch.at(minute)[0][0] == (shift.person, shift.by), (zone, minute)
                minutes += 1
        assert all(a.end == b.start for a, b in itertools.pairwise(listed)), zone
        handovers += len(listed) - 1
    return {"minutes": minutes, "hand-overs": handovers}


def timed(work: Callable[[int], object], count: int) -> float:
    """Return microseconds of one call."""
    began = time.perf_counter()
    for number in range(count):
        work(number)
    return (time.perf_counter() - began) / count * 1e6


def costs(start: int) -> dict[str, float]:
    """Measure with 50 schedules and 50 roles."""
    zones = sorted(zone_names())[::12][:50]
    schedules = {f"s{n}": team(zone, f"s{n}") for n, zone in enumerate(zones)}
    roles = {f"r{n}": Role(name=f"r{n}", schedules=(f"s{n}",)) for n in range(50)}
    rota, now = Rota(roles, schedules), start * MICROSECONDS
    step = 7_919 * MICROSECONDS  # no day and no hour is hit the same way twice
    return {
        "roles of a person now, 50 schedules": timed(
            lambda n: rota.roles_of("ada", owner=False, at=now + n), 2000
        ),
        "roles of a person at any time of a year, 50 schedules": timed(
            lambda n: rota.roles_of("ada", owner=False, at=now + n * step % (365 * DAY * 10**6)),
            2000,
        ),
        "who holds a role now": timed(lambda n: rota.holders("r7", now + n), 2000),
        "who is on call, until when": timed(
            lambda n: on_call(rota.of_role("r7"), now + n * step), 500
        ),
        "shifts of four weeks": timed(
            lambda n: shifts(rota.of_role("r7"), now, now + 28 * DAY * MICROSECONDS), 50
        ),
        "shifts of a year": timed(
            lambda n: shifts(rota.of_role("r8"), now, now + 365 * DAY * MICROSECONDS), 10
        ),
        "next change of anybody, 50 schedules": timed(lambda n: rota.next_change(now + n), 2000),
    }


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--year", type=int, default=2026)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    start = seconds(datetime(given.year, 1, 1))
    end = start + int(timedelta(days=366).total_seconds())
    found: dict[str, Any] = {"year": given.year, "zones": len(zone_names())}
    for name, work in (
        ("costs", lambda: {what: round(one, 1) for what, one in costs(start).items()}),
        ("clock", lambda: year_of_clock(start + 10 * DAY, end)),
        ("walls", lambda: walls(start, end)),
        ("turns", lambda: turns(start, end)),
    ):
        began = time.perf_counter()
        found[name] = {**work(), "seconds": round(time.perf_counter() - began, 1)}
        print(f"{name}: {found[name]}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
