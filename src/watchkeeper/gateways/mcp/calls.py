"""tools/call: ask for the action, wait where a person must decide, perform it, settle it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from watchkeeper.core.errors import Unauthenticated, WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.core.tracing import read_traceparent
from watchkeeper.decide.held.holding import decide_and_hold
from watchkeeper.decide.kill.flight import InFlight
from watchkeeper.decide.service import Decider
from watchkeeper.gateways.mcp.cancellations import Cancellations
from watchkeeper.gateways.mcp.envelope import Rejected, Request
from watchkeeper.gateways.mcp.exchange import Exchange
from watchkeeper.gateways.mcp.outlet import Outlet
from watchkeeper.gateways.mcp.results import (
    as_result,
    cut_off,
    failed,
    failure,
    forwarded,
    own_result,
    pending,
    read_result,
    refusal,
    replayed,
)
from watchkeeper.gateways.mcp.tasks import Tasks, offers_tasks
from watchkeeper.gateways.offers import Offers, Performance
from watchkeeper.gateways.performing import Performances, Performed, Stopped
from watchkeeper.gateways.recording import Recording
from watchkeeper.gateways.tracing import passed_on
from watchkeeper.gateways.words import denial
from watchkeeper.identity.model import Caller
from watchkeeper.tools.upstreams.model import CallContext, Progress, Result, UpstreamFailure
from watchkeeper.tools.upstreams.pool import Pool
from watchkeeper.tools.upstreams.protocol import INSUFFICIENT_SCOPE, INVALID_PARAMS, UNAUTHENTICATED
from watchkeeper.wire.base import NAME
from watchkeeper.wire.decisions import Answer, Ask, Outcome

IDEMPOTENCY_KEY = "watchkeeper/idempotency-key"
EXPLANATION_KEY = "watchkeeper/explanation"
_NAME = re.compile(NAME)
_LONGEST_KEY = 200
_LONGEST_EXPLANATION = 2000
_LONGEST_ERROR = 500

Shown = dict[str, Any]


class ToolCalls:
    """Performs the tool calls of every agent."""

    def __init__(
        self,
        decider: Decider,
        offers: Offers,
        pool: Pool,
        performances: Performances,
        cancellations: Cancellations,
        recording: Recording,
    ) -> None:
        self._decider = decider
        self._recording = recording
        self._offers = offers
        self._pool = pool
        self._performances = performances
        self._cancellations = cancellations
        self._tasks = Tasks(decider)

    async def call(
        self, token: str, caller: Caller, request: Request, exchange: Exchange
    ) -> Shown | None:
        """Return the result of one call; None when the caller hung up while it was held.

        Raises `Rejected` for a call that is malformed.
        """
        ask = read_ask(request, self._offers.named)
        return await answered(self._decide(token, caller, ask, request, exchange), request)

    async def follow(self, token: str, caller: Caller, request: Request) -> Shown:
        """Answer what a client asks of a call that it follows as a task."""
        return await self._tasks.serve(token, caller, request, self)

    async def _decide(
        self, token: str, caller: Caller, ask: Ask | str, request: Request, exchange: Exchange
    ) -> Shown | None:
        if isinstance(ask, str):
            return unnamed(ask, request)
        performance = self._offers.performance(ask.name)
        if performance is not None and performance.upstream is None:
            text = (
                f"REFUSED: {ask.name} is performed by the agent itself; ask for it at "
                "/v1/decide and report its outcome there. Nothing has been done."
            )
            return own_result(
                failure(text, None, status="refused", retryable=False), modern=request.modern
            )

        if performance is not None and performance.upstream is not None:
            # what a tool may be called under is known once its upstream has been listed
            await self._pool.settle(performance.upstream)

        follows = offers_tasks(request)

        def on_hold(answer: Answer, waited: float) -> None:
            exchange.watch()
            _report(request, exchange)(
                {"progress": waited, "message": f"waiting for a person: {answer.request}"}
            )

        with self._cancellations.open(caller.run, request.id, exchange.gone):
            answer = await decide_and_hold(
                self._decider,
                token,
                ask,
                performer="plane",
                # a client that follows tasks need not be kept waiting
                hold_seconds=0 if follows else self._offers.hold_seconds(caller.agent),
                gone=exchange.gone,
                on_hold=on_hold,
            )
            if answer is None:
                return None
            if answer.verdict == "permit":
                # who hangs up while it runs does not get the result, and may ask for it again
                exchange.watch()
                exchange.when_taken(lambda: self._decider.taken.add(answer.decision))
                return await self._carry_out(answer, caller, ask, performance, request, exchange)
        if answer.rule == "identity/scope":
            raise Rejected(
                INSUFFICIENT_SCOPE,
                denial(answer),
                data={"rule": answer.rule, "decision": answer.decision},
                challenge={"error": "insufficient_scope", "scope": f"tool:{ask.name}"},
            )
        if answer.verdict == "hold" and follows:
            task = await self._tasks.create(caller, ask, answer)
            if task is not None:
                return task
        said = pending(answer) if answer.verdict == "hold" else refusal(answer)
        return own_result(said, modern=request.modern)

    async def begin(self, answer: Answer, caller: Caller, ask: Ask) -> None:
        """Perform a permitted call that its client follows as a task."""
        performance = self._offers.performance(ask.name)
        # its end is on record; the client asks after that
        with contextlib.suppress(Stopped, WatchkeeperError):
            await self._perform(answer, caller, ask, performance, None)

    async def ended(self, answer: Answer) -> Shown:
        """Return the result of a call that has ended, as the modern era has it."""
        return forwarded(await self._recall(answer), answer, modern=True)

    async def _carry_out(
        self,
        answer: Answer,
        caller: Caller,
        ask: Ask,
        performance: Performance | None,
        request: Request,
        exchange: Exchange,
    ) -> Shown:
        """Perform a call, join it where it runs already, or tell what it got."""
        progress = _report(request, exchange) if "progressToken" in request.meta else None
        try:
            if answer.replay is None:
                result: Result | None = await self._perform(
                    answer, caller, ask, performance, progress
                )
            elif answer.replay["status"] == "running":
                result = await self._performances.join(answer.decision)
            else:
                result = None
        except Stopped as stopped:
            said = cut_off(answer.decision, stopped.lock)
            return own_result(said, modern=request.modern)
        if result is None:
            result = await self._recall(answer)
        return forwarded(result, answer, modern=request.modern)

    async def _recall(self, answer: Answer) -> Result:
        kept = await self._decider.recall(answer.decision)
        if kept is not None:
            return read_result(kept.encode())
        return as_result(replayed(answer))

    async def _perform(
        self,
        answer: Answer,
        caller: Caller,
        ask: Ask,
        performance: Performance | None,
        progress: Progress | None,
    ) -> Result:
        if answer.narrowed is not None:
            ask = ask.model_copy(update={"arguments": answer.narrowed.arguments})
        outlet = self._offers.outlet(caller.agent, ask.name, answer)
        context = CallContext(
            answer.decision,
            caller.run,
            caller.agent,
            ask.name,
            traceparent=passed_on(caller, read_traceparent(ask.traceparent), answer.decision),
        )

        async def work(flight: InFlight) -> Performed[Result]:
            def passing(params: Mapping[str, Any]) -> None:
                # what an upstream says once its call is cut is nobody's any more
                if progress is not None and flight.cancelled is None:
                    progress(params)

            said = passing if progress is not None else None
            return await self._forward(answer, ask, performance, outlet, said, context)

        return await self._performances.perform(answer.decision, work)

    async def _forward(
        self,
        answer: Answer,
        ask: Ask,
        performance: Performance | None,
        outlet: Outlet,
        progress: Progress | None,
        context: CallContext,
    ) -> Performed[Result]:
        try:
            if performance is None or performance.upstream is None:
                raise UpstreamFailure("no upstream performs it", reached=False)
            result = await self._pool.call(
                performance.upstream,
                performance.tool,
                ask.arguments,
                timeout_seconds=_seconds(performance, answer),
                permitted=answer.definition,
                context=context,
                progress=outlet.progress(progress),
            )
        except UpstreamFailure as error:
            return self._failed(answer, ask, performance, outlet, error)
        performed = await outlet.performed(result)
        self._recording.take(
            context.decision,
            "output",
            run=context.run,
            agent=context.agent,
            data=msgspec.json.encode(performed.made),
            model=False,
        )
        return performed

    def _failed(
        self,
        answer: Answer,
        ask: Ask,
        performance: Performance | None,
        outlet: Outlet,
        error: UpstreamFailure,
    ) -> Performed[Result]:
        upstream = performance.upstream if performance else None
        words = make_safe(outlet.words(error.message), limit=_LONGEST_ERROR)
        why = f"upstream {upstream or 'none'}: {words}"
        result = as_result(failed(ask.name, why, answer.decision, reached=error.reached))
        return Performed(
            result,
            Outcome(status="unknown" if error.reached else "failed", error=why),
            kept=msgspec.json.encode(result),
            begun=error.reached,
        )


async def answered(work: Awaitable[Shown | None], request: Request) -> Shown | None:
    """Return the result of a call; what the plane refuses is a result too, which a model reads."""
    try:
        return await work
    except Unauthenticated as error:
        challenge = {"error": "invalid_token"}
        raise Rejected(UNAUTHENTICATED, str(error), challenge=challenge) from None
    except WatchkeeperError as error:
        text = f"REFUSED: {error}. Nothing has been done."
        locked = error.code == "locked"
        said = failure(text, None, status="refused", retryable=not locked, code=error.code)
        return own_result(said, modern=request.modern)


def unnamed(why: str, request: Request) -> Shown:
    """Return the result of a call of what can be no tool."""
    said = failure(why, None, status="denied", retryable=False)
    return own_result(said, modern=request.modern)


def read_ask(request: Request, named: Callable[[str], str]) -> Ask | str:
    """Return what is asked for, or why a tool of that name cannot be.

    `named` tells what contracts call a tool that is listed under another name.
    """
    sent = request.params.get("name")
    if not isinstance(sent, str):
        raise Rejected(INVALID_PARAMS, "params.name must be the name of a tool")
    name = named(sent)
    arguments = request.params.get("arguments")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise Rejected(INVALID_PARAMS, "params.arguments must be an object")
    if _NAME.fullmatch(name) is None:
        return (
            f"DENIED by rule gateway/tool-name: no tool can be called {make_safe(name, limit=80)!r}"
            "; names are lower-case letters, digits, dots, dashes and underscores."
        )
    return Ask(
        kind="tool",
        name=name,
        arguments=arguments,
        fulfils=("redact", "max_seconds"),
        idempotency_key=_text(request.meta, IDEMPOTENCY_KEY, _LONGEST_KEY),
        explanation=(_text(request.meta, EXPLANATION_KEY, None) or "")[:_LONGEST_EXPLANATION]
        or None,
        traceparent=request.traceparent,
    )


def _seconds(performance: Performance, answer: Answer) -> float:
    """Return how long a call may take: its tool's time limit, or less where budgets have less."""
    most = (one.max_seconds for one in answer.obligations if one.max_seconds is not None)
    return min((performance.timeout_seconds, *most))


def _text(meta: Mapping[str, Any], key: str, longest: int | None) -> str | None:
    value = meta.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or (longest is not None and len(value) > longest):
        raise Rejected(
            INVALID_PARAMS, f"_meta[{key!r}] must be text of at most {longest or 'any'} characters"
        )
    return value


def _report(request: Request, exchange: Exchange) -> Callable[[Mapping[str, Any]], None]:
    """Return what sends progress to the caller under its own token, if it gave one."""
    token = request.meta.get("progressToken")

    def report(params: Mapping[str, Any]) -> None:
        if token is not None:
            kept = {k: v for k, v in params.items() if k in ("progress", "total", "message")}
            exchange.say("notifications/progress", {**kept, "progressToken": token})

    return report
