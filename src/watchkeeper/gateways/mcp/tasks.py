"""The tasks extension (``io.modelcontextprotocol/tasks``): a held call as a task to ask after.

A task goes on only when its client asks: the question that comes after the approval is what
runs the call, so nothing runs for a client that has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from watchkeeper.approvals import service as approvals
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.contents import examine_aside
from watchkeeper.decide.held.deferred import Deferred, defer, find_deferred, move
from watchkeeper.decide.held.narrowing import read_for
from watchkeeper.decide.kill.locks import lock_on_caller
from watchkeeper.decide.records import find_decision
from watchkeeper.decide.service import Decider
from watchkeeper.gateways.mcp.envelope import Rejected, Request
from watchkeeper.gateways.mcp.results import failure, own_result, refusal
from watchkeeper.identity.model import Caller
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.upstreams.protocol import (
    CAPABILITIES_KEY,
    INVALID_PARAMS,
    MISSING_CAPABILITY,
    TASKS_EXTENSION,
)
from watchkeeper.wire.decisions import Answer, Ask

METHODS = frozenset({"tasks/get", "tasks/update", "tasks/cancel"})
POLL_MS = 3_000
_LONGEST_HANDLE = 100


class Calls(Protocol):
    """What tasks need of the tool calls."""

    async def begin(self, answer: Answer, caller: Caller, ask: Ask) -> None:
        """Perform a permitted call to its end."""
        ...

    async def ended(self, answer: Answer) -> dict[str, Any]:
        """Return the result of a call that has ended."""
        ...


def offers_tasks(request: Request) -> bool:
    """Whether the client said with this request that it understands tasks."""
    capabilities = request.meta.get(CAPABILITIES_KEY)
    extensions = capabilities.get("extensions") if isinstance(capabilities, Mapping) else None
    return (
        request.modern
        and isinstance(extensions, Mapping)
        and isinstance(extensions.get(TASKS_EXTENSION), Mapping)
    )


class Tasks:
    """Every held call that a client follows as a task."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._running: set[asyncio.Task[None]] = set()

    async def create(self, caller: Caller, ask: Ask, answer: Answer) -> dict[str, Any] | None:
        """Return the task for a call that is held.

        None where it has too many already, and for arguments with a secret: they would have to
        be kept until the person has decided.
        """
        request, decide_by = answer.request, answer.expires_at
        contents = await examine_aside(ask.arguments)
        if request is None or decide_by is None or contents.arguments != ask.arguments:
            return None
        ask = ask.model_copy(update={"explanation": None})
        kept = await self._decider.store.write(
            lambda tx: defer(tx, caller.run, request, ask, decide_by)
        )
        if kept is None:
            return None
        handle, one = kept
        shown = _task(handle, one, "working", f"waiting for a person: {request}")
        return {**own_result(shown, modern=True), "resultType": "task"}

    async def serve(
        self, token: str, caller: Caller, request: Request, calls: Calls
    ) -> dict[str, Any]:
        """Answer one of the extension's methods; raise `Rejected`."""
        if not offers_tasks(request):
            raise Rejected(
                MISSING_CAPABILITY,
                "Missing required client capability",
                data={"requiredCapabilities": {"extensions": {TASKS_EXTENSION: {}}}},
            )
        handle = request.params.get("taskId")
        if not isinstance(handle, str) or len(handle) > _LONGEST_HANDLE:
            raise Rejected(INVALID_PARAMS, "params.taskId must be the id of a task")
        one = await self._decider.store.read(lambda tx: find_deferred(tx, handle, caller.run))
        if one is None:
            raise Rejected(INVALID_PARAMS, "there is no such task in this run, or no more")
        if request.method == "tasks/get":
            return own_result(await self._look(token, caller, handle, one, calls), modern=True)
        if request.method == "tasks/cancel":
            await self._decider.store.write(lambda tx: _cancel(tx, one, caller))
        # nothing is ever asked of a client here: an update has nothing to answer
        return own_result({}, modern=True)

    async def _look(
        self, token: str, caller: Caller, handle: str, one: Deferred, calls: Calls
    ) -> dict[str, Any]:
        if one.cancelled:
            return _task(handle, one, "cancelled", "cancelled by the agent")
        lock = lock_on_caller(self._decider, caller, tool=one.ask.name)
        if lock is not None and (one.result is not None or one.decision is not None):
            return _withheld(caller, handle, one, lock)
        if one.result is not None:
            result = msgspec.json.decode(one.result)
            return {**_task(handle, one, "completed"), "result": result}
        if one.decision is not None:
            return await self._look_at_call(handle, one, one.decision, calls)
        store = self._decider.store
        if await store.read(lambda tx: approvals.is_pending(tx, one.request)):
            return _task(handle, one, "working", f"waiting for a person: {one.request}")
        try:
            answer = await self._decider.decide(token, one.ask, performer="plane")
        except WatchkeeperError as error:
            return _task(handle, one, "working", f"not decided yet: {error.message}")
        if answer.verdict == "hold":
            return _task(handle, one, "working", f"waiting for a person: {answer.request}")
        if answer.verdict == "deny":
            if await store.read(lambda tx: approvals.is_approved(tx, one.request)):
                # a pause, a rate: what was approved is still good, and may be let through yet
                return _task(handle, one, "working", f"not now: {answer.reason}")
            said = own_result(refusal(answer), modern=True)
            text = msgspec.json.encode(said).decode()
            await store.write(lambda tx: move(tx, one, result=text))
            return {**_task(handle, one, "completed"), "result": said}
        if answer.replay is None:
            running = asyncio.create_task(calls.begin(answer, caller, one.ask))
            self._running.add(running)
            running.add_done_callback(self._running.discard)
        await store.write(lambda tx: move(tx, one, decision=answer.decision))
        return await self._look_at_call(handle, one, answer.decision, calls)

    async def _look_at_call(
        self, handle: str, one: Deferred, decision: str, calls: Calls
    ) -> dict[str, Any]:
        store = self._decider.store
        row = await store.read(lambda tx: find_decision(tx, decision))
        if row.settled_at is None:
            return _task(handle, one, "working", "approved, and running")
        narrowed = None
        if row.request is not None:
            narrowed = await store.read(lambda tx: read_for(tx, row.request, one.ask.arguments))
        answer = Answer(
            decision=decision,
            verdict="permit",
            rule=row.rule,
            reason=row.reason,
            digest=row.digest,
            replay={"status": row.outcome, "result_digest": row.result_digest},
            narrowed=narrowed,
        )
        return {**_task(handle, one, "completed"), "result": await calls.ended(answer)}


def _cancel(tx: Transaction, one: Deferred, caller: Caller) -> None:
    """Withdraw the request, unless the approval was used already: then it is too late."""
    tx.silent("a task that runs or has ended is not cancelled")
    if one.decision is None and one.result is None and not one.cancelled:
        approvals.cancel(tx, one.request, by=f"agent/{caller.agent}")
        if approvals.is_cancelled(tx, one.request):
            move(tx, one, cancelled=True)


def _withheld(caller: Caller, handle: str, one: Deferred, lock: str) -> dict[str, Any]:
    """Return a task that has begun as a lock lets its agent see it: without what came of it."""
    if not caller.stopped:
        return _task(handle, one, "working", f"not now: refused by rule lock/{lock}")
    text = f"STOPPED by rule lock/{lock}. How the call ended is on record, for people."
    said = failure(text, one.decision, status="refused", retryable=False)
    return {**_task(handle, one, "completed"), "result": own_result(said, modern=True)}


def _task(handle: str, one: Deferred, status: str, message: str | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "taskId": handle,
        "status": status,
        "createdAt": utc_text(one.created_at),
        "lastUpdatedAt": utc_text(one.updated_at),
        "ttlMs": (one.expires_at - one.created_at) * 1000 // MICROSECONDS,
        "pollIntervalMs": POLL_MS,
    }
    if message is not None:
        shown["statusMessage"] = message
    return shown
