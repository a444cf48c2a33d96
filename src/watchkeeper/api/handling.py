"""What becomes of a request beside votes: narrowed, talked about, approved alone, taken back."""

from __future__ import annotations

from watchkeeper.api.requests import (
    change_request,
    check_asker,
    check_signature,
    show_request,
)
from watchkeeper.api.table import Call, Operation
from watchkeeper.approvals import comments, emergencies
from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.cancelling import state_of
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.signing import deciding_of
from watchkeeper.approvals.superseding import last_of
from watchkeeper.approvals.taking_back import take_back
from watchkeeper.core import ids
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.decide.contents import examine_aside
from watchkeeper.decide.held.narrowing import narrow_request
from watchkeeper.decide.people.signatures import check_still
from watchkeeper.identity.rules import check_token
from watchkeeper.identity.runs import facts_of
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import (
    BreakGlass,
    Cancelled,
    Comment,
    Edit,
    RequestDetail,
    Review,
    TakeBack,
)


async def edit(call: Call) -> RequestDetail:
    """Narrow a request and vote for what stands in its place.

    Where votes have to be signed, that vote is the caller's next call: nobody can sign for a
    request that is not there yet.
    """
    body: Edit = call.body
    name = call.path("request")
    await check_asker(call, name, "decide")
    contents = await examine_aside(body.arguments)

    def unit(tx: Transaction) -> str:
        row = narrow_request(
            tx,
            call.rooms.view.now,
            name,
            body,
            contents,
            person=call.actor,
            roles=call.roles_in(tx),
            people=call.people(tx),
        )
        if not deciding_of(row).signed:
            approvals.cast_vote(
                tx,
                row.request,
                person=call.actor,
                roles=call.roles_in(tx),
                verdict="approve",
                digest=row.digest,
                reason=body.reason,
                view_seconds=body.view_seconds,
                people=call.people(tx),
            )
        return str(row.request)

    return await show_request(call, await call.rooms.store.write(unit))


async def comment(call: Call) -> RequestDetail:
    """Keep what the caller says of a request."""
    body: Comment = call.body
    return await change_request(
        call,
        lambda tx, name: comments.comment(tx, name, person=call.actor, text=body.text),
    )


async def break_glass(call: Call) -> RequestDetail:
    """Approve alone, to be reviewed."""
    body: BreakGlass = call.body
    name = call.path("request")
    await check_asker(call, name, "break-glass")
    signed = await check_signature(call, name, body, emergencies.VERDICT)

    def unit(tx: Transaction) -> None:
        check_still(tx, signed)
        emergencies.break_glass(
            tx,
            name,
            person=call.actor,
            digest=body.digest,
            reason=body.reason,
            key=signed.fingerprint if signed else None,
            signature=body.signature,
            people=call.people(tx),
        )

    await call.rooms.store.write(unit)
    return await show_request(call, name)


async def review(call: Call) -> RequestDetail:
    """Say whether a break-glass approval was justified."""
    body: Review = call.body
    return await change_request(
        call,
        lambda tx, name: emergencies.review(
            tx,
            name,
            person=call.actor,
            roles=call.roles_in(tx),
            verdict=body.verdict,
            note=body.note,
            people=call.people(tx),
        ),
    )


async def undo(call: Call) -> RequestDetail:
    """Take an approval back before it is used."""
    body: TakeBack = call.body
    return await change_request(
        call,
        lambda tx, name: take_back(
            tx,
            name,
            person=call.actor,
            roles=call.roles_in(tx),
            reason=body.reason,
            people=call.people(tx),
        ),
    )


async def cancel(call: Call) -> Cancelled:
    """End a request of the run whose token this is; one that has ended so already stays so."""
    name, token = call.path("request"), call.token

    def unit(tx: Transaction) -> Cancelled:
        run = check_token(facts_of(tx, token), tx.now)
        if not ids.is_id(name) or state_of(tx, name) is None or find(tx, name).run != run.run:
            raise NotFound(f"there is no request {name!r:.80} in this run")
        row = last_of(tx, name)
        if not approvals.cancel(tx, name, by=f"agent/{run.agent}") and row.state != "cancelled":
            raise Conflict(
                f"it is {row.state}, and not open any more",
                code="already_decided",
                remedy="nothing is left to cancel",
            )
        tx.silent("it was cancelled before, and that is on record")
        return Cancelled(request=row.request, state="cancelled")

    return await call.rooms.store.write(unit)


OPERATIONS = (
    Operation(
        "POST",
        "/v1/requests/{request}/edit",
        "decide",
        edit,
        "Narrow a request's arguments and approve that: another request stands for it.",
        answers=RequestDetail,
        takes=Edit,
        by_team=True,
        tags=("approvals",),
    ),
    Operation(
        "POST",
        "/v1/requests/{request}/comments",
        "decide",
        comment,
        "Say something of a request, for everybody who decides it.",
        answers=RequestDetail,
        takes=Comment,
        by_team=True,
        tags=("approvals",),
    ),
    Operation(
        "POST",
        "/v1/requests/{request}/break-glass",
        "break-glass",
        break_glass,
        "Approve alone in an emergency; another person reviews it within a day.",
        answers=RequestDetail,
        takes=BreakGlass,
        by_team=True,
        tags=("approvals",),
    ),
    Operation(
        "POST",
        "/v1/requests/{request}/review",
        "decide",
        review,
        "Say whether a break-glass approval was justified.",
        answers=RequestDetail,
        takes=Review,
        by_team=True,
        tags=("approvals",),
    ),
    Operation(
        "POST",
        "/v1/requests/{request}/take-back",
        "decide",
        undo,
        "Take an approval back that was not used yet.",
        answers=RequestDetail,
        takes=TakeBack,
        by_team=True,
        tags=("approvals",),
    ),
    Operation(
        "POST",
        "/v1/requests/{request}/cancel",
        "agent",
        cancel,
        "Take back a request, or an approval that was not used (bearer: the run's token).",
        answers=Cancelled,
        tags=("agents",),
    ),
)
