"""Function calls that their agent names itself and asks after until somebody has decided.

The agent performs them. The answer that says "approved" is the one permit: it redeems the grant,
and every later answer repeats it while no lock stands over the call.
"""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.approvals.rows import find_or_none
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Conflict, NotFound, TooMany
from watchkeeper.core.ids import hash_secret
from watchkeeper.decide.held.deferred import Deferred, defer, find_deferred, move, stand_behind
from watchkeeper.decide.service import Decider
from watchkeeper.identity.rules import check_token
from watchkeeper.identity.runs import facts_of
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Answer, Ask

_SPACE = "function-call"
_KEPT_SECONDS = 86_400
"""How long a call that nobody had to decide is remembered."""
_PERMITTED = frozenset({"approved", "redeemed", "succeeded", "failed", "unknown"})
"""States in which the same call is asked for again: it is let through once, and then found."""


@dataclass(frozen=True, slots=True)
class FunctionCallState:
    """Where a function call stands; `approved` is None while nobody has decided."""

    call: str
    ask: Ask
    approved: bool | None
    comment: str | None
    requested_at: int
    responded_at: int | None


async def submit(decider: Decider, token: str, call: str, ask: Ask) -> FunctionCallState:
    """Put a function call to the gates, once for each `call` of a run; return how it stands.

    Raises `Conflict` where the run used the same id for another call.
    """
    run = await _run_of(decider, token)
    ask = ask.model_copy(update={"idempotency_key": _key(call)})
    known = await _find(decider, run, call)
    if known is None:
        answer = await decider.decide(token, ask)
        known = await decider.store.write(lambda tx: _keep(tx, run, call, ask, answer))
    # as text: to Python 1, 1.0 and True are the same
    if (known.ask.name, canonical(known.ask.arguments)) != (ask.name, canonical(ask.arguments)):
        raise Conflict(
            "this call_id was used for another call",
            code="idempotency_mismatch",
            remedy="use a new call_id for a new call",
        )
    return await _settle(decider, token, call, known)


async def look(decider: Decider, token: str, call: str) -> FunctionCallState:
    """Return how a function call of a run stands; raise `NotFound` if it has none of that id."""
    known = await _find(decider, await _run_of(decider, token), call)
    if known is None:
        raise NotFound("this run has no such function call")
    return await _settle(decider, token, call, known)


async def _run_of(decider: Decider, token: str) -> str:
    facts = await decider.store.read(lambda tx: check_token(facts_of(tx, token), tx.now))
    return facts.run


async def _find(decider: Decider, run: str, call: str) -> Deferred | None:
    return await decider.store.read(lambda tx: find_deferred(tx, _handle(run, call), run))


def _key(call: str) -> str:
    """Return the idempotency key of a call: a permit whose answer was lost is found again."""
    return f"{_SPACE}/{hash_secret(call)}"


def _handle(run: str, call: str) -> str:
    return f"{_SPACE}/{run}/{call}"


def _keep(tx: Transaction, run: str, call: str, ask: Ask, answer: Answer) -> Deferred:
    handle = _handle(run, call)
    again = find_deferred(tx, handle, run)
    if again is not None:
        tx.silent("the same call was kept just now")
        return again
    decide_by = answer.expires_at or tx.now + _KEPT_SECONDS * MICROSECONDS
    # what is decided already is its own: nothing else stands behind it
    behind = answer.request if answer.verdict == "hold" and answer.request else answer.decision
    kept = defer(tx, run, behind, ask, decide_by, handle=handle)
    if kept is None:
        raise TooMany("too many function calls ask for the same action")
    _, one = kept
    if answer.verdict != "hold":
        permit = answer.verdict == "permit"
        move(
            tx,
            one,
            decision=answer.decision if permit else None,
            result=None if permit else _refusal(answer),
        )
        return find_deferred(tx, handle, run) or one
    return one


async def _settle(decider: Decider, token: str, call: str, one: Deferred) -> FunctionCallState:
    """Return how a call stands; an approval that came meanwhile is redeemed by this."""
    if one.decision is not None:
        # the same permit again, unless a lock has come down since
        answer = await decider.decide(token, one.ask)
        permit = answer.verdict == "permit"
        return _state(call, one, permit, None if permit else _refusal(answer), one.updated_at)
    if one.result is not None:
        return _state(call, one, False, one.result, one.updated_at)
    row = await decider.store.read(lambda tx: find_or_none(tx, one.request))
    if row is None or row.state == "pending":
        return _state(call, one, None, None, None)
    if row.state not in _PERMITTED:
        return _state(call, one, False, _ended(row), row.decided_at)
    answer = await decider.decide(token, one.ask)
    if answer.verdict == "permit":
        await decider.store.write(lambda tx: move(tx, one, decision=answer.decision))
        return _state(call, one, True, row.decided_why, row.decided_at)
    if answer.verdict == "hold":
        behind = answer.request or one.request
        await decider.store.write(lambda tx: stand_behind(tx, one, behind))
        return _state(call, one, None, None, None)
    return _state(call, one, False, _refusal(answer), row.decided_at)


def _state(
    call: str, one: Deferred, approved: bool | None, comment: str | None, at: int | None
) -> FunctionCallState:
    return FunctionCallState(call, one.ask, approved, comment, one.created_at, at)


def _refusal(answer: Answer) -> str:
    instead = f"; {answer.allowed_instead}" if answer.allowed_instead else ""
    return f"{answer.reason} (rule {answer.rule}){instead}"


def _ended(row: Row) -> str:
    why = row.decided_why or f"the request is {row.state}"
    if row.state == "superseded" and row.superseded_by:
        return f"a person changed it: ask anew for what request {row.superseded_by} says"
    if row.state == "lapsed":
        return "it was approved, and not used in time; ask again under a new call_id"
    return str(why)
