"""Step 7: the console is left, or its terminal is lost; the fleet goes on, then the person."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.journeys.demo import Demo
from tests.rig.console import ConsoleDriver
from tests.rig.deadline import eventually
from tests.rig.tmux import Tmux
from watchkeeper.client.local import find_plane

pytestmark = [pytest.mark.terminal, pytest.mark.xdist_group("demo")]
Terminal = Callable[..., Tmux]
AGENT = "recommendation"


def go_somewhere(console: ConsoleDriver) -> None:
    """Narrow the fleet and put the cursor where nobody would put it by chance."""
    console.pane("Fleet").filter("re").select(AGENT)


def is_there(console: ConsoleDriver) -> None:
    """Check that the console is where `go_somewhere` went."""
    console.in_front("Fleet").expect("filter: re")
    console.until(lambda: any(r.startswith("▸") and AGENT in r for r in console.rows()), "the row")


def goes_on(demo: Demo, running: dict[str, int]) -> None:
    """Check that the same plane and the same agents work on."""
    head = demo.ledger.head
    demo.ledger.wait(head, agent=AGENT, type="outcome.recorded")
    assert everyone(demo) == running


def everyone(demo: Demo) -> dict[str, int]:
    """Process ids of the plane and its agents."""
    plane = find_plane(demo.state)
    assert plane is not None
    return {"plane": plane.pid, **demo.agents}


def test_left_and_started_again_it_is_where_it_was(demo: Demo, terminal: Terminal) -> None:
    console = demo.open(terminal(80, 24))
    running = everyone(demo)
    go_somewhere(console)
    assert console.leave("q") == 0
    console.expect("The demo goes on.")
    goes_on(demo, running)
    is_there(console.type_line("watchkeeper demo"))


def test_a_lost_terminal_ends_only_the_console(demo: Demo, terminal: Terminal) -> None:
    lost = terminal(80, 24)
    console = demo.open(lost)
    running = everyone(demo)
    go_somewhere(console)
    on_it = lost.processes
    assert len(on_it) > 1
    lost.hang_up()
    eventually(lambda: not any(is_alive(pid) for pid in on_it), "the console has ended")
    goes_on(demo, running)
    is_there(demo.open(terminal(100, 30), afresh=False))


def test_it_follows_its_terminal_whatever_the_environment_says(
    demo: Demo, terminal: Terminal
) -> None:
    wide = terminal(160, 48)
    console = demo.open(wide, "COLUMNS=80 LINES=24 watchkeeper demo").pane("Fleet")
    console.select(AGENT).expect("What it may do")
    wide.resize(80, 24)
    console.expect_no("What it may do").row(AGENT)
    wide.resize(120, 30)
    console.expect("What it may do")


def is_alive(pid: int) -> bool:
    """Tell whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
