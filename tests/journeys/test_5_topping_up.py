"""Step 5: an agent meets its budget, is stopped with its name, is topped up and goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.journeys.demo import PATIENCE_SECONDS, Demo, milliseconds
from tests.rig.tmux import Tmux

pytestmark = [pytest.mark.terminal, pytest.mark.xdist_group("demo")]
Terminal = Callable[..., Tmux]
Record = Callable[[str, object], None]
BUDGET = "team/legal/day/spend"


def test_an_exhausted_budget_stops_its_agent_until_it_is_topped_up(
    demo: Demo, terminal: Terminal, record_property: Record
) -> None:
    console = demo.open(terminal(80, 24)).pane("Fleet")
    console.row("■ stopped", "contract-summary", "budget", seconds=PATIENCE_SECONDS)
    console.select("contract-summary").open()
    console.read(f"budget {BUDGET} allows $0.15 per day", "this needs $0.")
    console.press("q")

    console.pane("Budgets").select("team legal", "■ exhausted").press("+")
    dialog = console.dialog("Top up team legal?").shows("$0.15")
    dialog.write("Dollars to add", "lots").attempt("Top up").shows("write")
    dialog.clear("Dollars to add").write("Dollars to add", "5")
    dialog.write("Reason", "quarter end")
    dialog.confirm("Top up").expect("the cap of this day is $5.15 now")
    console.row("ok", "team legal", "of $5.15")

    ledger = demo.ledger
    topped = ledger.wait(type="budget.topped_up")
    went_on = ledger.wait(topped["sequence"], agent="contract-summary", type="decision.permitted")
    record_property("from the top-up to the agent's next call, ms", milliseconds(topped, went_on))
    console.pane("Fleet").row("● working", "contract-summary", seconds=PATIENCE_SECONDS)
