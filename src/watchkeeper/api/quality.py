"""How approving goes: judgements, statistics, hints."""

from __future__ import annotations

from typing import get_args

from watchkeeper.api.requests import check_asker, show_request
from watchkeeper.api.table import Call, Operation
from watchkeeper.approvals.quality import judging, reading, recent
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Forbidden, Invalid
from watchkeeper.decide.people.directory import PeopleInForce
from watchkeeper.decide.people.quality import roles_held
from watchkeeper.wire.pages import Page
from watchkeeper.wire.permissions import Permission
from watchkeeper.wire.quality import Hint, Quality, QualityBy
from watchkeeper.wire.requests import Judge, RequestDetail

_USUAL_DAYS = 30
_JUDGES: tuple[Permission, ...] = ("decide", "audit")


async def read_quality(call: Call) -> Quality:
    """Return how approving went; without a period the last 30 days."""
    by: QualityBy = call.one_of("by", ("role", "person", "tool"))  # type: ignore[assignment]
    assert by in get_args(QualityBy)
    until, since = call.whole("until"), call.whole("since")
    until = call.rooms.clock.now() + 1 if until is None else until
    since = until - _USUAL_DAYS * 86_400 * MICROSECONDS if since is None else since
    if since >= until:
        raise Invalid("since must be before until", where="query: since")
    agents, view = call.agents_seen(), call.rooms.view.now
    return await call.rooms.store.scan(
        lambda tx: reading.read_quality(
            tx, by=by, since=since, until=until, held=roles_held(tx, view), agents=agents
        )
    )


async def read_hints(call: Call) -> Page[Hint]:
    """Return what would spare approvers work."""
    agents = call.agents_seen()
    hints = await call.rooms.store.scan(lambda tx: recent.read_hints(tx, agents=agents))
    return Page[Hint](rows=hints, sequence=call.rooms.store.head)


async def judge(call: Call) -> RequestDetail:
    """Keep what the caller says of a decision."""
    body: Judge = call.body
    name = call.path("request")
    await check_asker(call, name, "read")
    if not any(call.who.may(one) for one in _JUDGES):
        raise Forbidden(
            f"this needs decide or audit; {call.who.name} has neither",
            rule="judgement/permission",
            remedy="ask somebody who decides, or audits",
        )
    view = call.rooms.view.now
    await call.rooms.store.write(
        lambda tx: judging.judge(
            tx,
            name,
            person=call.actor,
            people=PeopleInForce(tx, view),
            verdict=body.verdict,
            note=body.note,
        )
    )
    return await show_request(call, name)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/requests/quality",
        "read",
        read_quality,
        "Say how approving went by person, role or tool, with times in microseconds.",
        answers=Quality,
        query=("by", "since", "until"),
        tags=("approvals",),
    ),
    Operation(
        "GET",
        "/v1/requests/hints",
        "read",
        read_hints,
        "Say what would spare approvers work: group the same, propose a standing approval.",
        answers=Page[Hint],
        tags=("approvals",),
    ),
    Operation(
        "POST",
        "/v1/requests/{request}/judgements",
        "read",
        judge,
        "Judge a decision afterwards (decide or audit; nobody judges what they voted on).",
        answers=RequestDetail,
        takes=Judge,
        by_team=True,
        tags=("approvals",),
    ),
)
