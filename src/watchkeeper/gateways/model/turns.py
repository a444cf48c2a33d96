"""How many calls of one agent are under way: none takes the providers' connections of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from watchkeeper.gateways.model.errors import ModelError

MOST_AT_ONCE = 64
"""Calls of one agent at a time, on all surfaces; a third of the connections to one host."""


class Turns:
    """Counts the calls of each agent that are under way."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()

    @contextmanager
    def take(self, agent: str) -> Iterator[None]:
        """Count a call while it is served; raise `ModelError` for one too many."""
        if self._running[agent] >= MOST_AT_ONCE:
            raise ModelError(
                429,
                "watchkeeper_rate",
                "too_many_at_once",
                f"DENIED by rule gateway/at-once: {agent} has {MOST_AT_ONCE} model calls under "
                "way, and no agent has more at a time. Allowed instead: the same call once one "
                "of them has ended.",
                retry=True,
                headers=((b"retry-after", b"1"),),
                rule="gateway/at-once",
            )
        self._running[agent] += 1
        try:
            yield
        finally:
            self._running[agent] -= 1
            if not self._running[agent]:
                del self._running[agent]
