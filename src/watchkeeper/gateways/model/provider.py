"""One permitted model call: sent to its targets in order until one answers, metered in all.

What a provider did not take is sent to it again, within its retry budget, then to the next
target; never once the first byte of an answer was passed on, and never to a provider that a lock
is on: what such a lock cuts goes on at the next target. A sending that may have been billed
without a complete answer counts at its bound, and another needs as much room again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.gates.kill import lock_on_provider
from watchkeeper.decide.kill.flight import InFlight
from watchkeeper.decide.service import Decider
from watchkeeper.gateways.http import CallerWatch, header_value
from watchkeeper.gateways.model.attempt import Attempt, Failure, Whole
from watchkeeper.gateways.model.dialect import Dialect, ModelCall
from watchkeeper.gateways.model.errors import ModelError, locked, stopped
from watchkeeper.gateways.model.passing import Headers, Receiver
from watchkeeper.gateways.model.providers import Providers
from watchkeeper.gateways.model.route import Route
from watchkeeper.gateways.performing import Performed
from watchkeeper.wire.decisions import LARGEST_USAGE, Outcome, OutcomeStatus, Usage

log = logging.getLogger(__name__)

PROVIDER_HEADER = b"x-watchkeeper-provider"
RETRIES_HEADER = b"x-watchkeeper-retries"
_LAST_WORD_SECONDS = 0.2
_MOST_SENDINGS = 10
_OK = 200
_ESTIMATED = "usage is an estimate: the provider reported none"

_NOTHING = Usage()

Made = Whole | ModelError | None
"""What is left to send; None when a stream said it all."""


class ProviderCall:
    """Performs one permitted call of a model, whatever its protocol."""

    def __init__(
        self,
        providers: Providers,
        decider: Decider,
        routes: Sequence[Route],
        dialect: Dialect,
        call: ModelCall,
        *,
        decision: str,
        headers: Headers,
        ceiling: int | None,
        without: frozenset[str] = frozenset(),
        watch: CallerWatch,
        receiver: Receiver,
        traceparent: str,
    ) -> None:
        """`routes`: at least one, in the order in which they are tried; `headers`: what the
        answer carries whoever gives it; `without`: hosted tools that are taken out;
        `traceparent`: the trace context that providers are given.
        """
        self._providers = providers
        self._decider = decider
        self._routes = routes
        self._dialect = dialect
        self._call = call
        self._decision = decision
        self._headers = headers
        self._traceparent = traceparent
        self._ceiling = ceiling
        self._without = without
        self._watch = watch
        self._receiver = receiver
        self._attempt: Attempt | None = None
        self._tried = routes[0]
        """The last that was, or will be first."""
        self._sendings = 0
        self._spent = _NOTHING
        """By attempts that are over."""
        self._estimated = False
        self._over = False
        self._began = asyncio.get_running_loop().time()

    async def perform(self, flight: InFlight) -> Performed[Made]:
        """Call the providers; whatever happens, return what to send and what it cost."""
        task = asyncio.current_task()
        if self._call.stream:
            self._watch.start(lambda: self._hang_up(task))
        try:
            try:
                made = await self._answer()
            finally:
                self._over = True
        except asyncio.CancelledError:
            if task is not None:
                task.uncancel()
            return await self._cut_off(flight)
        except Failure as failure:
            outcome = self._outcome("failed", failure.error.message)
            return await self._give_up(failure.error, outcome)
        return Performed(made, self._ended(made))

    def _hang_up(self, task: asyncio.Task[Any] | None) -> None:
        """Cut the call that nobody waits for, unless it has ended and is only written down."""
        if not self._over and task is not None:
            task.cancel()

    async def _answer(self) -> Whole | None:
        """Return what the first target that answers says; raise the last `Failure`."""
        failure: Failure | None = None
        before: Route | None = None
        for route in self._routes:
            lock = lock_on_provider(self._decider.locks, route.provider)
            if lock is not None:
                failure = failure or Failure(locked(lock))
                continue
            if before is not None:
                self._providers.fell_back(before)
            before = route
            number = 1
            while True:
                if self._attempt is not None and failure is not None:
                    await self._make_room(route, failure)
                try:
                    return await self._try(route, again=number > 1)
                except Failure as error:
                    failure = error
                if self._receiver.begun or self._sendings >= _MOST_SENDINGS:
                    raise failure
                number += 1
                if (
                    not failure.again
                    or number > route.attempts
                    or not await self._providers.wait_to_retry(route, number, failure.after_seconds)
                ):
                    break
        assert failure is not None, "a call has at least one target"
        raise failure

    async def _try(self, route: Route, *, again: bool) -> Whole | None:
        """Send the call once, unless a lock is on the provider; what that cuts is a `Failure`."""
        lock = lock_on_provider(self._decider.locks, route.provider)
        if lock is not None:
            raise Failure(locked(lock))
        task = asyncio.current_task()
        assert task is not None, "a call is performed in a task"
        with self._decider.flights.send(self._decision, route.provider, task.cancel) as sending:
            try:
                return await self._send(route, again=again)
            except asyncio.CancelledError:
                if sending.cancelled is None or task.uncancel() > 0:
                    raise  # all of the call is cut, or nobody waits for it
                raise Failure(stopped(sending.cancelled)) from None

    async def _send(self, route: Route, *, again: bool) -> Whole | None:
        self._sendings += 1
        self._tried = route
        self._attempt = Attempt(
            self._providers,
            route,
            self._dialect,
            self._call,
            ceiling=self._ceiling,
            without=self._without,
            receiver=self._receiver,
            head=self._head,
            traceparent=self._traceparent,
        )
        return await self._attempt.perform(again=again)

    async def _make_room(self, route: Route, failure: Failure) -> None:
        """Have room for one more sending; raise the failure of the last where there is none."""
        last = self._attempt
        assert last is not None, "something failed before"
        billed = self._count(last)
        self._attempt = None
        self._watch.start()
        await asyncio.sleep(0)
        if self._watch.gone.is_set():
            raise failure
        most_input = self._call.most_input_tokens(route.context_window, self._without)
        writes = self._call.writes_cache
        more = Usage()
        if billed:
            more = route.most(most_input, self._ceiling or 0, writes_cache=writes)
        more = more.model_copy(update={"retries": 1})
        try:
            room = await self._decider.extend(self._decision, more)
        except WatchkeeperError as error:
            log.warning("decision %s cannot be extended: %s", self._decision, error)
            raise failure from None
        if not room:
            failure.error.message += (
                "; it was not sent again, because the budgets have no room for that"
            )
            raise failure

    def _count(self, attempt: Attempt) -> bool:
        """Add what an attempt used; tell whether it may be billed."""
        used = attempt.usage()
        if not (used.input_tokens or used.output_tokens):
            return False
        self._estimated |= attempt.meter.estimated
        self._spent = _sum(self._spent, used) if self._spent is not _NOTHING else used
        return True

    def _ended(self, made: Whole | None) -> Outcome:
        """Return how a call ended that the last attempt answered."""
        attempt = self._attempt
        assert attempt is not None, "it answered"
        name = attempt.route.provider
        if made is not None and made.status != _OK:
            return self._outcome("failed", f"provider {name} refused with HTTP {made.status}")
        if attempt.meter.failure is not None:
            why = f"it ended its answer with an error: {attempt.meter.failure}"
            return self._outcome("failed", f"provider {name}: {why}")
        return self._outcome("succeeded", None)

    async def _cut_off(self, flight: InFlight) -> Performed[Made]:
        if flight.cancelled is None and self._watch.gone.is_set():
            if self._attempt is not None and self._attempt.meter.done:
                # clients hang up after the last event, while the provider may linger
                return Performed(None, self._ended(None))
            return Performed(None, self._outcome("unknown", "the caller hung up"))
        error = stopped(flight.cancelled)
        return await self._give_up(error, self._outcome("unknown", error.message))

    async def _give_up(self, error: ModelError, outcome: Outcome) -> Performed[Made]:
        if not self._receiver.begun:
            error.headers = (*error.headers, *self._trying())
            return Performed(error, outcome)
        events = self._attempt.events if self._attempt else 0
        # a caller that does not read must not delay a kill
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORD_SECONDS):
                await self._receiver.end(self._dialect.errors.event(error, events))
        return Performed(None, outcome)

    def _outcome(self, status: OutcomeStatus, error: str | None) -> Outcome:
        attempt = self._attempt
        first, notes = None, [error] if error else []
        response = None
        if attempt is not None:
            self._count(attempt)
            response = attempt.meter.response()
            if attempt.first_token_at is not None:
                first = max(0, round((attempt.first_token_at - self._began) * 1000))
        if self._estimated:
            notes.append(_ESTIMATED)
        usage = self._spent
        if self._sendings > 1:
            usage = usage.model_copy(update={"retries": self._sendings - 1})
        return Outcome(
            status=status,
            usage=usage,
            error="; ".join(notes)[:1000] or None,
            provider=self._tried.provider if self._sendings else None,
            provider_model=self._tried.provider_model if self._sendings else None,
            response=response,
            first_token_ms=first,
        )

    def _head(self, route: Route, headers: Mapping[str, str]) -> Headers:
        """Return the headers of an answer: the plane's, and those of the provider's that pass."""
        redact = self._providers.credentials.known.redact_text
        return [
            *self._headers,
            *self._trying(),
            *(
                (name.encode(), header_value(redact(headers[name])))
                for name in self._dialect.passed_headers
                if name in headers
            ),
        ]

    def _trying(self) -> Headers:
        again = max(0, self._sendings - 1)
        return (
            (PROVIDER_HEADER, header_value(self._tried.provider)),
            (RETRIES_HEADER, str(again).encode()),
        )


def _sum(one: Usage, other: Usage) -> Usage:
    added = {
        name: min(getattr(one, name) + getattr(other, name), LARGEST_USAGE)
        for name in _COUNTED
        if getattr(other, name)
    }
    return one.model_copy(update=added)


_COUNTED = tuple(name for name in Usage.model_fields if name != "retries")
