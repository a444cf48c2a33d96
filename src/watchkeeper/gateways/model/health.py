"""How each provider does, as the calls that agents make of it show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from watchkeeper.core.clock import Clock
from watchkeeper.core.text import make_safe
from watchkeeper.tools.upstreams.pool import OnState, State
from watchkeeper.wire.plane import UpstreamRow

_DETAIL = 300


@dataclass(frozen=True, slots=True)
class _Seen:
    state: State
    detail: str
    since: int


class ProviderHealth:
    """The last word on each provider; nothing is sent only to find out."""

    def __init__(self, clock: Clock, on_state: OnState | None) -> None:
        self._clock = clock
        self._on_state = on_state
        self._seen: dict[str, _Seen] = {}

    def note(self, provider: str, trouble: str | None) -> None:
        """Take how a call went: None for well, else what was wrong."""
        state: State = "up" if trouble is None else "down"
        before = self._seen.get(provider)
        if before is not None and before.state == state:
            return
        detail = make_safe(trouble or "", limit=_DETAIL)
        self._seen[provider] = _Seen(state, detail, self._clock.now())
        # a provider that was never seen failing is news to nobody
        if self._on_state is not None and (before is not None or state == "down"):
            self._on_state(provider, state, detail)

    def rows(self, providers: Iterable[str]) -> list[UpstreamRow]:
        """Return how these providers do, by name."""
        unseen = _Seen("unknown", "", 0)
        rows = []
        for name in sorted(providers):
            seen = self._seen.get(name, unseen)
            rows.append(
                UpstreamRow(
                    name=name,
                    kind="model",
                    state=seen.state,
                    detail=seen.detail,
                    since=seen.since or None,
                )
            )
        return rows
