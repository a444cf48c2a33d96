"""Follow a plane's ledger live, and go on where it broke off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from watchkeeper.client.address import Address
from watchkeeper.client.problems import error_of
from watchkeeper.client.sse import Message, Parser
from watchkeeper.client.transport import Transport
from watchkeeper.core.chance import Chance, SystemChance
from watchkeeper.core.clock import Clock, SystemClock
from watchkeeper.core.errors import (
    Forbidden,
    Unauthenticated,
    Unavailable,
    WatchkeeperError,
)
from watchkeeper.wire.plane import EventRow

FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 15.0
_events = TypeAdapter(tuple[EventRow, ...])


@dataclass(frozen=True)
class Connection:
    """How the feed does: live, lost (it tries again), or refused (it does not)."""

    state: Literal["connecting", "live", "lost", "refused"]
    since: int
    attempt: int = 0
    retry_at: int | None = None
    error: WatchkeeperError | None = None


@dataclass(frozen=True)
class Events:
    """Entries of the ledger in order."""

    events: tuple[EventRow, ...]


@dataclass(frozen=True)
class Resync:
    """Too much was missed to replay: read everything again, it goes on from here."""

    sequence: int


Item = Events | Resync | Connection


class Feed:
    """Reads `/v1/events/stream` for as long as it is followed.

    `sequence` is the newest entry seen; `connection` how it does now. Reconnects wait
    between nothing and a bound that doubles up to `LONGEST_RETRY_SECONDS`, so that many
    consoles do not return to a plane in one instant.
    """

    def __init__(
        self,
        address: Address,
        *,
        after: int,
        clock: Clock | None = None,
        chance: Chance | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.sequence = after
        self._clock = clock or SystemClock()
        self._chance = chance or SystemChance()
        self._sleep = sleep
        self._transport = Transport(address)
        self.connection = Connection("connecting", self._clock.now())

    async def follow(self) -> AsyncIterator[Item]:
        """Yield batches, resyncs and each change of the connection; ends only when refused."""
        attempt = 0
        try:
            while True:
                try:
                    async for item in self._follow_once():
                        attempt = 0
                        yield item
                    error: WatchkeeperError = Unavailable("the plane ended the feed")
                except (Unauthenticated, Forbidden) as refused:
                    yield self._change("refused", attempt, error=refused)
                    return
                except WatchkeeperError as lost:
                    error = lost
                attempt += 1
                pause = self._pause(attempt)
                yield self._change("lost", attempt, pause=pause, error=error)
                await self._sleep(pause)
        finally:
            await self._transport.close()

    async def _follow_once(self) -> AsyncIterator[Item]:
        parser = Parser()
        headers = {"accept": "text/event-stream", "last-event-id": str(self.sequence)}
        async with self._transport.stream(
            "/v1/events/stream", params={"after": str(self.sequence)}, headers=headers
        ) as (reply, chunks):
            if reply.status >= 400:
                raise error_of(reply)
            yield self._change("live", 0)
            async for chunk in chunks:
                for message in parser.feed(chunk):
                    item = self._read(message)
                    if item is not None:
                        yield item

    def _read(self, message: Message) -> Item | None:
        named = int(message.id) if message.id and message.id.isdigit() else self.sequence
        if message.event == "resync":
            self.sequence = named
            return Resync(named)
        if message.event not in ("message", "events") or not message.data:
            return None
        try:
            received = _events.validate_json(message.data)
        except ValidationError as error:
            raise WatchkeeperError(
                "the plane's feed sent something that is no list of events",
                code="answer_not_understood",
                remedy="use a plane and a console of the same version",
            ) from error
        # a plane that replays an overlap must not make anything happen twice
        fresh = tuple(event for event in received if event.sequence > self.sequence)
        self.sequence = max(self.sequence, named, *(event.sequence for event in received))
        return Events(fresh) if fresh else None

    def _pause(self, attempt: int) -> float:
        bound = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * float(2 ** min(attempt, 16)))
        return bound * (0.2 + 0.8 * self._chance.fraction())

    def _change(
        self,
        state: Literal["live", "lost", "refused"],
        attempt: int,
        *,
        pause: float | None = None,
        error: WatchkeeperError | None = None,
    ) -> Connection:
        now = self._clock.now()
        before = self.connection
        since = before.since if before.state == state else now
        retry_at = None if pause is None else now + round(pause * 1_000_000)
        self.connection = Connection(state, since, attempt, retry_at, error)
        return self.connection
