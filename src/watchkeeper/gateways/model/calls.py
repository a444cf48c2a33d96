"""Model calls: ask for the action, hold it for a person, perform it, keep what passed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.tracing import TRACEPARENT, TraceContext, read_traceparent
from watchkeeper.decide.held.holding import decide_and_hold
from watchkeeper.decide.service import Decider
from watchkeeper.gateways.http import CallerWatch, answer
from watchkeeper.gateways.model.asking import ask_for
from watchkeeper.gateways.model.attempt import Whole
from watchkeeper.gateways.model.composing import Composition
from watchkeeper.gateways.model.dialect import Dialect, ModelCall
from watchkeeper.gateways.model.duties import Obliged, obliged_by
from watchkeeper.gateways.model.errors import (
    ModelError,
    as_model_error,
    bad_request,
    decision_headers,
    lowered_headers,
    refused,
    route_headers,
    stopped,
    unknown_model,
)
from watchkeeper.gateways.model.keeping import Collecting, Keeping, Work
from watchkeeper.gateways.model.passing import Headers, Passing, Receiver
from watchkeeper.gateways.model.provider import Made, ProviderCall
from watchkeeper.gateways.model.providers import Providers
from watchkeeper.gateways.model.route import Route
from watchkeeper.gateways.offers import Offers
from watchkeeper.gateways.performing import Performances, Stopped
from watchkeeper.gateways.recording import Recording, WordsOf
from watchkeeper.gateways.tracing import passed_on
from watchkeeper.identity.model import Caller
from watchkeeper.wire.decisions import Answer, Ask, Outcome
from watchkeeper.wire.traces import ContentPart

log = logging.getLogger(__name__)

_BEFORE = "the same call had this answer before"
_LARGEST_PROMPTS_AT_ONCE = 16 * 1024
"""Bytes of a body whose prompt is looked for on the event loop."""


@dataclass(frozen=True, slots=True)
class AskedCall:
    """One call as it came, and who waits for its answer."""

    token: str
    caller: Caller
    headers: Mapping[str, str]
    dialect: Dialect
    call: ModelCall
    body: bytes
    watch: CallerWatch
    send: Any

    @property
    def caller_span(self) -> TraceContext | None:
        """The caller's own trace context."""
        given = self.headers.get(TRACEPARENT)
        return None if given is None else read_traceparent(given)


class ModelCalls:
    """Performs the model calls of every agent, on every surface."""

    def __init__(
        self,
        decider: Decider,
        offers: Offers,
        providers: Providers,
        performances: Performances,
        keeping: Keeping,
        recording: Recording,
    ) -> None:
        self._decider = decider
        self._offers = offers
        self._providers = providers
        self._performances = performances
        self._keeping = keeping
        self._recording = recording

    async def serve(self, asked: AskedCall) -> None:
        """Answer one call; raise `ModelError` or `WatchkeeperError` where nothing was decided."""
        decided = await self._decide(asked)
        if decided is None:
            return
        try:
            await self._perform(decided, asked)
        except ModelError as error:
            await error.send(asked.send, asked.dialect.errors, decided.decision)

    async def ask(self, asked: AskedCall) -> Ask:
        """Return what a call asks of the path; raise `ModelError` for one that can't be asked."""
        call, agent = asked.call, asked.caller.agent
        templates = self._offers.names_prompts(agent)
        asks = partial(
            ask_for,
            call,
            asked.dialect.endpoint,
            self._offers.route(call.model),
            self._offers.largest_window(),
            templates=templates,
        )
        aside = templates and call.size > _LARGEST_PROMPTS_AT_ONCE
        ask = await asyncio.to_thread(asks) if aside else asks()
        if (context := asked.caller_span) is not None:
            ask = ask.model_copy(update={"traceparent": context.text()})
        return ask

    async def _decide(self, asked: AskedCall) -> Answer | None:
        watch = asked.watch
        return await decide_and_hold(
            self._decider,
            asked.token,
            await self.ask(asked),
            performer="plane",
            hold_seconds=self._offers.hold_seconds(asked.caller.agent),
            gone=watch.gone,
            on_hold=lambda answer, waited: watch.start(),
        )

    async def _perform(self, decided: Answer, asked: AskedCall) -> None:
        if decided.verdict != "permit":
            raise refused(decided)
        call = asked.call
        obliged = obliged_by(decided, call)
        ways = self._ways(decided, obliged.model)
        if not all(ways):
            why = "no provider serves the model any more; nothing was done"
            await self._decider.settle(decided.decision, Outcome(status="failed", error=why))
            raise unknown_model(obliged.model)
        if 0 < obliged.ceiling < call.choices:
            why = "a policy lets it generate fewer tokens than it asks for choices"
            await self._decider.settle(decided.decision, Outcome(status="failed", error=why))
            raise bad_request(400, "too_many_choices", f"{why}; nothing was done")
        work, collecting = self._work(decided, asked, ways, obliged)
        self._record(decided, asked, "input", asked.body)
        made = await self._carry_out(decided.decision, work)
        self._record_answer(decided, asked, made, collecting)
        if isinstance(made, ModelError):
            if (routed := decided.routed) is not None:
                made.headers = (*made.headers, *route_headers(routed.model, routed.reason))
            raise made
        if isinstance(made, Whole):
            kind = made.kind.encode("latin-1")
            await answer(asked.send, made.status, made.body, made.headers, kind)

    def _ways(self, decided: Answer, model: str) -> Sequence[Sequence[Route]]:
        """Return where each model that may answer is called, in the order places are tried."""
        routed = decided.routed
        if routed is not None:
            then = self._decider.flights.catalogue_of(decided.decision)
            return [self._offers.routes(leg.model, leg.targets, then) for leg in routed.legs]
        named = self._offers.route(model)
        return ((),) if named is None else ((named,),)

    def _work(
        self,
        decided: Answer,
        asked: AskedCall,
        ways: Sequence[Sequence[Route]],
        obliged: Obliged,
    ) -> tuple[Work, Collecting | None]:
        """Return what is to be done: a kept answer to be given, or providers to be called; and
        what will have the answer whole if it is streamed.
        """
        ceiling = obliged.ceiling or None
        place = self._keeping.place(
            asked.caller, asked.headers, asked.dialect, asked.call, decided, ceiling
        )
        headers = [
            *decision_headers(decided.decision, decided.warnings),
            *lowered_headers(decided.obligations),
            *obliged.headers,
            place.header,
        ]
        routed = decided.routed
        if place.found is not None:
            answered_by = place.found.model or (routed.model if routed else asked.call.model)
            headers += route_headers(answered_by, _BEFORE)
            return place.given(place.found, headers), None
        passing = Passing(asked.send)
        recorded = self._recording.keeps(asked.caller.agent, model=True) != "nothing"
        wanted = asked.call.stream and recorded
        collecting = Collecting(passing) if wanted or place.key is not None else None
        receiver: Receiver = collecting or passing

        def make(place: int, call: ModelCall, receiver: Receiver, more: Headers) -> ProviderCall:
            return ProviderCall(
                self._providers,
                self._decider,
                ways[place],
                asked.dialect,
                call,
                decision=decided.decision,
                headers=[*headers, *more],
                ceiling=ceiling,
                watch=asked.watch,
                receiver=receiver,
                without=obliged.without,
                traceparent=passed_on(asked.caller, asked.caller_span, decided.decision),
            )

        performance: ProviderCall | Composition
        if routed is not None and (routed.ensemble or routed.stronger is not None):
            performance = Composition(
                make,
                asked.dialect,
                asked.call,
                routed,
                ceiling=obliged.ceiling,
                judge=self._offers.judge(asked.caller.agent, asked.call.model, routed),
                ensemble=self._offers.ensemble(routed.model),
                watch=asked.watch,
                receiver=receiver,
            )
        else:
            said = route_headers(routed.model, routed.reason) if routed else ()
            performance = make(0, asked.call, receiver, said)
        return place.kept(performance.perform, collecting), collecting

    def _record(
        self,
        decided: Answer,
        asked: AskedCall,
        part: ContentPart,
        data: bytes,
        words_of: WordsOf | None = None,
    ) -> None:
        caller = asked.caller
        self._recording.take(
            decided.decision,
            part,
            run=caller.run,
            agent=caller.agent,
            data=data,
            model=True,
            words_of=words_of,
        )

    def _record_answer(
        self, decided: Answer, asked: AskedCall, made: Made, collecting: Collecting | None
    ) -> None:
        if isinstance(made, Whole):
            self._record(decided, asked, "output", made.body)
        elif collecting is not None and (whole := collecting.whole()) is not None:
            words_of = partial(asked.dialect.text_of, streamed=True)
            self._record(decided, asked, "output", whole, words_of)

    async def _carry_out(self, decision: str, work: Work) -> Made:
        """Do what was decided on; raise `ModelError` for whatever goes wrong in the plane."""
        try:
            return await self._performances.perform(decision, work, answer_first=True)
        except Stopped as cut:
            raise stopped(cut.lock) from None
        except WatchkeeperError as error:
            raise as_model_error(error) from None
        except Exception:
            log.exception("the model call under decision %s failed", decision)
            raise bad_request(
                500, "internal", "internal error; the plane's log says more"
            ) from None
