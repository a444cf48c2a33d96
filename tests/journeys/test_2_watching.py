"""Step 2: nothing is touched, and the fleet is seen at work and what needs a person."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.journeys.demo import PATIENCE_SECONDS, Demo
from tests.rig.console import ConsoleDriver
from tests.rig.tmux import Tmux

pytestmark = [pytest.mark.terminal, pytest.mark.xdist_group("demo")]
Terminal = Callable[..., Tmux]
WAITING = re.compile(
    r"^[ ▸] (?P<minutes>\d\d):(?P<seconds>\d\d) !? +. (?P<harm>\w+) +decide +(?P<what>.*?)  +.*$"
)


def figures(console: ConsoleDriver) -> tuple[int, int, float]:
    """Open runs, calls and dollars of the last hour, as the line under the panes says them."""
    found = console.expect_match(
        r"8 agents · (\d+) open runs? · .*?([\d,]+) calls?, <?\$([\d.]+) last hour"
    )
    return int(found[1]), int(found[2].replace(",", "")), float(found[3])


def waiting(console: ConsoleDriver) -> list[re.Match[str]]:
    """Every approval in Watch, from the top."""
    return [found for row in console.rows() if (found := WAITING.match(row))]


def seconds_left(row: re.Match[str]) -> int:
    """What the clock of a row says."""
    return 60 * int(row["minutes"]) + int(row["seconds"])


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
def test_the_fleet_moves_by_itself(demo: Demo, terminal: Terminal, size: tuple[int, int]) -> None:
    console = demo.open(terminal(*size)).in_front("Watch")
    first = figures(console)
    changed: set[int] = set()

    def moved() -> bool:
        now = figures(console)
        changed.update(n for n, (was, is_) in enumerate(zip(first, now, strict=True)) if was != is_)
        return len(changed) == len(first)

    console.until(moved, f"other runs, calls and spend than {first}", seconds=PATIENCE_SECONDS)
    later = figures(console)
    assert later[1:] > first[1:]


def test_approvals_arrive_with_a_clock_and_the_worst_stands_first(
    demo: Demo, terminal: Terminal
) -> None:
    console = demo.open(terminal(160, 48)).in_front("Watch")

    def ranked() -> list[str]:
        harms = [row["harm"] for row in waiting(console)]
        return harms if {"critical", "medium"} <= set(harms) else []

    harms = console.until(ranked, "a critical and a medium request", seconds=PATIENCE_SECONDS)
    assert "critical" not in harms[harms.index("medium") :], harms

    longest = max(waiting(console), key=seconds_left)
    console.until(
        lambda: any(
            row["what"] == longest["what"] and seconds_left(row) < seconds_left(longest)
            for row in waiting(console)
        ),
        f"the clock of {longest[0]!r} runs",
    )
    console.expect_match(r"\d+ for you")
    assert re.match(r"\(\d+\) ", console.terminal.title)
