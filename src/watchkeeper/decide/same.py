"""Answering a call that is the same as one before, without a decision of its own."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.core.errors import Conflict
from watchkeeper.decide.answers import as_replay
from watchkeeper.decide.gates.kill import forbidden, lock_on_approval
from watchkeeper.decide.held.narrowing import read_for
from watchkeeper.decide.model import Action
from watchkeeper.decide.records import find_by_key
from watchkeeper.decide.repeats import Taken, find_first, stands_for
from watchkeeper.identity.model import RunFacts
from watchkeeper.kill.model import LockInForce
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Answer, Ask


def find_replay(
    tx: Transaction,
    run: RunFacts,
    ask: Ask,
    action: Action,
    call: str | None,
    *,
    taken: Taken,
    locks: Sequence[LockInForce],
    cut: Row | None = None,
) -> Answer | None:
    """Return what a call is answered that is the same as one before; None: it is a new one.

    `taken`: decisions whose callers certainly got their results; `cut`: the same call of its agent
    that a lock cut, which stands for it whatever its run and however long ago. Raises `Conflict`
    where its idempotency key was of another call, `Forbidden` where a lock is on the approval that
    the first one used.
    """
    keyed = ask.idempotency_key is not None
    row = cut
    if row is None and call is not None:
        row = find_first(tx, run.run, call)
    if (
        cut is None
        and row is not None
        and not stands_for(row, keyed=keyed, taken=row.decision in taken, now=tx.now)
    ):
        row = None
    if row is None and ask.idempotency_key is not None:
        row = find_by_key(tx, run.run, ask.idempotency_key)
    if row is None:
        return None
    # a row from before calls had digests has none, and is no match
    if row.call_digest != action.call_digest:
        raise Conflict(
            "this idempotency key was used for another call",
            code="idempotency_mismatch",
            remedy="use a new key for a new call",
        )
    lock = lock_on_approval(locks, row.request)
    if lock is not None:
        raise forbidden(lock)
    tx.silent("the first of these calls is on record")
    narrowed = read_for(tx, row.request, action.arguments) if row.request else None
    return as_replay(row, narrowed)
