"""The console's tie to the plane: its status, its feed, and whether it answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from watchkeeper.client.api import PlaneClient
from watchkeeper.client.feed import Connection, Events, Feed, Item, Resync
from watchkeeper.console.refresh import STATUS_SECONDS, Refresh
from watchkeeper.core.clock import Clock
from watchkeeper.core.errors import Forbidden, Unauthenticated, WatchkeeperError
from watchkeeper.wire.plane import EventRow, Status

FollowFeed = Callable[[PlaneClient, int], AsyncIterator[Item]]
STATUS_GAP_SECONDS = 1.0


def follow_feed(client: PlaneClient, after: int) -> AsyncIterator[Item]:
    """Follow the plane's own feed."""
    return Feed(client.address, after=after).follow()


@dataclass
class Heard:
    """What the link tells the console."""

    events: Callable[[Sequence[EventRow]], None]
    everything: Callable[[], None]
    """Too much was missed: all must be read again."""
    lost: Callable[[str], None]
    found: Callable[[], None]


class Link:
    """Keeps `status`, and `offline` in words while the plane does not answer."""

    def __init__(
        self,
        client: PlaneClient,
        clock: Clock,
        refresh: Refresh,
        heard: Heard,
        follow: FollowFeed = follow_feed,
    ) -> None:
        self.client = client
        self.status: Status | None = None
        self.offline: str | None = None
        self._clock = clock
        self._refresh = refresh
        self._heard = heard
        self._follow = follow
        self._ahead = 0
        self._status_dirty = True
        self._status_read = float("-inf")
        self._reading = False

    def now(self) -> int:
        """Return the time by the plane's clock, in microseconds."""
        return self._clock.now() + self._ahead

    def status_due(self, now: float) -> bool:
        """Whether the status should be read again now."""
        gap = STATUS_GAP_SECONDS if self._status_dirty else STATUS_SECONDS
        return not self._reading and now - self._status_read >= gap

    async def read_status(self, now: float) -> bool:
        """Read the status; tell whether the plane answered."""
        self._reading, self._status_dirty, self._status_read = True, False, now
        try:
            self.take_status(await self.client.status())
        except WatchkeeperError as error:
            self._fail(error)
            return False
        finally:
            self._reading = False
        self._return()
        return True

    def take_status(self, status: Status) -> None:
        """Take a status, and the plane's clock with it."""
        self._ahead = status.now - self._clock.now()
        self.status = status

    async def follow(self) -> None:
        """Follow the feed for as long as the console runs."""
        after = 0 if self.status is None else self.status.sequence
        async for item in self._follow(self.client, after):
            if isinstance(item, Events):
                self._status_dirty = True
                self._heard.events(item.events)
            elif isinstance(item, Resync):
                self._status_dirty = True
                self._heard.everything()
            elif isinstance(item, Connection):
                self._connection(item)

    def _connection(self, connection: Connection) -> None:
        if connection.state == "live":
            self._return()
        elif connection.error is not None:
            self._fail(connection.error)

    def _fail(self, error: WatchkeeperError) -> None:
        self._refresh.failed()
        refused = isinstance(error, Unauthenticated | Forbidden)
        words = str(error) if refused else f"the plane does not answer ({error.message})"
        first, self.offline = self.offline is None, words
        if first:
            self._heard.lost(words)

    def _return(self) -> None:
        if self.offline is not None:
            self.offline = None
            self._status_dirty = True
            self._heard.found()
