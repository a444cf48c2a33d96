"""What an action counts as once a person says how it ended, where nobody knew."""

from __future__ import annotations

from typing import Literal

from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import key_of
from watchkeeper.budgets.model import MEASURES
from watchkeeper.budgets.rules import Amounts, posted_amounts, read_accounts
from watchkeeper.budgets.settling import count_spender, posted_of, reserved_of
from watchkeeper.store.transaction import Transaction


def reconcile(
    tx: Transaction, decision: str, status: Literal["succeeded", "failed"]
) -> Amounts | None:
    """Correct what a hold posted that ended with an unknown outcome; no later word changes it.

    What others may bill for, and the calls themselves, stay as counted: a person tells how it
    ended, not what it cost. Value counts as moved only if it succeeded. Returns what counts now,
    or None if no budget covers the decision, or its hold never ended.
    """
    hold = sql.FIND_HOLD.first(tx, decision_is=decision)
    if hold is None or hold.state not in ("expired", "settled"):
        return None
    before = posted_of(hold)
    posted = posted_amounts(reserved_of(hold), before, status, elapsed=0)
    posted["wall_time"] = before["wall_time"]
    more = {measure: posted[measure] - before[measure] for measure in MEASURES}
    measures = tuple(measure for measure in MEASURES if more[measure])
    ended = sql.resolve_of(measures or MEASURES[:1]).run(
        tx,
        decision_is=decision,
        state_is=hold.state,
        new_state="settled",
        at=tx.now,
        **sql.named("amount", posted, measures or MEASURES[:1]),
    )
    if not ended or not measures:
        return posted
    accounts = read_accounts(hold.accounts)
    for account in accounts:
        sql.correct_of(measures).run(tx, **key_of(account), **sql.named("amount", more, measures))
    count_spender(tx, hold.agent, accounts, measures, more, actions=0)
    tx.record(
        "hold.corrected",
        actor="plane",
        subject=f"decision/{decision}",
        agent=hold.agent,
        run=hold.run,
        body={
            "posted": {measure: n for measure, n in posted.items() if n},
            "before": {measure: n for measure, n in before.items() if n},
        },
    )
    return posted
