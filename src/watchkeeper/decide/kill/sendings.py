"""Model calls that providers are asked right now, so that a lock on a provider cuts them there.

The call itself goes on where it has another target; so what is cut is its sending.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Sending:
    """One call at one provider, until its block is left; `cancelled` is the lock that cut it."""

    decision: str
    provider: str
    cancel: Callable[[], object]
    among: set[Sending] = field(repr=False)
    cancelled: str | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __enter__(self) -> Sending:
        self.among.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.among.discard(self)
        self.ended.set()


class Sendings:
    """Every call at a provider."""

    def __init__(self) -> None:
        self._sendings: set[Sending] = set()

    def send(self, decision: str, provider: str, cancel: Callable[[], object]) -> Sending:
        """Return what registers a sending while its block runs; a kill calls `cancel`."""
        return Sending(decision, provider, cancel, self._sendings)

    def at(self, provider: str) -> list[Sending]:
        """Return what a provider is asked right now."""
        return [one for one in self._sendings if one.provider == provider]
