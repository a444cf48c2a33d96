"""What every call of every provider shares: the way out, credentials, figures, retry budgets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Literal

from watchkeeper.core.chance import Chance, SystemChance
from watchkeeper.core.clock import Clock
from watchkeeper.gateways.model.route import Route
from watchkeeper.models.retries import RetryBudget, backoff_seconds
from watchkeeper.models.statistics import Health, Statistics
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.tools.upstreams.supervision import OnState
from watchkeeper.wire.plane import UpstreamRow

Fault = Literal["provider", "limit", "model", "caller"]
"""What a failure says: the provider is not well; it is, and limits the rate; it is, and has no
such model; nothing, since the caller did not read its answer."""
LONGEST_WAIT_SECONDS = 5.0
"""A provider that says to come back later than this is left for the next target."""


class Providers:
    """The providers of a plane, as calls meet them."""

    def __init__(
        self,
        egress: Egress,
        credentials: Credentials,
        statistics: Statistics,
        clock: Clock,
        on_state: OnState | None = None,
        *,
        chance: Chance | None = None,
    ) -> None:
        self.egress = egress
        self.credentials = credentials
        self.statistics = statistics
        self._clock = clock
        self._on_state = on_state
        self._chance = chance or SystemChance()
        self._retries: dict[str, RetryBudget] = {}
        self.wait: Callable[[float], Awaitable[None]] = asyncio.sleep
        """How a retry waits, in seconds."""

    def begin(self, route: Route, *, again: bool) -> Noting:
        """Note that a call is sent."""
        now = self._clock.now()
        self.statistics.begin(route.provider, route.provider_model, now, again=again)
        if not again:
            self._budget(route).note_call(now)
        return Noting(self, route)

    def fell_back(self, route: Route) -> None:
        """Note that another target is asked after this one."""
        self.statistics.fell_back(route.provider, route.provider_model, self._clock.now())

    async def wait_to_retry(self, route: Route, number: int, after_seconds: float | None) -> bool:
        """Wait before the sending of this number (2: the first retry); False: there is to be
        none, because the provider wants more time or its retry budget is spent.
        """
        if after_seconds is not None and after_seconds > LONGEST_WAIT_SECONDS:
            return False
        if not self._budget(route).take(self._clock.now(), route.retry_percent):
            return False
        backoff = backoff_seconds(number, route.backoff_seconds, self._chance.fraction())
        await self.wait(max(after_seconds or 0.0, min(backoff, LONGEST_WAIT_SECONDS)))
        return True

    def keep(self, providers: Collection[str]) -> None:
        """Forget every other provider."""
        self.statistics.keep(providers)
        self._retries = {name: one for name, one in self._retries.items() if name in providers}

    def rows(self, providers: Collection[str]) -> list[UpstreamRow]:
        """Return how these providers do, by name."""
        found = [(name, self.statistics.health(name)) for name in sorted(providers)]
        return [
            UpstreamRow(
                name=name,
                kind="model",
                state=health.state,
                detail=health.detail,
                since=health.since,
            )
            for name, health in found
        ]

    def now(self) -> int:
        """Return the time, in microseconds."""
        return self._clock.now()

    def turned(self, provider: str, before: Health, after: Health | None) -> None:
        """Tell who wants to know that a provider's health has changed."""
        # a provider that was never seen failing is news to nobody
        if after is None or self._on_state is None:
            return
        if before.state != "unknown" or after.state == "down":
            self._on_state(provider, after.state, after.detail)

    def _budget(self, route: Route) -> RetryBudget:
        budget = self._retries.get(route.provider)
        if budget is None:
            budget = self._retries[route.provider] = RetryBudget()
        return budget


@dataclass(slots=True)
class Noting:
    """Notes once how one sending ended. Times in seconds."""

    _providers: Providers
    _route: Route

    def well(self, latency: float, first_token: float | None) -> None:
        """It was answered."""
        statistics, route = self._providers.statistics, self._route
        before = statistics.health(route.provider)
        after = statistics.well(
            route.provider,
            route.provider_model,
            self._providers.now(),
            latency_ms=latency * 1000,
            first_token_ms=None if first_token is None else first_token * 1000,
        )
        self._providers.turned(route.provider, before, after)

    def failed(self, why: str, fault: Fault, lasting: bool, seconds: float) -> None:
        """It was not; for so many seconds, where the provider limits the rate."""
        if fault == "caller":
            self.dropped()
            return
        statistics, route, now = self._providers.statistics, self._route, self._providers.now()
        if fault != "provider":
            spared = seconds if fault == "limit" else 0.0
            statistics.limited(route.provider, route.provider_model, now, spared)
            return
        before = statistics.health(route.provider)
        after = statistics.failed(route.provider, route.provider_model, now, why, lasting=lasting)
        self._providers.turned(route.provider, before, after)

    def dropped(self) -> None:
        """It ended without a word on the provider."""
        self._providers.statistics.dropped(self._route.provider, self._route.provider_model)
