"""One request in place of another: narrowed by an approver, or asked anew since it changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, bindparam, literal_column, or_, select, update

from watchkeeper.approvals.escalation import set_timer
from watchkeeper.approvals.rows import IS_OPEN, TIMER, find, record
from watchkeeper.approvals.tables import narrowings, requests, votes
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Conflict
from watchkeeper.core.text import make_safe
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Narrowed, Narrowing, Risk

LONGEST_CHAIN = 50
"""How often what stands for a request may be replaced and still be found from the first."""
_LONGEST_WORDS = 200

_ADD = Statement(requests.insert())
_ADD_NARROWING = Statement(narrowings.insert())
_SAME_CALL = Statement(
    select(requests.c.request)
    .where(
        requests.c.run == bindparam("run_is"),
        or_(
            requests.c.call_digest == bindparam("call_is"),
            # version 1 kept none
            and_(
                requests.c.call_digest.is_(None),
                requests.c.tool == bindparam("tool_is"),
                requests.c.canonical == bindparam("canonical_is"),
            ),
        ),
        requests.c.request != bindparam("but"),
        IS_OPEN,
    )
    .limit(20)
)
_SUPERSEDE = Statement(
    update(requests)
    .where(requests.c.request == bindparam("request_is"), IS_OPEN)
    .values(
        state=literal_column("'superseded'"),
        superseded_by=bindparam("by"),
        decided_by=bindparam("who"),
        decided_at=bindparam("at"),
        decided_why=bindparam("why"),
        next_at=None,
    )
)
_SET_BEFORE = Statement(
    update(requests)
    .where(requests.c.request == bindparam("request_is"), requests.c.supersedes.is_(None))
    .values(supersedes=bindparam("before"))
)
_OPEN_ALIKE = Statement(
    select(requests.c.request).where(
        requests.c.run == bindparam("run_is"),
        requests.c.tool == bindparam("tool_is"),
        requests.c.digest == bindparam("digest_is"),
        IS_OPEN,
    )
)
_NARROWING = Statement(select(narrowings).where(narrowings.c.request == bindparam("request_is")))
_BEFORE = Statement(
    select(requests.c.request, requests.c.state, votes.c.verdict)
    .select_from(
        requests.outerjoin(
            votes,
            (votes.c.request == requests.c.request) & (votes.c.verdict == "changes"),
        )
    )
    .where(
        requests.c.run == bindparam("run_is"),
        requests.c.tool == bindparam("tool_is"),
        requests.c.request < bindparam("than"),
    )
    .order_by(requests.c.request.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Lesser:
    """What a narrowed request asks: everything that differs from the one it stands for."""

    digest: str
    arguments: dict[str, Any]
    asks: str
    told: str
    risk: Risk
    amount_micros: int | None
    object_kind: str | None
    object_id: str | None
    blast_radius: str
    changes: Sequence[Narrowing]
    told_changes: str | None = None
    """What the ledger says of the changes, where it may not say all of them."""


def stand_in(tx: Transaction, row: Row, lesser: Lesser, *, person: str, reason: str | None) -> str:
    """Put a narrowed request in the place of a pending one; return its id.

    Who is asked, by when and how far that has come stay as they were; votes do not carry over.
    Raises `Conflict` if it was decided just now, or the agent asked for exactly that itself.
    """
    other = _OPEN_ALIKE.first(tx, run_is=row.run, tool_is=row.tool, digest_is=lesser.digest)
    if other is not None:
        raise Conflict(
            f"the agent asked for exactly that itself: {other.request}",
            code="already_asked",
            remedy=f"decide {other.request}, and deny this one",
        )
    request = tx.new_id("req")
    words = lesser.told_changes or changes_words(lesser.changes)
    text = f"{person} narrowed it ({words}); {request} stands for it"
    if not supersede(tx, row, request, by=person, why=reason, text=text):
        raise Conflict("it was decided just now", code="already_decided", remedy="look again")
    found = (lesser.asks, lesser.object_kind, lesser.object_id, row.tool, row.agent)
    _ADD.run(
        tx,
        **{
            **row._asdict(),
            "request": request,
            "digest": lesser.digest,
            "canonical": canonical(lesser.arguments).decode(),
            "arguments": canonical(lesser.arguments).decode(),
            "asks": lesser.asks,
            "risk": lesser.risk,
            "amount_micros": lesser.amount_micros,
            "object_kind": lesser.object_kind,
            "object_id": lesser.object_id,
            "blast_radius": lesser.blast_radius,
            "blast_source": "declared",
            "changes": "[]",
            "approvals": 0,
            "supersedes": row.request,
            "search": " ".join(word for word in found if word).lower(),
        },
    )
    _ADD_NARROWING.run(
        tx,
        request=request,
        person=person,
        reason=reason,
        changes=canonical([[c.argument, c.before, c.after] for c in lesser.changes]).decode(),
    )
    new = find(tx, request)
    record(
        tx,
        new,
        "request.created",
        actor=person,
        text=f"{person} narrowed {row.request} ({words}); asks {row.role}: {lesser.told[:1000]}"
        + (f"; because: {reason}" if reason else ""),
        asks=lesser.told[:1000],
        risk=lesser.risk,
        rule=row.rule,
        role=row.role,
        decide_by=row.decide_by,
        decision=row.decision,
        epoch=row.epoch,
        supersedes=row.request,
    )
    set_timer(tx, new)
    return request


def supersede(
    tx: Transaction, row: Row, by_request: str, *, by: str, why: str | None, text: str
) -> bool:
    """End an open request because another stands for it; False if it is not open any more."""
    if not _SUPERSEDE.run(tx, request_is=row.request, by=by_request, who=by, at=tx.now, why=why):
        return False
    timers.cancel(tx, TIMER, row.request)
    record(tx, row, "request.superseded", actor=by, text=text, superseded_by=by_request)
    return True


def link_new(tx: Transaction, request: str) -> None:
    """Put a new request where its like stood.

    Whatever is open for the same call of the run ends: a contract, the tool's definition or the
    narrowing changed since. The one before it of its run and tool is linked, if it asked for
    changes. A request that was there before is left as it is.
    """
    row = find(tx, request)
    if row.created_at != tx.now:
        return
    same = _SAME_CALL.all(
        tx,
        run_is=row.run,
        call_is=row.call_digest,
        tool_is=row.tool,
        canonical_is=row.canonical,
        but=request,
    )
    for old in same:
        _ask_anew(tx, find(tx, old.request), request)
    before = _BEFORE.first(tx, run_is=row.run, tool_is=row.tool, than=request)
    if before is None or before.state != "denied" or before.verdict != "changes":
        return
    if _SET_BEFORE.run(tx, request_is=request, before=before.request):
        old = find(tx, before.request)
        text = f"the agent asks another way: {request}"
        record(tx, old, "request.answered", actor=f"agent/{old.agent}", text=text, answer=request)


def _ask_anew(tx: Transaction, row: Row, new: str) -> None:
    text = (
        "what it would run changed since (its tool's definition, a contract or the narrowing); "
        f"it was asked again as {new}"
    )
    if supersede(tx, row, new, by=f"agent/{row.agent}", why=None, text=text):
        _SET_BEFORE.run(tx, request_is=new, before=row.request)


def last_of(tx: Transaction, request: str) -> Row:
    """Return the request that stands for another in the end; itself where none does."""
    row = find(tx, request)
    for _ in range(LONGEST_CHAIN):
        if row.state != "superseded" or row.superseded_by is None:
            break
        row = find(tx, row.superseded_by)
    return row


def read_narrowed(tx: Transaction, row: Row) -> Narrowed | None:
    """Return what an approver made of a request's arguments; None: it is the agent's own.

    Of a request that was narrowed more than once the changes are from the first to the last.
    """
    found = _NARROWING.first(tx, request_is=row.request)
    if found is None:
        return None
    changes: dict[str, Narrowing] = {}
    link, request = found, row
    for _ in range(LONGEST_CHAIN):
        for argument, before, after in json.loads(link.changes):
            later = changes[argument].after if argument in changes else after
            changes[argument] = Narrowing(argument=argument, before=before, after=later)
        request = find(tx, request.supersedes)
        earlier = _NARROWING.first(tx, request_is=request.request)
        if earlier is None:
            break
        link = earlier
    return Narrowed(
        request=row.request,
        by=found.person,
        reason=found.reason,
        changes=tuple(changes[name] for name in sorted(changes)),
        arguments=json.loads(row.canonical),
    )


def changes_words(changes: Sequence[Narrowing]) -> str:
    """Say in words what became of arguments."""
    return ", ".join(narrowing_words(change) for change in changes)


def narrowing_words(change: Narrowing) -> str:
    """Say in words what became of an argument: `amount_usd 40, not 400`."""
    was, now = (
        make_safe(canonical(value).decode(), limit=_LONGEST_WORDS)
        for value in (change.before, change.after)
    )
    return f"{make_safe(change.argument, limit=60)} {now}, not {was}"
