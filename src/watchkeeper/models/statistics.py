"""How providers and their models do: the last five minutes, in bounded memory.

Latencies are counted in buckets that each reach a tenth further than the one before, so a
percentile is at most a tenth above what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.text import make_safe

State = Literal["up", "down", "unknown"]
MINUTES = 5
_MINUTE_US = 60 * MICROSECONDS
_STEP = math.log(1.1)
_LONGEST_MS = 4 * 3_600_000
_DETAIL = 300
DOWN_AFTER = 2
"""Failed sendings in a row after which a provider is down."""
PROBE_SECONDS = 10
"""After its last failure; then one call is let through to see."""
LONGEST_LIMIT_SECONDS = 60
"""For how long a provider that limits the rate is spared at most, whatever it says."""
_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Figures:
    """What was seen in the last five minutes; times in milliseconds."""

    calls: int = 0
    errors: int = 0
    retries: int = 0
    fallbacks: int = 0
    latency_p50: int | None = None
    latency_p95: int | None = None
    first_token_p50: int | None = None
    first_token_p95: int | None = None
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What routing asks of a target."""

    down: bool = False
    """Not to be tried before others: it failed lately, or limits the rate now."""
    latency_p95: int | None = None
    """Of whole answers, in milliseconds; None: nothing was answered lately."""
    first_token_p95: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """The last word on a provider."""

    state: State = "unknown"
    detail: str = ""
    since: int | None = None


@dataclass(slots=True)
class _Minute:
    minute: int
    calls: int = 0
    errors: int = 0
    retries: int = 0
    fallbacks: int = 0
    latency: dict[int, int] = field(default_factory=dict)
    first_token: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Window:
    """The minutes that count, oldest first, and what runs now."""

    minutes: list[_Minute] = field(default_factory=list)
    in_flight: int = 0
    asked: tuple[int, Figures] = (-1, Figures())
    """Figures as they were in the second that is named."""

    def at(self, now: int) -> _Minute:
        minute = now // _MINUTE_US
        if not self.minutes or self.minutes[-1].minute < minute:
            self.minutes.append(_Minute(minute))
            self._drop(minute)
        return self.minutes[-1]

    def _drop(self, minute: int) -> None:
        while self.minutes and self.minutes[0].minute <= minute - MINUTES:
            del self.minutes[0]

    def figures(self, now: int) -> Figures:
        self._drop(now // _MINUTE_US)
        latency: dict[int, int] = {}
        first_token: dict[int, int] = {}
        for one in self.minutes:
            _add(latency, one.latency)
            _add(first_token, one.first_token)
        return Figures(
            calls=sum(one.calls for one in self.minutes),
            errors=sum(one.errors for one in self.minutes),
            retries=sum(one.retries for one in self.minutes),
            fallbacks=sum(one.fallbacks for one in self.minutes),
            latency_p50=_percentile(latency, 50),
            latency_p95=_percentile(latency, 95),
            first_token_p50=_percentile(first_token, 50),
            first_token_p95=_percentile(first_token, 95),
            in_flight=self.in_flight,
        )

    def lately(self, now: int) -> Figures:
        """Return the figures, counted again once a second: for what asks at each call."""
        second = now // MICROSECONDS
        if self.asked[0] != second:
            self.asked = (second, self.figures(now))
        return self.asked[1]


@dataclass(slots=True)
class _Seen:
    health: Health = Health()
    failures: int = 0
    """In a row."""
    failed_at: int = 0
    probing: int = 0
    limited_until: int = 0


class Statistics:
    """Live figures per provider, and per provider's model. Times in microseconds."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str | None], _Window] = {}
        self._seen: dict[str, _Seen] = {}

    def begin(self, provider: str, model: str, now: int, *, again: bool = False) -> None:
        """Note that a call is sent, or sent `again` to the same provider."""
        for window in self._both(provider, model):
            window.in_flight += 1
            minute = window.at(now)
            if again:
                minute.retries += 1
            else:
                minute.calls += 1
        seen = self._seen.setdefault(provider, _Seen())
        if seen.health.state == "down":
            seen.probing = now

    def well(
        self,
        provider: str,
        model: str,
        now: int,
        *,
        latency_ms: float,
        first_token_ms: float | None = None,
    ) -> Health | None:
        """Note that what began was answered; return the provider's health if that changed it."""
        for window in self._both(provider, model):
            window.in_flight -= 1
            minute = window.at(now)
            _count(minute.latency, latency_ms)
            if first_token_ms is not None:
                _count(minute.first_token, first_token_ms)
        seen = self._seen.setdefault(provider, _Seen())
        seen.failures = seen.probing = seen.limited_until = 0
        return self._turn(seen, "up", "", now)

    def failed(
        self, provider: str, model: str, now: int, why: str, *, lasting: bool = False
    ) -> Health | None:
        """Note that what began has failed; return the provider's health if that changed it.

        `lasting`: it will not do better by itself, so once is enough to be down.
        """
        self._count_error(provider, model, now)
        seen = self._seen.setdefault(provider, _Seen())
        seen.failures += 1
        seen.failed_at, seen.probing = now, 0
        if seen.failures < DOWN_AFTER and not lasting:
            return None
        return self._turn(seen, "down", why, now)

    def limited(self, provider: str, model: str, now: int, seconds: float) -> None:
        """Note that a provider refused a call for so long: it limits the rate, or has no such
        model (0 seconds). That is not down.
        """
        self._count_error(provider, model, now)
        seen = self._seen.setdefault(provider, _Seen())
        seen.probing = 0
        spared = min(max(0.0, seconds), LONGEST_LIMIT_SECONDS)
        seen.limited_until = now + int(spared * MICROSECONDS)

    def dropped(self, provider: str, model: str) -> None:
        """Note that what began ended without a word on the provider: its caller left, a kill."""
        for window in self._both(provider, model):
            window.in_flight -= 1
        self._seen.setdefault(provider, _Seen()).probing = 0

    def fell_back(self, provider: str, model: str, now: int) -> None:
        """Note that another target is asked because this one did not answer."""
        for window in self._both(provider, model):
            window.at(now).fallbacks += 1

    def figures(self, provider: str, model: str | None, now: int) -> Figures:
        """Return what was seen of a provider, or of one of its models."""
        window = self._windows.get((provider, model))
        return window.figures(now) if window else Figures()

    def health(self, provider: str) -> Health:
        """Return the last word on a provider."""
        seen = self._seen.get(provider)
        return seen.health if seen else Health()

    def standing(self, provider: str, model: str, now: int) -> Standing:
        """Return how a target does, for routing; cheap enough for each call."""
        window = self._windows.get((provider, model))
        figures = window.lately(now) if window else Figures()
        seen = self._seen.get(provider)
        down = seen is not None and (now < seen.limited_until or _is_down(seen, now))
        return Standing(down, figures.latency_p95, figures.first_token_p95)

    def keep(self, providers: Collection[str]) -> None:
        """Forget every other provider."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in providers}
        self._windows = {
            key: window
            for key, window in self._windows.items()
            if key[0] in providers or window.in_flight
        }

    def _both(self, provider: str, model: str) -> tuple[_Window, _Window]:
        windows = self._windows
        whole = windows.get((provider, None))
        if whole is None:
            whole = windows[(provider, None)] = _Window()
        one = windows.get((provider, model))
        if one is None:
            one = windows[(provider, model)] = _Window()
        return whole, one

    def _count_error(self, provider: str, model: str, now: int) -> None:
        for window in self._both(provider, model):
            window.in_flight -= 1
            window.at(now).errors += 1

    def _turn(self, seen: _Seen, state: State, detail: str, now: int) -> Health | None:
        if seen.health.state == state:
            return None
        seen.health = Health(state, make_safe(detail, limit=_DETAIL), now)
        return seen.health


def _is_down(seen: _Seen, now: int) -> bool:
    """Down, and no call is to find out now whether it still is."""
    if seen.health.state != "down":
        return False
    wait = PROBE_SECONDS * MICROSECONDS
    return now < max(seen.failed_at, seen.probing) + wait


def _count(buckets: dict[int, int], ms: float) -> None:
    bucket = math.ceil(math.log(min(max(1.0, ms), _LONGEST_MS)) / _STEP)
    buckets[bucket] = buckets.get(bucket, 0) + 1


def _add(total: dict[int, int], more: dict[int, int]) -> None:
    for bucket, count in more.items():
        total[bucket] = total.get(bucket, 0) + count


def _percentile(buckets: dict[int, int], percent: int) -> int | None:
    """Return the upper end of the bucket below which so many percent are."""
    rank = -(-sum(buckets.values()) * percent // _PERCENT)
    for bucket in sorted(buckets):
        rank -= buckets[bucket]
        if rank <= 0:
            return round(math.exp(bucket * _STEP))
    return None
