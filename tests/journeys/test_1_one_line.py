"""Step 1: one line starts the console on a fleet that works; another ends it all."""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.journeys.demo import AGENTS, Demo
from tests.rig.tmux import Tmux
from watchkeeper.client.local import find_plane

pytestmark = pytest.mark.terminal
Terminal = Callable[..., Tmux]


def test_one_line_opens_the_console_on_a_working_fleet(own_demo: Demo, terminal: Terminal) -> None:
    console = own_demo.open(terminal(80, 24))
    console.expect("demo ▪", "1 Watch", "2 Fle", "3 App", ": command")
    console.expect("8 agents")
    console.expect_match(r"[1-9]\d* open runs?")
    own_demo.wait_for_agents()
    for agent in AGENTS:
        own_demo.ledger.wait(agent=agent, type="outcome.recorded")

    console.pane("Fleet")
    for agent in AGENTS:
        console.row(agent)

    assert console.leave("q") == 0
    console.expect("The demo goes on.", "watchkeeper demo stop")
    console.terminal.close()
    assert "refund-assistant" in own_demo.run("demo", "status")

    assert "The demo has ended." in own_demo.stop()
    assert "No demo runs here." in own_demo.stop()


def test_a_demo_finds_another_port_when_its_own_is_taken(
    own_demo: Demo, terminal: Terminal
) -> None:
    console = own_demo.open(terminal(80, 24)).expect("8 agents")
    assert console.leave("q") == 0
    plane = find_plane(own_demo.state)
    assert plane is not None
    own_demo.run("demo", "stop")
    place = urlsplit(plane.http)
    with socket.create_server((str(place.hostname), int(place.port or 0))):
        console.type_line("watchkeeper demo").expect("8 agents")
    console.terminal.close()
