"""A tool's own contract as an approver meets it, on a real plane over a real upstream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cli.command import watchkeeper
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY, TOOLS, upstream_document, world

REFUND = """
  rollback: Refunds cannot be taken back; charge again with the customer's consent.
  reversible: false
  approval: {role: finance-lead, sla_seconds: 600}
  display: "Refund ${amount_usd} of {charge_id} to the customer"
  blast_preview:
    tool: books.lookup_charge
    arguments: {charge_id: charge_id}
    changes: [{field: customer, after: charge_id}]
"""
DECLARED = "  rollback: Refunds cannot be taken back; charge again with the customer's consent.\n"


def test_an_approver_reads_the_contracts_words_and_the_measured_reach(tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "books").start()
    plane = Plane(tmp_path / "plane").start()
    try:
        documents = world(upstream=upstream_document(url=upstream.url))
        tools = TOOLS.replace(DECLARED, REFUND)
        assert tools != TOOLS
        plane.apply(*(tools if text == TOOLS else text for text in documents), policy__cedar=POLICY)
        run = plane.enrol("clerk").open_run(on_behalf_of="customer/ada")
        eventually(lambda: plane.events(type="upstream.first_listed"), "the upstream is listed")
        held = run.decide("books.create_refund", {"charge_id": "ch_2", "amount_usd": 40})
        assert held["rule"] == "tool/books.create_refund/approval"

        def measured() -> dict[str, Any] | None:
            found: dict[str, Any] = plane.operator.get(f"/v1/requests/{held['request']}")
            return found if found["blast_source"] == "measured" and found["changes"] else None

        shown = eventually(measured, "the reach is measured")
        assert shown["asks"] == "Refund $40 of ch_2 to the customer"
        assert shown["role"] == "finance-lead"
        assert shown["reversible"] is False
        assert shown["blast_radius"] == (
            "One charge of one customer. Measured with books.lookup_charge: customer grace."
        )
        printed = watchkeeper(
            tmp_path, "requests", "show", held["request"], "--state", str(plane.state)
        ).out
        assert "irreversible: Refunds cannot be taken back" in printed
        assert "customer grace. (measured)" in printed
    finally:
        plane.close()
        upstream.stop()
