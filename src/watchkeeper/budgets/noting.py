"""What is done once at a level of a budget: a warning, or a pause. Once for each period, and again
where it has a higher cap by then, that is used so far in its turn.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import bindparam

from watchkeeper.budgets.model import Account
from watchkeeper.budgets.response_tables import levels
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure

Once = Literal["warn", "pause"]

_put = insert(levels).values(
    scope=bindparam("scope"),
    period=bindparam("period"),
    period_key=bindparam("period_key"),
    measure=bindparam("measure"),
    level=bindparam("level"),
    does=bindparam("does"),
    at=bindparam("at"),
    cap=bindparam("cap"),
)
_KEYS = ["scope", "period", "period_key", "measure", "level", "does"]
_NOTE = Statement(_put.on_conflict_do_nothing(index_elements=_KEYS))
_NOTE_ANEW = Statement(
    _put.on_conflict_do_update(
        index_elements=_KEYS,
        set_={"at": _put.excluded.at, "cap": _put.excluded.cap},
        where=levels.c.cap < _put.excluded.cap,
    )
)


def note_once(
    tx: Transaction,
    account: Account,
    measure: Measure,
    level: int,
    does: Once,
    *,
    cap: int,
    anew: bool,
) -> bool:
    """Note that something is done at a level in this period; False if it was done before.

    What was done under a lower cap may be done `anew`. The caller records what it does.
    """
    note = _NOTE_ANEW if anew else _NOTE
    return (
        note.run(
            tx,
            scope=account.scope,
            period=account.period,
            period_key=account.period_key,
            measure=measure,
            level=level,
            does=does,
            at=tx.now,
            cap=cap,
        )
        == 1
    )
