"""Step 6: the kill key on a running agent, its receipts, its refusals, and the way back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.journeys.demo import PATIENCE_SECONDS, Demo, milliseconds
from tests.rig.tmux import Tmux
from watchkeeper.wire.locks import EFFECTS

pytestmark = [pytest.mark.terminal, pytest.mark.xdist_group("demo")]
Terminal = Callable[..., Tmux]
Record = Callable[[str, object], None]
AGENT = "customer-support"
RECEIPT = r"[✓?–] (acknowledged|unconfirmed|not supported) +[\d,.]+ ms"


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
def test_a_killed_agent_is_refused_until_its_lock_is_lifted(
    demo: Demo, terminal: Terminal, record_property: Record, size: tuple[int, int]
) -> None:
    ledger = demo.ledger
    console = demo.open(terminal(*size)).pane("Fleet")
    console.row("● working", AGENT, seconds=PATIENCE_SECONDS)
    console.select(AGENT).press("C-x")
    dialog = console.dialog(f"Kill agent {AGENT}?")
    dialog.shows(f"agents {AGENT}", "open run", "in flight", "pending approval", "tells", "support")

    dialog.attempt("Kill").shows("that is not the name")
    dialog.write(f"Type {AGENT}", AGENT).write("Reason", "it answers nonsense")
    dialog.confirm("Kill").expect(f"─ Killed: agent {AGENT} ─")
    for effect in EFFECTS:
        console.expect_match(rf"│ *{effect} +{RECEIPT}")

    lock = ledger.events(type="lock.created")[-1]
    refused = ledger.wait(lock["sequence"], agent=AGENT, rule="lock/")
    assert refused["type"] in {"decision.denied", "run.refused"}
    record_property("from the kill to the agent's first refusal, ms", milliseconds(lock, refused))
    console.press("q").expect_no("─ Killed:")
    console.row("■ stopped", AGENT, "killed")
    console.expect("1 lock")
    assert not ledger.events(lock["sequence"], agent=AGENT, type="decision.permitted")

    console.select(AGENT).press("l")
    dialog = console.dialog("Lift this lock?").shows(f"agent {AGENT}", "it answers nonsense")
    dialog.write("Reason", "prompt repaired")
    dialog.confirm("Lift").expect(f"lifted: agent {AGENT}")
    lifted = ledger.wait(lock["sequence"], type="lock.lifted")
    went_on = ledger.wait(lifted["sequence"], agent=AGENT, type="decision.permitted")
    record_property("from lifting to the agent's next call, ms", milliseconds(lifted, went_on))
    console.row("● working", AGENT, seconds=PATIENCE_SECONDS)
    console.expect_no("1 lock")
