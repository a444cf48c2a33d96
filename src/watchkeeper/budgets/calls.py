"""Which calls a run made, where a cap on retries covers it: the same one again is a retry."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from watchkeeper.budgets.tables import calls
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction

_FIND = Statement(
    select(calls.c.call).where(
        calls.c.run == bindparam("run_is"), calls.c.call == bindparam("call_is")
    )
)
_NOTE = Statement(
    insert(calls)
    .values(run=bindparam("run_is"), call=bindparam("call_is"))
    .on_conflict_do_nothing(index_elements=["run", "call"])
)


def was_made(tx: Transaction, run: str, call: str) -> bool:
    """Tell whether a run was permitted a call before, by its digest."""
    return _FIND.first(tx, run_is=run, call_is=call) is not None


def note(tx: Transaction, run: str, call: str) -> None:
    """Remember that a run was permitted a call."""
    _NOTE.run(tx, run_is=run, call_is=call)
