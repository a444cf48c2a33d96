"""What became of a held action, told to the agent that asked for it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from watchkeeper.api.authzen_seeking import find_asker, may_see
from watchkeeper.api.table import Call, Operation
from watchkeeper.approvals.cancelling import is_pending
from watchkeeper.approvals.grants import asks_changes
from watchkeeper.approvals.rows import groups_of
from watchkeeper.core import ids
from watchkeeper.core.clock import utc_text
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.access import find_request
from watchkeeper.decide.budgets.topping import waits_for
from watchkeeper.decide.gates.kill import words_of
from watchkeeper.decide.kill.locks import lock_on_request, switch_ruling
from watchkeeper.decide.runs.reconciling import find_word
from watchkeeper.store.statement import Row
from watchkeeper.wire.decisions import Verdict
from watchkeeper.wire.polling import Asked
from watchkeeper.wire.quorum import quorum_words, size
from watchkeeper.wire.requests import RequestState

_VERDICTS: Mapping[RequestState, Verdict] = {
    "pending": "hold",
    "approved": "permit",
    "redeemed": "permit",
    "succeeded": "permit",
    "failed": "permit",
    "unknown": "permit",
}
"""Every other state is a refusal."""


async def asked(call: Call) -> Asked:
    """Show how a request stands, to its run or its agent."""
    asker, name = await find_asker(call), call.path("request")
    row = None
    if ids.is_id(name):
        row = await call.rooms.store.read(lambda tx: find_request(tx, name))
    if row is not None and row.kind == "top_up" and not may_see(call, asker, row):
        # several calls may wait for the same room
        agent, run = asker.agent, asker.run.run if asker.run else None
        if not await call.rooms.store.read(lambda tx: waits_for(tx, name, agent, run)):
            row = None
    elif row is not None and not may_see(call, asker, row):
        row = None
    if row is None:
        raise NotFound("there is no such request, or it is not yours")
    waits = await call.rooms.store.read(lambda tx: is_pending(tx, name))
    changes = await call.rooms.store.read(lambda tx: asks_changes(tx, name))
    shown = show_asked(row, waits=waits, changes=changes)
    if row.state == "approved":
        return await _unless_locked(call, row, shown)
    said = None
    if row.state == "unknown" and row.redeemed_by is not None:
        said = await call.rooms.store.read(lambda tx: find_word(tx, row.redeemed_by))
    if said is None:
        return shown
    return shown.model_copy(update={"text": f"approved, and a person found that it {said.status}"})


async def _unless_locked(call: Call, row: Row, shown: Asked) -> Asked:
    """Say of an approval under a lock that it is not to be used: who is told acts on it."""
    stopped = switch_ruling(call.rooms.decider)
    if stopped is not None:
        return _held(shown, stopped.rule, stopped.reason)
    catalogue = call.rooms.view.now
    lock = await call.rooms.store.read(
        lambda tx: lock_on_request(tx, catalogue, row.request, row.run, row.agent, row.tool)
    )
    return shown if lock is None else _held(shown, f"lock/{lock.lock}", words_of(lock))


def _held(shown: Asked, rule: str, why: str) -> Asked:
    text = f"approved, but not to be used now, by rule {rule}: {why}"
    return shown.model_copy(update={"verdict": "hold", "text": text})


def show_asked(row: Row, *, waits: bool, changes: bool) -> Asked:
    """Return a request as its agent is told of it.

    `waits`: it, or what stands for it, does; `changes`: it was refused with what would do.
    """
    return Asked(
        request=row.request,
        state=row.state,
        verdict="hold" if waits else _VERDICTS.get(row.state, "deny"),
        text=say(row, changes=changes),
        tool=row.tool,
        arguments=json.loads(row.arguments),
        digest=row.digest,
        decide_by=row.decide_by,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        reason=row.decided_why,
        approved_until=row.grant_expires_at if row.state == "approved" else None,
        superseded_by=row.superseded_by,
        callback=row.callback,
    )


def say(row: Row, *, changes: bool) -> str:
    """Say how a request stands, and what its agent does now."""
    groups = groups_of(row)
    whom = row.role if size(groups) == 1 else quorum_words(groups)
    so_far = f", {row.approvals} of {size(groups)} so far," if row.approvals else ""
    by = f" by {row.decided_by}" if row.decided_by else ""
    why = f": {row.decided_why}" if row.decided_why else ""
    said: Mapping[RequestState, str] = {
        "pending": f"waits for {whom}{so_far} until {utc_text(row.decide_by)}; ask again later",
        "approved": f"approved{by}{why}; send the same call again"
        + (f" before {utc_text(row.grant_expires_at)}" if row.grant_expires_at else ""),
        "denied": f"{'changes requested' if changes else 'rejected'}{by}{why}",
        "expired": "nobody decided in time",
        "revoked": f"revoked{by}",
        "redeemed": "approved, and used: it runs, or how it ended was not reported yet",
        "succeeded": "approved and done",
        "failed": "approved, and it failed",
        "unknown": "approved; nobody knows how it ended: check before anything is done again",
        "lapsed": "approved, but not used in time; send the call again to ask anew",
        "cancelled": "taken back by its agent",
        "superseded": f"stands as {row.superseded_by} now: see its arguments"
        if row.superseded_by
        else "stands no more, since what it asked for has changed",
    }
    return said[row.state]


OPERATIONS = (
    Operation(
        "GET",
        "/v1/decide/{request}",
        "agent",
        asked,
        "Show how the request of a held action stands (bearer: the run's token, or the agent's).",
        answers=Asked,
        tags=("agents",),
    ),
)
