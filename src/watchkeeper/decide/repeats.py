"""Calls that are the same call again: they join the first, or get what it got.

A call is known in its run by the key that its caller gave it or, where the tool's contract says
so, by what is called and with what. As long as it runs, and for a while after it has ended, the
same call is answered from the first one and not performed again.
"""

from __future__ import annotations

from collections import OrderedDict

from sqlalchemy import Column, Index, Table, Text, bindparam, delete, select, tuple_, update

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.model import Action
from watchkeeper.decide.tables import decisions
from watchkeeper.identity.tables import agent_of
from watchkeeper.registry.documents import Idempotency, ToolContract
from watchkeeper.store.metadata import Key, Whole, metadata
from watchkeeper.store.retention import is_held
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Performer

LARGEST_RESULT = 256 * 1024
"""Bytes of the largest result that is kept; of a larger one only its digest and outcome are."""
_MOST_TAKEN = 20_000
AT_ONCE = 500
"""How many calls one purge forgets."""

calls = Table(
    "calls",
    metadata,
    Column("run", Key, primary_key=True),
    Column("call", Key, primary_key=True),
    Column("decision", Key, nullable=False),
    Column("window_seconds", Whole, nullable=False),
    Column("expires_at", Whole),
    Column("result", Text),
)
"""Which decision stands for a call, and what its caller was given; no expiry while it runs."""
Index("calls_by_expiry", calls.c.expires_at)

_THIS = (calls.c.run == bindparam("run_is"), calls.c.call == bindparam("call_is"))
_FIND = Statement(
    select(decisions, calls.c.expires_at)
    .join(calls, calls.c.decision == decisions.c.decision)
    .where(*_THIS)
)
_put = insert(calls).values(
    run=bindparam("run"),
    call=bindparam("call"),
    decision=bindparam("decision"),
    window_seconds=bindparam("window"),
    expires_at=None,
    result=None,
)
_PUT = Statement(
    _put.on_conflict_do_update(
        index_elements=["run", "call"],
        set_={
            "decision": _put.excluded.decision,
            "window_seconds": _put.excluded.window_seconds,
            "expires_at": None,
            "result": None,
        },
    )
)
_KEEP = Statement(
    update(calls)
    .where(*_THIS, calls.c.decision == bindparam("decision_is"))
    .values(
        result=bindparam("to"),
        expires_at=bindparam("at") + calls.c.window_seconds * MICROSECONDS,
    )
)
_DROP = Statement(delete(calls).where(*_THIS, calls.c.decision == bindparam("decision_is")))
_FREE_KEY = Statement(
    update(decisions)
    .where(decisions.c.decision == bindparam("decision_is"))
    .values(idempotency_key=None)
)
_RESULT = Statement(
    select(calls.c.result).where(*_THIS, calls.c.decision == bindparam("decision_is"))
)
_PURGE = Statement(
    delete(calls).where(
        tuple_(calls.c.run, calls.c.call).in_(
            select(calls.c.run, calls.c.call)
            .where(
                calls.c.expires_at <= bindparam("now"),
                ~is_held(run=calls.c.run, agent=agent_of(calls)),
            )
            .order_by(calls.c.expires_at)
            .limit(AT_ONCE)
        )
    )
)


class Taken:
    """Whose callers certainly got their results: the same call after that is a new one.

    What is not known here, e.g. since the plane has restarted, may not have arrived.
    """

    def __init__(self) -> None:
        self._decisions: OrderedDict[str, None] = OrderedDict()

    def add(self, decision: str) -> None:
        """Note that the caller has the result of a decision."""
        self._decisions[decision] = None
        if len(self._decisions) > _MOST_TAKEN:
            self._decisions.popitem(last=False)

    def __contains__(self, decision: str) -> bool:
        return decision in self._decisions


def name_call(key: str | None, action: Action, contract: ToolContract | None) -> str | None:
    """Return what the same call would be known by, or None if no other is the same."""
    if key is not None:
        return f"key:{key}"
    same = contract is not None and contract.idempotency.by == "arguments"
    return action.call_digest if same else None


def find_first(tx: Transaction, run: str, call: str) -> Row | None:
    """Return the decision that stands for a call, with `expires_at` of what it got, or None."""
    return _FIND.first(tx, run_is=run, call_is=call)


def stands_for(first: Row, *, keyed: bool, taken: bool, now: int) -> bool:
    """Tell whether the first call answers the same call now.

    It does while it runs and, until its window has passed: where a person approved it, where
    nobody knows how it ended, where the caller gave a key, and where its result may not have
    arrived. Otherwise the same call is a new one on purpose.
    """
    if first.settled_at is None:
        return True
    if first.expires_at is not None and first.expires_at <= now:
        return False
    return keyed or first.request is not None or first.outcome == "unknown" or not taken


def is_remembered(
    contract: ToolContract | None, performer: Performer, *, keyed: bool, approved: bool
) -> bool:
    """Tell whether a permitted call, if it has a name, is remembered for the same call.

    One with a key and one that was approved always is. Of the others those that change
    something: to read again does no harm. What the agent performs itself is its own affair.
    """
    if keyed or approved:
        return True
    return contract is not None and contract.access == "write" and performer == "plane"


def remember(
    tx: Transaction, run: str, call: str, decision: str, contract: ToolContract | None
) -> None:
    """Let a permitted decision stand for a call from now on."""
    window = (contract.idempotency if contract else Idempotency()).window_seconds
    _PUT.run(tx, run=run, call=call, decision=decision, window=window)


def keep_result(tx: Transaction, row: Row, result: str | None) -> None:
    """Keep what the caller of a settled decision was given, until its window has passed."""
    if result is not None and len(result) > LARGEST_RESULT:
        result = None
    call = _name_of(row)
    if call is not None:
        _KEEP.run(tx, run_is=row.run, call_is=call, decision_is=row.decision, to=result, at=tx.now)


def release(tx: Transaction, row: Row) -> None:
    """Let the same call be made anew: this one was settled without having begun."""
    call = _name_of(row)
    if call is not None:
        _DROP.run(tx, run_is=row.run, call_is=call, decision_is=row.decision)
    if row.idempotency_key is not None:
        _FREE_KEY.run(tx, decision_is=row.decision)


def recall(tx: Transaction, row: Row) -> str | None:
    """Return the result that is kept of a decision, or None."""
    call = _name_of(row)
    if call is None:
        return None
    result: str | None = _RESULT.scalar(tx, run_is=row.run, call_is=call, decision_is=row.decision)
    return result


def purge_calls(tx: Transaction) -> int:
    """Forget calls whose window has passed, up to a bound, unless held; return how many."""
    tx.silent("results are kept for retries only; their digests stay with the decisions")
    return _PURGE.run(tx, now=tx.now)


def _name_of(row: Row) -> str | None:
    """Return what a permitted call may be remembered by, or None if it can't be."""
    if row.idempotency_key is not None:
        return f"key:{row.idempotency_key}"
    own_affair = row.performer == "agent" and row.request is None
    return None if row.kind != "tool" or own_affair else str(row.call_digest)
