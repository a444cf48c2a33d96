"""What is done once at a level of a budget: a warning, or a pause. Once for each period."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import bindparam

from watchkeeper.budgets.model import Account
from watchkeeper.budgets.response_tables import levels
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure

Once = Literal["warn", "pause"]

_NOTE = Statement(
    insert(levels)
    .values(
        scope=bindparam("scope"),
        period=bindparam("period"),
        period_key=bindparam("period_key"),
        measure=bindparam("measure"),
        level=bindparam("level"),
        does=bindparam("does"),
        at=bindparam("at"),
    )
    .on_conflict_do_nothing(
        index_elements=["scope", "period", "period_key", "measure", "level", "does"]
    )
)


def note_once(tx: Transaction, account: Account, measure: Measure, level: int, does: Once) -> bool:
    """Note that something is done at a level in this period; False if it was done before.

    The caller records what it does.
    """
    return (
        _NOTE.run(
            tx,
            scope=account.scope,
            period=account.period,
            period_key=account.period_key,
            measure=measure,
            level=level,
            does=does,
            at=tx.now,
        )
        == 1
    )
