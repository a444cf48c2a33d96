"""Held actions that their agent asks after by a handle instead of sending them again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Column, Index, Table, Text, bindparam, delete, func, select, tuple_, update

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.ids import hash_secret, secret
from watchkeeper.identity.tables import agent_of
from watchkeeper.store.metadata import Key, Whole, metadata
from watchkeeper.store.retention import is_held
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Ask

KEPT_SECONDS = 3600
"""How long a handle is good after the time by which its request is decided."""
AT_ONCE = 500
"""How many handles one purge forgets."""
_MOST_HANDLES = 20

deferred = Table(
    "deferred",
    metadata,
    Column("handle_hash", Key, primary_key=True),
    Column("run", Key, nullable=False),
    Column("request", Key, nullable=False),
    Column("ask", Text, nullable=False),
    Column("decision", Text),
    Column("result", Text),
    Column("cancelled", Whole, nullable=False),
    Column("created_at", Whole, nullable=False),
    Column("updated_at", Whole, nullable=False),
    Column("expires_at", Whole, nullable=False),
)
"""What is asked for again once the request is decided, and what came of it."""
Index("deferred_by_request", deferred.c.request)
Index("deferred_by_expiry", deferred.c.expires_at)

_ADD = Statement(deferred.insert())
_FIND = Statement(
    select(deferred).where(
        deferred.c.handle_hash == bindparam("hash_is"),
        deferred.c.run == bindparam("run_is"),
        deferred.c.expires_at > bindparam("now"),
    )
)
_COUNT = Statement(select(func.count()).where(deferred.c.request == bindparam("request_is")))
_MOVE = Statement(
    update(deferred)
    .where(deferred.c.handle_hash == bindparam("hash_is"))
    .values(
        decision=bindparam("to_decision"),
        result=bindparam("to_result"),
        cancelled=bindparam("to_cancelled"),
        updated_at=bindparam("at"),
    )
)
_STAND_BEHIND = Statement(
    update(deferred)
    .where(deferred.c.handle_hash == bindparam("hash_is"))
    .values(request=bindparam("to_request"))
)
_PURGE = Statement(
    delete(deferred).where(
        tuple_(deferred.c.handle_hash).in_(
            select(deferred.c.handle_hash)
            .where(
                deferred.c.expires_at <= bindparam("now"),
                ~is_held(run=deferred.c.run, request=deferred.c.request, agent=agent_of(deferred)),
            )
            .order_by(deferred.c.expires_at)
            .limit(AT_ONCE)
        )
    )
)


@dataclass(frozen=True, slots=True)
class Deferred:
    """One held action behind a handle."""

    handle_hash: str
    request: str
    ask: Ask
    decision: str | None
    """The permit, once there is one."""
    result: str | None
    """What the agent is told, where nothing was permitted."""
    cancelled: bool
    created_at: int
    updated_at: int
    expires_at: int


def defer(
    tx: Transaction, run: str, request: str, ask: Ask, decide_by: int, *, handle: str | None = None
) -> tuple[str, Deferred] | None:
    """Keep a held action; return its handle, or None if it has too many already.

    The handle is a secret, unless the agent chose one for its run; that names one action only.
    """
    if _COUNT.scalar(tx, request_is=request) >= _MOST_HANDLES:
        return None
    tx.silent("that the action is held is on record; the handle only names it")
    handle = secret("wkt") if handle is None else handle
    row = {
        "handle_hash": hash_secret(handle),
        "run": run,
        "request": request,
        "ask": json.dumps(ask.model_dump()),
        "decision": None,
        "result": None,
        "cancelled": 0,
        "created_at": tx.now,
        "updated_at": tx.now,
        "expires_at": decide_by + KEPT_SECONDS * MICROSECONDS,
    }
    _ADD.run(tx, **row)
    return handle, _read(row["handle_hash"], request, ask, row)


def find_deferred(tx: Transaction, handle: str, run: str) -> Deferred | None:
    """Return what a handle stands for, to the run that holds it only; None if nothing."""
    row: Row | None = _FIND.first(tx, hash_is=hash_secret(handle), run_is=run, now=tx.now)
    if row is None:
        return None
    ask = Ask.model_validate(json.loads(row.ask))
    return _read(row.handle_hash, row.request, ask, row._asdict())


def move(
    tx: Transaction,
    one: Deferred,
    *,
    decision: str | None = None,
    result: str | None = None,
    cancelled: bool = False,
) -> None:
    """Note what became of a held action."""
    tx.silent("the decision or the end of the request is on record")
    _MOVE.run(
        tx,
        hash_is=one.handle_hash,
        to_decision=decision,
        to_result=result,
        to_cancelled=int(cancelled),
        at=tx.now,
    )


def stand_behind(tx: Transaction, one: Deferred, request: str) -> None:
    """Have a held action wait for another request: the one before was used by a like action."""
    tx.silent("that the action is held is on record; the handle only names it")
    _STAND_BEHIND.run(tx, hash_is=one.handle_hash, to_request=request)


def purge_deferred(tx: Transaction) -> int:
    """Forget handles that are good no more, up to a bound, unless held; return how many."""
    tx.silent("what became of the actions is on record")
    return _PURGE.run(tx, now=tx.now)


def _read(handle_hash: object, request: str, ask: Ask, row: Mapping[str, object]) -> Deferred:
    return Deferred(
        handle_hash=str(handle_hash),
        request=request,
        ask=ask,
        decision=None if row["decision"] is None else str(row["decision"]),
        result=None if row["result"] is None else str(row["result"]),
        cancelled=bool(row["cancelled"]),
        created_at=int(str(row["created_at"])),
        updated_at=int(str(row["updated_at"])),
        expires_at=int(str(row["expires_at"])),
    )
