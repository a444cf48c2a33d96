"""Step 4: nobody decides: it reminds, asks the next role, and at the end is denied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journeys.demo import COMMANDS, Ledger, wait_until_nothing_runs
from tests.rig.console import ConsoleDriver
from tests.rig.plane import Plane
from tests.rig.tmux import Tmux
from watchkeeper.demo import fleet

pytestmark = pytest.mark.terminal
Terminal = Callable[..., Tmux]
REMINDED, ESCALATED, OVER = 16, 15, 30
"""Seconds from one to the next: fraud reminds every 15 s, asks the lead after 30, ends at 60."""


@pytest.fixture
def plane(tmp_path: Path, make_plane: Callable[..., Plane]) -> Iterator[Plane]:
    """A plane whose clock can be advanced, with the demo's fraud desk at work."""
    made = make_plane("rehearsal")
    fleet.start(made.state, socket=made.socket, url=made.url, pace=4, agents=("fraud-detection",))
    yield made
    fleet.stop(made.state)
    made.close()
    wait_until_nothing_runs(tmp_path)


def test_a_request_left_alone_is_reminded_escalated_and_denied(
    plane: Plane, terminal: Terminal
) -> None:
    ledger = Ledger(plane.operator)
    request = ledger.pending(tool="cards.block_card")
    card = request["object"]["id"]
    console = ConsoleDriver.start(
        terminal(80, 24),
        f"{COMMANDS}/watchkeeper --state {plane.state}",
        env=plane.environ,
        cwd=plane.directory,
    )
    console.pane("Approvals").select(card, "level 1").open()
    console.read("waits for 1 person of fraud-desk", "asked since", "denied if nobody decides")

    plane.advance(REMINDED)
    console.read("reminded fraud-desk")

    plane.advance(ESCALATED)
    console.read("of fraud-desk or risk-lead", "fraud-desk: was asked and may still decide")
    console.read("now asks risk-lead (level 2 of 2)")
    console.press("q")
    console.row("!", card, "level 2")

    plane.advance(OVER)
    ledger.wait(request=request["request"], type="request.expired")
    console.expect_no(card).press("d")
    console.select(card, "× expired").open()
    console.read("× expired by deadline", "nobody decided")

    told = [event["type"] for event in ledger.events(request=request["request"])]
    story = ["request.created", "request.reminded", "request.escalated", "request.expired"]
    assert [told.index(step) for step in story] == sorted(told.index(step) for step in story)
    refused = ledger.wait(run=request["run"], type="decision.denied")
    assert refused["body"]["rule"] == f"approval/{request['request']}"
    ledger.wait(refused["sequence"], agent="fraud-detection", type="decision.permitted")
