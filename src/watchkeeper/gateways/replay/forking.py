"""Forks: a recorded model call sent once more, with another result of a tool in it.

It is sent through the model gateway under a run of its own, as any call of the agent would be:
decided, held in budgets, recorded. That run's token never leaves the plane, so no tool is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Conflict, Invalid, WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.decide.records import find_decision
from watchkeeper.decide.service import Decider
from watchkeeper.gateways.http import AsgiApp
from watchkeeper.gateways.model.conversation import said_in
from watchkeeper.gateways.model.dialects.anthropic import ANTHROPIC
from watchkeeper.gateways.model.dialects.openai import OPENAI
from watchkeeper.gateways.model.errors import ModelError
from watchkeeper.gateways.replay.inward import Answered, post
from watchkeeper.gateways.replay.recorded_calls import RecordedCall, find_call
from watchkeeper.gateways.replay.runs import ReplayRuns
from watchkeeper.identity.model import IssuedRun
from watchkeeper.wire.replays import Fork, ForkResult, Said

MOST_AT_ONCE = 4
_OK = 200
_LONGEST_ERROR = 500
_SPOKEN = {
    dialect.endpoint: (surface.prefix, dialect)
    for surface in (OPENAI, ANTHROPIC)
    for dialect in surface.dialects
}
_HEADERS = {"anthropic-version": "2023-06-01", "cache-control": "no-store"}
"""What a call is sent with: no answer of before is given for one, and none is kept for others."""
NOTES = (
    "a replay: no tool was called and the recorded run is as it was; the call itself is paid for "
    "as the agent's calls are",
    "a model may answer the same call otherwise by itself: one answer proves little",
)

NOT_SENT = "nothing was sent: without a live model a fork only says what it would ask"
NEVER_SENT = "for this call the provider would call tools by itself: a replay never sends it"


class Forks:
    """Sends recorded model calls again."""

    def __init__(self, decider: Decider, runs: ReplayRuns, apps: Mapping[str, AsgiApp]) -> None:
        self._decider = decider
        self._runs = runs
        self._apps = apps
        self._tasks: set[asyncio.Task[ForkResult]] = set()

    async def fork(self, run: str, wanted: Fork, *, by: str) -> ForkResult:
        """Send the model call at or after a step again and return what was said to it.

        Raises `NotFound` and `Invalid` as `find_call`, `Invalid` where the provider would call
        tools, `Conflict` while too many are under way, `Forbidden` and others where the agent may
        not open a run now. Its run is closed in the end, also where its caller gives up.
        """
        if len(self._tasks) >= MOST_AT_ONCE:
            raise Conflict(
                f"{MOST_AT_ONCE} forks are under way", code="busy", remedy="wait until one ends"
            )
        task = asyncio.create_task(self._fork(run, wanted, by))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[ForkResult]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # whoever asked may have given up, and nobody else wants to know
            task.exception()

    async def _fork(self, run: str, wanted: Fork, by: str) -> ForkResult:
        names = self._decider.catalogue.now.functions
        call = await self._decider.store.scan(lambda tx: find_call(tx, run, wanted, names))
        hosted = await asyncio.to_thread(_has_hosted_tools, call)
        if not wanted.live_model:
            return _told(call, NOT_SENT, *([NEVER_SENT] if hosted else []))
        if hosted:
            raise Invalid(NEVER_SENT, where="at", remedy="leave --live-model out")
        issued = await self._runs.open(call.facts, call.at.decision, wanted.reason, by=by)
        outcome = "failed"
        try:
            answered = await self._send(call, issued)
            decision = answered.headers.get("x-watchkeeper-decision")
            if decision is not None:
                await self._decider.flights.settled(decision)
            outcome = "succeeded" if answered.status == _OK else "failed"
            return await self._result(call, issued, answered, decision)
        finally:
            await self._runs.close(call.facts.agent, issued.run, outcome, "a replay", by=by)

    async def _send(self, call: RecordedCall, issued: IssuedRun) -> Answered:
        prefix, dialect = _SPOKEN[call.endpoint]
        headers = {**_HEADERS, "authorization": f"Bearer {issued.token}"}
        return await post(self._apps[prefix], prefix + dialect.path, call.body, headers)

    async def _result(
        self, call: RecordedCall, issued: IssuedRun, answered: Answered, decision: str | None
    ) -> ForkResult:
        now, error = None, None
        if answered.status == _OK:
            now = _said(call, answered.body)
        else:
            error = _error(answered)
        cost = 0
        if decision is not None:
            row = await self._decider.store.read(lambda tx: find_decision(tx, decision))
            cost = row.cost_micros
        then = call.then
        return _told(call, *NOTES).model_copy(
            update={
                "run": issued.run,
                "decision": decision,
                "answered": answered.status == _OK,
                "error": error,
                "now": now,
                "differs": None if then is None or now is None else not _alike(then, now),
                "cost_micros": cost,
            }
        )


def _has_hosted_tools(call: RecordedCall) -> bool:
    """Tell whether the provider would call tools; of what can't be read the gateway says why."""
    _, dialect = _SPOKEN[call.endpoint]
    try:
        return bool(dialect.read(call.body, _HEADERS).hosted_tools)
    except ModelError:
        return False


def _alike(then: Said, now: Said) -> bool:
    """Tell whether two answers say the same; space around them says nothing."""
    return (then.text.strip(), then.calls) == (now.text.strip(), now.calls)


def _told(call: RecordedCall, *notes: str) -> ForkResult:
    return ForkResult(
        run=None,
        of_run=call.facts.run,
        at=call.at.decision,
        asked=call.asked.decision,
        decision=None,
        model=call.asked.name,
        endpoint=call.endpoint,
        replaced=call.replaced,
        sent_bytes=len(call.body),
        answered=False,
        then=call.then,
        notes=(*notes, *call.notes),
    )


def _said(call: RecordedCall, body: bytes) -> Said | None:
    try:
        return said_in(call.endpoint, parse(body))
    except Invalid:
        return None


def _error(answered: Answered) -> str:
    """Return why no model answered, in the words of the gateway."""
    try:
        said = parse(answered.body)["error"]["message"]
    except (WatchkeeperError, KeyError, TypeError):
        said = f"the gateway answered with status {answered.status}"
    return make_safe(str(said))[:_LONGEST_ERROR]
