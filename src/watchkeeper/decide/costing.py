"""What a tool call is said to have used, counted in every budget that caps it."""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.budgets.changes import with_changes
from watchkeeper.budgets.widening import widen
from watchkeeper.decide.budgets.caps import caps_over
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.identity.recorded import recorded_run
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure


def draw_on_used(
    tx: Transaction, catalogue: Catalogue, row: Row, used: Mapping[Measure, int]
) -> None:
    """Let a tool call's hold draw on the budgets of money and tokens, where it used some.

    A permit holds none of that for it, so that calls without a cost of their own need no room
    there. Model calls hold all of it from the start.
    """
    if row.kind != "tool" or not any(used.values()):
        return
    run = recorded_run(tx, row.run)
    if run is None:
        return
    caps = with_changes(caps_over(catalogue, run).caps, catalogue.changed_caps, tx.now)
    widen(tx, row.decision, used, caps, agent=row.agent, run=row.run, permitted_at=row.at)
