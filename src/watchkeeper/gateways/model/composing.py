"""One model call that several models answer: one and then a stronger one, or two and a third.

It is one action: permitted for every model and held at the sum of what they may use, settled at
the sum of what they did. Answers that the caller may not be given are kept until that is known,
so a streamed answer begins when the smaller model has ended, or the adjudicator begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from watchkeeper.decide.gates.legs import ADDED_BYTES, BYTES_PER_ANSWER_TOKEN
from watchkeeper.decide.kill.flight import InFlight
from watchkeeper.gateways.http import CallerWatch
from watchkeeper.gateways.model.attempt import Whole
from watchkeeper.gateways.model.dialect import Dialect, ModelCall
from watchkeeper.gateways.model.errors import route_headers, stopped
from watchkeeper.gateways.model.judging import Judge
from watchkeeper.gateways.model.passing import Headers, Kept, Receiver
from watchkeeper.gateways.model.provider import Made, ProviderCall
from watchkeeper.gateways.performing import Performed
from watchkeeper.registry.providers import Ensemble
from watchkeeper.wire.decisions import LARGEST_USAGE, Outcome, Usage
from watchkeeper.wire.models import Routed

Make = Callable[[int, ModelCall, Receiver, Headers], ProviderCall]
"""Returns a call of one of the models, by its place among those that may answer: what is sent, who
takes the answer, and headers beside others."""


_LARGEST_AT_ONCE = 128 * 1024
"""Bytes of an answer that are looked through on the event loop."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What one model said."""

    model: str
    performed: Performed[Made]
    kept: Kept

    @property
    def well(self) -> bool:
        return self.performed.outcome.status == "succeeded"

    @property
    def cut(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return self.performed.outcome.status == "unknown"

    async def text(self, dialect: Dialect) -> str | None:
        """Return its words, looked for beside the event loop where there is much of it; None
        where they can't be judged.
        """
        made = self.performed.made
        streamed = not isinstance(made, Whole)
        if streamed and not self.kept.begun:
            return None
        data = made.body if isinstance(made, Whole) else self.kept.data
        if len(data) <= _LARGEST_AT_ONCE:
            return dialect.text_of(data, streamed=streamed)
        return await asyncio.to_thread(dialect.text_of, data, streamed=streamed)


class Composition:
    """Performs one permitted call of several models."""

    def __init__(
        self,
        make: Make,
        dialect: Dialect,
        call: ModelCall,
        routed: Routed,
        *,
        ceiling: int,
        judge: Judge | None,
        ensemble: Ensemble | None,
        watch: CallerWatch,
        receiver: Receiver,
    ) -> None:
        self._make = make
        self._dialect = dialect
        self._call = call
        self._routed = routed
        self._ceiling = ceiling
        self._judge = judge
        self._ensemble = ensemble
        self._watch = watch
        self._receiver = receiver
        self._used = Usage()
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    async def perform(self, flight: InFlight) -> Performed[Made]:
        """Ask the models; whatever happens, return what to send and what all of them used."""
        try:
            if self._ensemble is not None and self._routed.ensemble:
                return await self._combine(self._ensemble, flight)
            return await self._escalate(flight)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            error = stopped(flight.cancelled)
            return Performed(
                error, Outcome(status="unknown", error=error.message, usage=self._used)
            )

    async def _escalate(self, flight: InFlight) -> Performed[Made]:
        routed, stronger = self._routed, self._routed.stronger
        first = await self._ask(0, flight)
        text = await first.text(self._dialect) if first.well else None
        why = await self._judge.why_not(text) if self._judge and text is not None else None
        if stronger is None or why is None:
            return await self._give(first, routed.reason)
        reason = f"escalated to {stronger.model}: {why}; before: {routed.reason}"
        return await self._pass(1, self._call, reason, flight)

    async def _combine(self, ensemble: Ensemble, flight: InFlight) -> Performed[Made]:
        last = len(self._routed.ensemble) - 1
        said = await self._ask_all(range(last), flight)
        cut = next((one for one in said if one.cut), None)
        if cut is not None:
            return await self._give(cut, self._routed.reason)
        well = [one for one in said if one.well]
        if not well:
            return await self._give(said[0], self._routed.reason)
        alone = f"{well[0].model} answers alone"
        if len(well) < len(said):
            failed = next(one for one in said if not one.well)
            error = failed.performed.outcome.error or "it gave no answer"
            return await self._give(well[0], f"{alone}: {failed.model} failed ({error[:200]})")
        texts = [await one.text(self._dialect) for one in well]
        known = tuple(text for text in texts if text is not None)
        if len(known) < len(texts):
            return await self._give(well[0], f"{alone}: what was said can't be compared")
        call = self._dialect.with_text(self._call, ensemble.instructions, known)
        if call.size - self._call.size > self._reserved(ensemble, last):
            return await self._give(well[0], f"{alone}: the answers are longer than was held for")
        made = await self._pass(last, call, self._routed.reason, flight)
        if made.outcome.status != "failed" or self._receiver.begun:
            return made
        error = made.outcome.error or "it gave no answer"
        return await self._give(
            well[0], f"{alone}: {self._routed.legs[last].model} failed ({error[:200]})"
        )

    def _reserved(self, ensemble: Ensemble, answers: int) -> int:
        """Return how many bytes the adjudicator may be sent beside the call."""
        held = answers * self._ceiling * BYTES_PER_ANSWER_TOKEN
        return held + len(ensemble.instructions.encode()) + ADDED_BYTES

    async def _ask(self, place: int, flight: InFlight) -> _Said:
        """Have a model answer, and keep what it says."""
        kept = Kept()
        performed = await self._make(place, self._call, kept, ()).perform(flight)
        self._used = _sum(self._used, performed.outcome.usage)
        return _Said(self._routed.legs[place].model, performed, kept)

    async def _ask_all(self, places: Sequence[int], flight: InFlight) -> list[_Said]:
        """Have models answer side by side; what cuts the call cuts them all."""
        tasks = [asyncio.create_task(self._ask(place, flight)) for place in places]
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        return [task.result() for task in tasks]

    async def _pass(
        self, place: int, call: ModelCall, reason: str, flight: InFlight
    ) -> Performed[Made]:
        """Have a model give the caller the answer."""
        late = self._elapsed_ms()
        model = self._routed.legs[place].model
        headers = route_headers(model, reason)
        made = await self._make(place, call, self._receiver, headers).perform(flight)
        self._used = _sum(self._used, made.outcome.usage)
        first = made.outcome.first_token_ms
        return self._ended(made, model, reason, None if first is None else first + late)

    async def _give(self, said: _Said, reason: str) -> Performed[Made]:
        """Give the caller what a model said before."""
        made, headers, first = said.performed.made, route_headers(said.model, reason), None
        if isinstance(made, Whole):
            made = replace(made, headers=(*made.headers, *headers))
        elif made is None and said.kept.begun and not self._watch.gone.is_set():
            first = self._elapsed_ms()
            kept = said.kept
            await self._receiver.begin(kept.kind, [*kept.headers, *headers])
            await self._receiver.push(kept.data)
            await self._receiver.end(b"")
        return self._ended(replace(said.performed, made=made), said.model, reason, first)

    def _ended(
        self, performed: Performed[Made], model: str, reason: str, first_token_ms: int | None
    ) -> Performed[Made]:
        """Return how the call ended, with what all models used."""
        changed = {
            "usage": self._used,
            "model": model,
            "route_reason": reason[:2000] if reason != self._routed.reason else None,
            "first_token_ms": first_token_ms,
        }
        return replace(performed, outcome=performed.outcome.model_copy(update=changed))

    def _elapsed_ms(self) -> int:
        return max(0, round((self._loop.time() - self._began) * 1000))


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        **{
            name: min(getattr(one, name) + getattr(other, name), _MOST.get(name, LARGEST_USAGE))
            for name in Usage.model_fields
        }
    )


_MOST = {"retries": 1000}
