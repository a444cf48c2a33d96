"""Performing what was permitted: registered while it runs, settled however it ends.

A performance outlives the connection of the agent that asked for it: hanging up neither hides
an outcome nor stops a payment half-way. A kill does stop it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from watchkeeper.core.errors import Unavailable
from watchkeeper.decide.kill.flight import InFlight
from watchkeeper.decide.service import Decider
from watchkeeper.wire.decisions import Outcome, OutcomeStatus

log = logging.getLogger(__name__)

Made = TypeVar("Made")
STOP_SECONDS = 5.0
PATIENCE_SECONDS = 0.005
"""How long the outcome of a call that was answered already may wait to be made durable with
others. Until then all of its hold counts; should the plane die, it counts for good."""


@dataclass(frozen=True, slots=True)
class Performed(Generic[Made]):
    """What an action made, and how it ended."""

    made: Made
    outcome: Outcome
    kept: bytes | None = None
    """What the caller is given, kept a while for the same call; JSON."""
    begun: bool = True
    """False where nothing was done: the same call may be made anew."""


class Stopped(Exception):
    """A performance was cut off: by a lock, or because the plane stops."""

    def __init__(self, lock: str | None) -> None:
        super().__init__(lock)
        self.lock = lock


class _CutOff(Exception):
    """How a performance stands that was cut off."""

    def __init__(self, lock: str | None, ended: Performed[None]) -> None:
        super().__init__(lock)
        self.lock = lock
        self.ended = ended


def _tell(answer: asyncio.Future[Made], made: Made, failure: Exception | None) -> None:
    if answer.done():  # its caller has given up
        return
    if failure is None:
        answer.set_result(made)
    else:
        answer.set_exception(failure)


class Performances:
    """Every action being performed now."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._stopping = False

    async def perform(
        self,
        decision: str,
        work: Callable[[InFlight], Awaitable[Performed[Made]]],
        *,
        answer_first: bool = False,
    ) -> Made:
        """Run `work` and record its outcome; return what it made.

        With `answer_first` that is returned before its outcome is durable: for what changes
        nothing outside, and may be counted too high after a crash but never too low. Raises
        `Stopped` when it was cut off before it could say how it ended (recorded as unknown), and
        whatever `work` raises.
        """
        if self._stopping:
            why = "the plane is stopping; nothing was done"
            nothing = Outcome(status="failed", error=why)
            await self._settle(decision, Performed(None, nothing, begun=False))
            raise Unavailable(why)
        answer: asyncio.Future[Made] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._carry_out(decision, work, answer, answer_first))
        self._running[decision] = task
        task.add_done_callback(lambda _: self._running.pop(decision, None))
        return await answer  # a caller that gives up cancels this future, not the task

    async def join(self, decision: str) -> Any:
        """Wait for what another caller began and return what it made; None if it has ended.

        Raises as `perform`.
        """
        task = self._running.get(decision)
        if task is None:
            await self._decider.flights.settled(decision)
            return None
        made, error = await asyncio.shield(task)
        if error is not None:
            raise error
        return made

    async def _carry_out(
        self,
        decision: str,
        work: Callable[[InFlight], Awaitable[Performed[Made]]],
        answer: asyncio.Future[Made],
        answer_first: bool,
    ) -> tuple[Any, Exception | None]:
        """Do it, answer, and settle; return what it made, or how it failed."""
        ended: Performed[Any] = Performed(
            None, Outcome(status="unknown", error="it failed inside the plane")
        )
        failure: Exception | None = None
        try:
            ended = await self._work(decision, work)
        except _CutOff as cut:
            ended, failure = cut.ended, Stopped(cut.lock)
        except Exception as error:
            failure = error
        try:
            if answer_first:
                _tell(answer, ended.made, failure)
                await self._settle(decision, ended, PATIENCE_SECONDS)
            else:
                await self._settle(decision, ended)
        finally:  # also where the plane stops before it is settled
            _tell(answer, ended.made, failure)
        return ended.made, failure

    async def _work(
        self, decision: str, work: Callable[[InFlight], Awaitable[Performed[Made]]]
    ) -> Performed[Made]:
        """Run `work` while it is in flight; raise `_CutOff` where that ended it."""
        task = asyncio.current_task()
        assert task is not None
        begun = False

        def cut() -> None:
            task.cancel()

        with self._decider.in_flight(decision, cut) as flight:
            try:
                if flight.cancelled is None:
                    begun = True
                    return await work(flight)
                await asyncio.sleep(0)  # where the cancellation arrives
            except asyncio.CancelledError:
                task.uncancel()
        why = f"stopped by lock {flight.cancelled}" if flight.cancelled else "cut off"
        status: OutcomeStatus = "unknown" if begun else "failed"
        outcome = Outcome(status=status, error=why)
        raise _CutOff(flight.cancelled, Performed(None, outcome, begun=begun))

    async def _settle(self, decision: str, ended: Performed[Any], patience: float = 0) -> None:
        kept = ended.kept.decode() if ended.kept is not None else None
        try:
            await self._decider.settle(
                decision, ended.outcome, result=kept, begun=ended.begun, patience=patience
            )
        except Exception:
            # the action has happened: its caller still gets the result, and the open hold
            # of the decision is resolved as unknown when it expires
            log.exception("the outcome of decision %s could not be recorded", decision)

    async def stop(self) -> None:
        """Take nothing new, give what runs a moment to end, then cut it off."""
        self._stopping = True
        running = set(self._running.values())
        if running:
            _, left = await asyncio.wait(running, timeout=STOP_SECONDS)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
