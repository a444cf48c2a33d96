"""More of what is held for an action under way, so that it can be tried once more."""

from __future__ import annotations

from watchkeeper.budgets import service as budgets
from watchkeeper.budgets.changes import with_changes
from watchkeeper.budgets.model import Held
from watchkeeper.core.errors import Conflict
from watchkeeper.decide.budgets.amounts import amounts_of
from watchkeeper.decide.budgets.caps import caps_over
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.records import find_decision
from watchkeeper.identity.recorded import recorded_run
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Usage


def hold_more(tx: Transaction, catalogue: Catalogue, decision: str, more: Usage) -> bool:
    """Hold more for an action that is under way, in all its budgets or in none.

    False where one of them has no room, where what was held has ended, or where no contract is
    in force for its agent any more.
    """
    tx.silent("a budget that has no room is told of by itself")
    row = find_decision(tx, decision)
    run = recorded_run(tx, row.run)
    if run is None or run.agent not in catalogue.agents:
        return False
    model = (row.model or row.name) if row.kind == "model" else None
    over = caps_over(catalogue, run, model)
    amounts = amounts_of(more)
    if "retries" in over.measures:
        amounts["retries"] = more.retries
    caps = with_changes(over.caps, catalogue.changed_caps, tx.now)
    try:
        answer = budgets.extend(
            tx, decision, amounts, [cap for cap in caps if cap.measure in amounts]
        )
    except Conflict:
        return False
    if isinstance(answer, Held):
        tx.record(
            "hold.extended",
            actor="plane",
            subject=f"decision/{decision}",
            agent=row.agent,
            run=row.run,
            body={"more": {measure: amount for measure, amount in amounts.items() if amount}},
        )
    return answer is None or isinstance(answer, Held)
