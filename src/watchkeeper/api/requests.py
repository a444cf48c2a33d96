"""Approval requests: the queue, one in full, votes, escalation by hand."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Literal

from watchkeeper.api.table import Call, Operation
from watchkeeper.approvals import reading
from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.model import Counts
from watchkeeper.approvals.rows import find
from watchkeeper.core.errors import Forbidden
from watchkeeper.decide.held.narrowing import edits_of
from watchkeeper.decide.people.coverage import words_on_call
from watchkeeper.decide.people.signatures import Signed, check_still, verify_vote
from watchkeeper.identity.runs import find_run
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.pages import Page
from watchkeeper.wire.permissions import Permission
from watchkeeper.wire.requests import (
    Acknowledge,
    BreakGlass,
    Escalate,
    RequestDetail,
    RequestRow,
    Vote,
)

_PRESSING = 200
_LONG = 1000
_STALE_SECONDS = 0.5
_MOST_KNOWN = 1000


async def list_requests(call: Call) -> Page[RequestRow]:
    """List requests; pending ones by deadline."""
    state = call.one_of("state", ("pending", "decided", "all", "review"))
    role, agent, needle = call.text("role"), call.text("agent"), call.text("filter")
    together = call.one_of("together", ("none", "tool", "agent", "object"))
    after, limit, head = call.text("after"), call.limit(), call.rooms.store.head
    seen, decides = call.agents_seen(), call.agents_decided()

    def query(tx: Transaction) -> Page[RequestRow]:
        return reading.list_requests(
            tx,
            person=call.actor,
            roles=call.roles,
            state=state,  # type: ignore[arg-type]
            role=role,
            agent=agent,
            agents=seen,
            text=needle,
            together=None if together == "none" else together,  # type: ignore[arg-type]
            after=after,
            limit=limit,
            sequence=head,
            people=call.people(tx),
            decides=decides,
        )

    # those that ended are without number, and all that match are counted
    aside = together != "none" or state in ("decided", "all")
    read = call.rooms.store.scan if aside else call.rooms.store.read
    return await read(query)


async def pressing_requests(call: Call) -> tuple[RequestRow, ...]:
    """Return the pending requests that are due first."""
    return await _first(call, "pending")


async def requests_to_review(call: Call) -> tuple[RequestRow, ...]:
    """Return what was approved by one person alone and is to be reviewed first."""
    return await _first(call, "review")


async def _first(call: Call, state: Literal["pending", "review"]) -> tuple[RequestRow, ...]:
    seen, decides = call.agents_seen(), call.agents_decided()

    def query(tx: Transaction) -> tuple[RequestRow, ...]:
        return reading.list_requests(
            tx,
            person=call.actor,
            roles=call.roles,
            state=state,
            agents=seen,
            limit=_PRESSING,
            people=call.people(tx),
            decides=decides,
        ).rows

    return await call.rooms.store.read(query)


async def count_requests(call: Call) -> Counts:
    """Count what is pending, and what of it the caller may decide.

    Every screen asks for this all the time, and it looks at each pending request: a long
    queue's counts may be half a second old.
    """
    seen, decides = call.agents_seen(), call.agents_decided()
    known, key = call.rooms.counts, (call.actor, call.roles, seen, decides)
    found = known.get(key)
    if found is not None:
        counted_at, head, counts = found
        same = head == call.rooms.store.head and monotonic() - counted_at < 1
        if same or (counts.pending > _LONG and monotonic() - counted_at < _STALE_SECONDS):
            return counts
    counts = await call.rooms.store.read(
        lambda tx: reading.count_pending(
            tx,
            person=call.actor,
            roles=call.roles,
            people=call.people(tx),
            agents=seen,
            decides=decides,
        )
    )
    if len(known) > _MOST_KNOWN:
        known.clear()
    known[key] = (monotonic(), call.rooms.store.head, counts)
    return counts


async def read_request(call: Call) -> RequestDetail:
    """Show a request in full; that a person saw it is recorded once."""
    name = call.path("request")
    await check_asker(call, name, "read")
    if call.who.may("decide"):

        def look(tx: Transaction) -> None:
            tx.silent("a second look is not recorded")
            approvals.view(tx, name, call.actor)

        await call.rooms.store.write(look)
    return await show_request(call, name)


async def vote(call: Call) -> RequestDetail:
    """Approve or reject exactly what the digest names."""
    body: Vote = call.body
    name = call.path("request")
    await check_asker(call, name, "decide")
    signed = await check_signature(call, name, body, body.verdict, body.acting_for)

    def unit(tx: Transaction) -> None:
        check_still(tx, signed)
        if body.acting_for is not None:
            _check_giver(call, body.acting_for, find(tx, name).agent)
        approvals.cast_vote(
            tx,
            name,
            person=call.actor,
            roles=call.roles_in(tx),
            verdict=body.verdict,
            digest=body.digest,
            reason=body.reason,
            view_seconds=body.view_seconds,
            acting_for=body.acting_for,
            channel=body.channel,
            people=call.people(tx),
            key=signed.fingerprint if signed else None,
            signature=body.signature,
        )

    await call.rooms.store.write(unit)
    return await show_request(call, name)


def _check_giver(call: Call, giver: str, agent: str) -> None:
    """Raise `Forbidden` where whose vote it is may not decide for an agent themselves."""
    catalogue = call.rooms.view.now
    held = catalogue.permissions_of(catalogue.names.key(giver))
    if held is None:
        return
    teams = held.teams("decide")
    if teams is not None and catalogue.team_of(agent) not in teams:
        raise Forbidden(
            f"{giver} may not decide what {agent} asks, so nobody does it for them",
            rule="permission/decide",
            remedy="vote for yourself, or have somebody else decide",
        )


async def escalate(call: Call) -> RequestDetail:
    """Ask the next level now."""
    body: Escalate = call.body
    return await change_request(
        call,
        lambda tx, name: approvals.escalate(
            tx,
            name,
            level=body.level,
            round=body.round,
            person=call.actor,
            reason=body.reason,
            coverage=call.rooms.decider.coverage,
        ),
    )


async def acknowledge(call: Call) -> RequestDetail:
    """Have escalation and reminders wait for the caller."""
    body: Acknowledge = call.body
    return await change_request(
        call,
        lambda tx, name: approvals.acknowledge(
            tx,
            name,
            person=call.actor,
            roles=call.roles_in(tx),
            seconds=body.seconds,
            coverage=call.rooms.decider.coverage,
            people=call.people(tx),
        ),
    )


async def check_asker(call: Call, name: str, needed: Permission) -> None:
    """Raise `Forbidden` unless the person has a permission in the team of who asks."""
    if call.who.permissions.teams(needed) is not None:
        call.check_agent(needed, await call.rooms.store.read(lambda tx: find(tx, name).agent))


async def check_signature(
    call: Call, name: str, body: Vote | BreakGlass, verdict: str, acting_for: str | None = None
) -> Signed | None:
    """Return who signed the caller's vote, or None; raises as :func:`verify_vote` does."""
    return await verify_vote(
        call.rooms.store,
        call.rooms.view.now,
        person=call.who.name,
        request=name,
        digest=body.digest,
        verdict=verdict,
        reason=body.reason,
        signature=body.signature,
        acting_for=acting_for,
    )


async def change_request(call: Call, change: Callable[[Transaction, str], object]) -> RequestDetail:
    """Have the caller change the request of the path, if they may decide it, and show it."""
    name = call.path("request")
    await check_asker(call, name, "decide")
    await call.rooms.store.write(lambda tx: change(tx, name))
    return await show_request(call, name)


async def show_request(call: Call, name: str) -> RequestDetail:
    """Return a request as the caller sees it."""

    def query(tx: Transaction) -> RequestDetail:
        found = reading.read_request(
            tx,
            name,
            person=call.actor,
            roles=call.roles,
            people=call.people(tx),
            decides=call.agents_decided(),
        )
        run = find_run(tx, found.run)
        proof = run.on_behalf_of_proof if run is not None else None
        tool = call.rooms.view.now.tools.get(found.tool)
        narrows = tool is not None and (found.state, found.kind) == ("pending", "action")
        edits = edits_of(tool.contract) if tool and narrows else {}
        shown = {name: how for name, how in edits.items() if name in found.arguments}
        asked = found.asked if found.state == "pending" else ()
        watch = words_on_call(call.rooms.view.now.rota.now(tx), asked, tx.now)
        return found.model_copy(
            update={"on_behalf_of_proof": proof, "edits": shown, "on_call": watch}
        )

    return await call.rooms.store.read(query)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/requests",
        "read",
        list_requests,
        "List approval requests; pending ones by deadline.",
        answers=Page[RequestRow],
        query=("state", "role", "agent", "filter", "together", "after", "limit"),
        tags=("approvals",),
    ),
    Operation(
        "GET",
        "/v1/requests/{request}",
        "read",
        read_request,
        "Show a request with everything an approver needs.",
        answers=RequestDetail,
        tags=("approvals",),
    ),
    Operation(
        "POST",
        "/v1/requests/{request}/votes",
        "decide",
        vote,
        "Approve or reject a request; the digest names what was on the screen.",
        answers=RequestDetail,
        takes=Vote,
        by_team=True,
        tags=("approvals",),
    ),
    Operation(
        "POST",
        "/v1/requests/{request}/escalate",
        "decide",
        escalate,
        "Ask the next level now.",
        answers=RequestDetail,
        takes=Escalate,
        by_team=True,
        tags=("approvals",),
    ),
    Operation(
        "POST",
        "/v1/requests/{request}/acknowledge",
        "decide",
        acknowledge,
        "Say that you are on it: escalation and reminders wait, never past the deadline.",
        answers=RequestDetail,
        takes=Acknowledge,
        by_team=True,
        tags=("approvals",),
    ),
)
