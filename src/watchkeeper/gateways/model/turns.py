"""How many calls of one agent are under way: none takes the providers' connections of others."""

from __future__ import annotations

from collections import Counter

from watchkeeper.gateways.model.errors import ModelError

MOST_AT_ONCE = 64
"""Calls of one agent at a time, on all surfaces; a third of the connections to one host."""


class Turns:
    """Counts the calls of each agent that are under way."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()

    def take(self, agent: str) -> Turn:
        """Return what counts a call while its block runs; entering it raises `ModelError` for one
        too many.
        """
        return Turn(self._running, agent)


class Turn:
    """One call that is counted."""

    __slots__ = ("_agent", "_running")

    def __init__(self, running: Counter[str], agent: str) -> None:
        self._running = running
        self._agent = agent

    def __enter__(self) -> None:
        running, agent = self._running, self._agent
        if running[agent] >= MOST_AT_ONCE:
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
        running[agent] += 1

    def __exit__(self, *_: object) -> None:
        running, agent = self._running, self._agent
        running[agent] -= 1
        if not running[agent]:
            del running[agent]
