"""Step 3: the approval queue by keyboard: read, approve one, reject one, see the agent go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.journeys.demo import Demo, milliseconds
from tests.rig.tmux import Tmux

pytestmark = [pytest.mark.terminal, pytest.mark.xdist_group("demo")]
Terminal = Callable[..., Tmux]
Record = Callable[[str, object], None]
REFUND = {"agent": "refund-assistant", "tool": "stripe.create_refund"}


def test_a_refund_is_read_and_approved_and_happens(
    demo: Demo, terminal: Terminal, record_property: Record
) -> None:
    console = demo.open(terminal(80, 24)).pane("Approvals")
    ledger = demo.ledger
    request = ledger.pending(**REFUND)
    charge, micros = request["object"]["id"], request["amount_micros"]
    dollars = f"${micros / 1_000_000:,.2f}"
    console.select("refund-assistant", charge).open()
    console.read(
        f"create refund of {dollars}",
        f"{request['risk']} risk",
        "left, then it is denied",
        "on behalf of customer/",
        "goal",
        "refunded_usd",
        "reach",
        "way back",
        "Why it is asked",
        f"waits for 1 person of {request['role']}",
        "Arguments, exactly as the approval covers them",
        f'"charge_id":"{charge}"',
        "▌ refund-assistant says",
        "root looked at it",
    )

    console.press("a")
    dialog = console.dialog("Approve this?").shows(dollars, charge, "reach", "way back", "rule")
    dialog.to_end()
    dialog.write(f"Type {charge}", charge).write("Reason", "ticket and charge agree")
    dialog.confirm("Approve").expect("approved: create refund")

    approved = ledger.wait(request=request["request"], type="request.approved")
    went_on = ledger.wait(request=request["request"], type="grant.redeemed")
    record_property("from approval to the agent's next step, ms", milliseconds(approved, went_on))
    ledger.wait(request=request["request"], type="request.succeeded")
    assert demo.refunds()[charge] == micros // 10_000

    console.press("q").expect_no("q back").press("d")
    # a large amount leaves room for the ends of the charge's id only
    console.row("✓ done", "refund-assistant", charge[-2:])


def test_a_refund_is_rejected_with_a_reason_that_the_agent_reads(
    demo: Demo, terminal: Terminal, record_property: Record
) -> None:
    console = demo.open(terminal(160, 48)).pane("Approvals")
    request = demo.ledger.pending(**REFUND)
    charge = request["object"]["id"]
    console.select("refund-assistant", charge)
    console.expect("Who asks", "What changes", "Why it is asked")

    console.press("x")
    dialog = console.dialog("Reject this?").shows(charge)
    dialog.attempt("Reject").shows("say why in a few words")
    dialog.write("Reason", "the customer sent another photo")
    dialog.confirm("Reject").expect("rejected: create refund")

    ledger = demo.ledger
    denied = ledger.wait(request=request["request"], type="request.denied")
    refused = ledger.wait(denied["sequence"], run=request["run"], type="decision.denied")
    record_property("from rejection to the agent's refusal, ms", milliseconds(denied, refused))
    assert refused["body"]["rule"] == f"approval/{request['request']}"
    assert "the customer sent another photo" in refused["body"]["reason"]
    assert charge not in demo.refunds()

    closed = ledger.wait(denied["sequence"], run=request["run"], type="run.closed")
    assert closed["sequence"] > refused["sequence"]
    console.press("d")
    console.row("✗ denied", "refund-assistant", charge[-2:])
