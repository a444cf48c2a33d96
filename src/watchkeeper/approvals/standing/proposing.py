"""Standing approvals proposed, and put in force once their request is approved."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import bindparam, func, literal_column, or_, select, update

from watchkeeper.approvals.fulfilling import done
from watchkeeper.approvals.people import person_key
from watchkeeper.approvals.rows import record
from watchkeeper.approvals.standing.model import MOST_FOR_ONE, Terms
from watchkeeper.approvals.standing.rules import pins_match
from watchkeeper.approvals.standing.service import EXPIRY, read_pins, record_standing
from watchkeeper.approvals.standing.tables import standing_approvals
from watchkeeper.approvals.tables import requests, votes
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.quorum import Groups

_MOST_PENDING = 200

_c = standing_approvals.c
_THIS = _c.standing == bindparam("standing_is")
_STANDS = _c.state == literal_column("'standing'")
_ADD = Statement(standing_approvals.insert())
_BY_REQUEST = Statement(select(standing_approvals).where(_c.request == bindparam("request_is")))
_COUNT_OPEN = Statement(
    select(func.count())
    .select_from(standing_approvals)
    .join(requests, requests.c.request == _c.request)
    .where(
        _c.agent == bindparam("agent_is"),
        _c.tool == bindparam("tool_is"),
        or_(_STANDS, requests.c.state == literal_column("'pending'")),
    )
)
_SAME_PROPOSAL = Statement(
    select(_c.standing)
    .join(requests, requests.c.request == _c.request)
    .where(
        _c.digest == bindparam("digest_is"),
        _c.state == literal_column("'proposed'"),
        requests.c.state == literal_column("'pending'"),
    )
)
_PUT_IN_FORCE = Statement(
    update(standing_approvals)
    .where(_THIS, _c.state == literal_column("'proposed'"))
    .values(
        state=literal_column("'standing'"),
        approved_by=bindparam("approvers"),
        approved_at=bindparam("at"),
        expires_at=bindparam("until"),
        people=bindparam("keys"),
        signed=bindparam("all_signed"),
    )
)
_APPROVALS = Statement(
    select(votes.c.person, votes.c.acting_for, votes.c.key)
    .where(votes.c.request == bindparam("request_is"), votes.c.verdict == "approve")
    .order_by(votes.c.at, votes.c.person)
)
_WAITING = Statement(
    select(requests)
    .where(
        requests.c.agent == bindparam("agent_is"),
        requests.c.tool == bindparam("tool_is"),
        requests.c.state == literal_column("'pending'"),
        requests.c.standing.is_(None),
    )
    .order_by(requests.c.request)
    .limit(_MOST_PENDING)
)


def same_proposal(tx: Transaction, terms: Terms) -> str | None:
    """Return the proposal of the same terms by the same person that still waits, or None."""
    found: str | None = _SAME_PROPOSAL.scalar(tx, digest_is=terms.digest)
    return found


def check_count(tx: Transaction, agent: str, tool: str) -> None:
    """Raise `Conflict` if there are too many of an agent for a tool: deciding reads each."""
    if _COUNT_OPEN.scalar(tx, agent_is=agent, tool_is=tool) >= MOST_FOR_ONE:
        raise Conflict(
            f"{MOST_FOR_ONE} standing approvals of {agent} for {tool} are open",
            code="too_many",
            rule="standing/count",
            remedy="end some of them; a policy may say it better than so many exceptions",
        )


def add_proposal(
    tx: Transaction, standing: str, request: str, terms: Terms, *, risk: Risk, groups: Groups
) -> None:
    """Keep what a request asks to stand; the request says who decides and by when."""
    _ADD.run(
        tx,
        **{
            **dict.fromkeys(column.name for column in standing_approvals.c),
            "standing": standing,
            "state": "proposed",
            "request": request,
            "agent": terms.agent,
            "tool": terms.tool,
            "digest": terms.digest,
            "contract": terms.contract,
            "agent_version": terms.agent_version,
            "tool_digest": terms.tool_digest,
            "definition": terms.definition,
            "pins": canonical(dict(terms.pins)).decode(),
            "uses": 0,
            "max_uses": terms.uses,
            "each_micros": terms.each_micros,
            "used_micros": 0,
            "total_micros": terms.total_micros,
            "seconds": terms.seconds,
            "risk": risk,
            "groups": json.dumps(groups),
            "signed": 0,
            "people": "[]",
            "reason": terms.reason,
            "proposed_by": terms.proposed_by,
            "proposed_at": tx.now,
            "approved_by": "[]",
        },
    )


def put_in_force(tx: Transaction, row: Row) -> None:
    """Let what a request asked for stand, now that the request (its row) was approved.

    The request's approval is used up by this. Callers that wait for what it covers are told.
    """
    proposal = _BY_REQUEST.first(tx, request_is=row.request)
    if proposal is None:
        raise NotFound(f"request {row.request} asks for no standing approval that is known")
    cast = _APPROVALS.all(tx, request_is=row.request)
    by = list(dict.fromkeys(vote.acting_for or vote.person for vote in cast))
    people = {person_key(proposal.proposed_by), *(person_key(vote.person) for vote in cast)}
    people |= {person_key(vote.acting_for) for vote in cast if vote.acting_for}
    until = tx.now + proposal.seconds * MICROSECONDS
    standing = proposal.standing
    if not by or not _PUT_IN_FORCE.run(
        tx,
        standing_is=standing,
        approvers=json.dumps(by),
        at=tx.now,
        until=until,
        keys=json.dumps(sorted(people)),
        all_signed=int(bool(cast) and all(vote.key for vote in cast)),
    ):
        raise Conflict(
            f"standing approval {standing} was not proposed, or nobody approved it",
            code="not_proposed",
            rule="standing/approval",
        )
    timers.schedule(tx, EXPIRY, standing, until)
    record_standing(
        tx,
        proposal,
        "standing.approved",
        actor=by[-1],
        text=f"stands until {utc_text(until)}, approved by {', '.join(by)}",
        approved_by=by,
        expires_at=until,
    )
    done(tx, row, by=standing, text="what it asked for stands", standing=standing)
    _tell_waiting(tx, proposal, row.request)


def _tell_waiting(tx: Transaction, proposal: Row, request: str) -> None:
    """Tell the callers that wait for what stands now: the same call, sent again, runs."""
    pins = read_pins(proposal.pins)
    for row in _WAITING.all(tx, agent_is=proposal.agent, tool_is=proposal.tool):
        arguments: dict[str, Any] = json.loads(row.arguments)
        amount = row.amount_micros or 0
        if (
            row.request != request
            and (proposal.each_micros is None or amount <= proposal.each_micros)
            and pins_match(pins, arguments)
        ):
            text = f"standing approval {proposal.standing} may cover it: the same call finds it"
            record(tx, row, "request.covered", actor="plane", text=text, standing=proposal.standing)
