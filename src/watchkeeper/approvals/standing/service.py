"""Standing approvals found, counted down and ended; each change with its event."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, bindparam, literal_column, or_, select, update

from watchkeeper.approvals.rows import TIMER, find, record
from watchkeeper.approvals.standing.model import (
    MOST_FOR_ONE,
    StandingApproval,
)
from watchkeeper.approvals.standing.tables import standing_approvals
from watchkeeper.approvals.tables import requests
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.store import timers
from watchkeeper.store.metadata import Whole
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.quorum import Groups

EXPIRY = "approvals.standing"
"""The kind of the timer that ends one."""

_c = standing_approvals.c
_THIS = _c.standing == bindparam("standing_is")
_STANDS = _c.state == literal_column("'standing'")
_OPEN = _c.state.in_([literal_column("'proposed'"), literal_column("'standing'")])
_FIND = Statement(select(standing_approvals).where(_THIS))
_FOR_ONE = Statement(
    select(standing_approvals)
    .where(
        _c.agent == bindparam("agent_is"),
        _c.tool == bindparam("tool_is"),
        _STANDS,
        _c.expires_at > bindparam("now"),
    )
    .order_by(_c.expires_at)
    .limit(MOST_FOR_ONE)
)
_amount = bindparam("amount", type_=Whole)
_USE = Statement(
    update(standing_approvals)
    .where(
        _THIS,
        _STANDS,
        _c.expires_at > bindparam("now"),
        _c.uses < _c.max_uses,
        or_(_c.each_micros.is_(None), _amount <= _c.each_micros),
        or_(_c.total_micros.is_(None), _c.used_micros + _amount <= _c.total_micros),
    )
    .values(
        uses=_c.uses + 1,
        used_micros=_c.used_micros + _amount,
        last_used_at=bindparam("at"),
    )
)
_END = Statement(
    update(standing_approvals)
    .where(_THIS, _OPEN)
    .values(
        state=literal_column("'ended'"),
        ended_at=bindparam("at"),
        ended_by=bindparam("who"),
        ended_why=bindparam("why"),
    )
)
_ANSWER = Statement(
    update(requests)
    .where(
        requests.c.run == bindparam("run_is"),
        requests.c.digest == bindparam("digest_is"),
        requests.c.state == literal_column("'pending'"),
    )
    .values(
        state=literal_column("'superseded'"),
        standing=bindparam("by_standing"),
        decided_by=bindparam("who"),
        decided_at=bindparam("at"),
        next_at=None,
    )
)
_PENDING_ACTION = Statement(
    select(requests.c.request).where(
        requests.c.run == bindparam("run_is"),
        requests.c.digest == bindparam("digest_is"),
        requests.c.state == literal_column("'pending'"),
    )
)


def standing_for(tx: Transaction, agent: str, tool: str, now: int) -> list[StandingApproval]:
    """Return what stands of an agent for a tool."""
    return [_approval(row) for row in _FOR_ONE.all(tx, agent_is=agent, tool_is=tool, now=now)]


def use(tx: Transaction, standing: str, amount_micros: int) -> bool:
    """Count one use; False if it does not stand any more, or has no room for it.

    The decision that it permits is the event of this change. The last use ends it.
    """
    if not _USE.run(tx, standing_is=standing, now=tx.now, amount=amount_micros, at=tx.now):
        return False
    row = find_standing_approval(tx, standing)
    if row.uses >= row.max_uses:
        _finish(tx, row, by="plane", why="all of its uses were made")
    return True


def supersede_by(
    tx: Transaction, standing: str, *, run: str, digest: str, by: Iterable[str]
) -> None:
    """End the pending request for an action that a standing approval permits now."""
    request = _PENDING_ACTION.scalar(tx, run_is=run, digest_is=digest)
    if request is None:
        return
    row = find(tx, request)
    who = ", ".join(by)
    _ANSWER.run(tx, run_is=run, digest_is=digest, by_standing=standing, who=who, at=tx.now)
    timers.cancel(tx, TIMER, request)
    text = f"standing approval {standing} by {who} permitted it"
    record(tx, row, "request.superseded", actor="plane", text=text, standing=standing)


def end(tx: Transaction, standing: str, *, by: str, why: str) -> None:
    """End one at once, or take back its proposal; raise `NotFound`, `Conflict` if it ended."""
    row = find_standing_approval(tx, standing)
    request = find(tx, row.request)
    if row.state == "ended" or (row.state == "proposed" and request.state != "pending"):
        raise Conflict(
            f"standing approval {standing} does not stand any more",
            code="already_ended",
            rule="standing/ended",
            remedy=f"see `watchkeeper standing show {standing}`",
        )
    if row.state == "proposed":
        _take_back(tx, request, by=by, why=why)
    _finish(tx, row, by=by, why=why)


def end_covered(
    tx: Transaction,
    *,
    agents: Iterable[str] = (),
    tools: Collection[str] = (),
    everything: bool = False,
    by: str,
    why: str,
) -> int:
    """End every one of some agents or tools, proposals included; return how many."""
    names = sorted(agents)
    of: list[ColumnElement[bool]] = [_c.agent.in_(names)] if names else []
    if tools:
        of.append(_c.tool.in_(sorted(tools)))
    if not of and not everything:
        return 0
    query = select(standing_approvals).where(_OPEN, or_(*of) if of else literal_column("1 = 1"))
    rows = list(tx.connection.execute(query))
    return sum(end_row(tx, row, by=by, why=why) for row in rows)


def end_row(tx: Transaction, row: Row, *, by: str, why: str) -> bool:
    """End one by its row, a proposal with its request; False if it ended before."""
    if row.state == "proposed":
        request = find(tx, row.request)
        if request.state == "pending":
            _take_back(tx, request, by=by, why=why)
        elif request.state != "revoked":
            return False
    return _finish(tx, row, by=by, why=why)


def open_ones(tx: Transaction) -> list[Row]:
    """Return the rows that stand or are proposed."""
    return list(tx.connection.execute(select(standing_approvals).where(_OPEN)))


def find_standing_approval(tx: Transaction, standing: str) -> Row:
    """Return the row of one; raise `NotFound` if there is none."""
    row = _FIND.first(tx, standing_is=standing)
    if row is None:
        raise NotFound(
            f"there is no standing approval {standing!r:.80}",
            remedy="see `watchkeeper standing list`",
        )
    return row


def on_expiry(tx: Transaction, ref: str, due_at: int) -> None:
    """End one whose time is over."""
    tx.silent("one that ended before is left as it is")
    row = _FIND.first(tx, standing_is=ref)
    if row is not None and row.state == "standing":
        if row.expires_at <= tx.now:
            _finish(tx, row, by="plane", why="its time was over")
        else:
            timers.schedule(tx, EXPIRY, ref, row.expires_at)


def _take_back(tx: Transaction, request: Row, *, by: str, why: str) -> None:
    changed = tx.connection.execute(
        update(requests)
        .where(
            requests.c.request == request.request,
            requests.c.state == literal_column("'pending'"),
        )
        .values(state="cancelled", decided_by=by, decided_at=tx.now, decided_why=why, next_at=None)
    )
    if changed.rowcount:
        timers.cancel(tx, TIMER, request.request)
        text = f"the proposal was taken back by {by}: {why}"
        record(tx, request, "request.cancelled", actor=by, text=text)


def _finish(tx: Transaction, row: Row, *, by: str, why: str) -> bool:
    if not _END.run(tx, standing_is=row.standing, at=tx.now, who=by, why=why):
        return False
    timers.cancel(tx, EXPIRY, row.standing)
    record_standing(
        tx,
        row,
        "standing.ended",
        actor=by,
        text=f"ended by {by}: {why}; used {row.uses} of {row.max_uses} times",
        uses=row.uses,
        used_micros=row.used_micros,
    )
    return True


def record_standing(
    tx: Transaction, row: Row, type_: str, *, actor: str, text: str, **body: Any
) -> None:
    """Record an event of a standing approval, shown in its request's timeline too."""
    tx.record(
        type_,
        actor=actor,
        subject=f"standing/{row.standing}",
        agent=row.agent,
        request=row.request,
        body={"standing": row.standing, "tool": row.tool, "digest": row.digest, **body,
              "text": f"standing approval {row.standing}: {text}"},
    )  # fmt: skip


def _approval(row: Row) -> StandingApproval:
    return StandingApproval(
        standing=row.standing,
        contract=row.contract,
        agent_version=row.agent_version,
        tool_digest=row.tool_digest,
        definition=row.definition,
        pins=read_pins(row.pins),
        uses_left=row.max_uses - row.uses,
        each_micros=row.each_micros,
        money_left=None if row.total_micros is None else row.total_micros - row.used_micros,
        expires_at=row.expires_at,
        risk=row.risk,
        groups=read_groups(row.groups),
        signed=bool(row.signed),
        by=tuple(json.loads(row.approved_by)),
        people=frozenset(json.loads(row.people)),
    )


@lru_cache(maxsize=1024)
def read_pins(text: str) -> dict[str, bytes]:
    """Return pins as they are kept in a row, each value in canonical form."""
    return {name: canonical(value) for name, value in json.loads(text).items()}


@lru_cache(maxsize=1024)
def read_groups(text: str) -> Groups:
    """Return groups as they are kept in a row."""
    return tuple((role, count) for role, count in json.loads(text))


HANDLERS: dict[str, Handler] = {EXPIRY: on_expiry}
"""What the sweeper runs for standing approvals, by timer kind."""
