"""What the gateways need of the decision path; `decide` provides it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from watchkeeper.identity.model import Caller
from watchkeeper.wire.decisions import Answer, Ask, Outcome

__all__ = ["Caller", "Decisions", "InFlight"]


class InFlight(Protocol):
    """An action being performed."""

    @property
    def cancelled_by(self) -> str | None:
        """The lock that stopped it, if one did."""


class Decisions(Protocol):
    """The decision path as a gateway sees it."""

    async def identify(self, token: str) -> Caller:
        """Return whose run token this is now; raise `Unauthenticated` or `Unavailable`."""

    def recall(self, token: str) -> Caller | None:
        """Return whose run token this was when last seen; it may have been revoked since."""

    async def decide(self, token: str, ask: Ask, *, wait_seconds: float = 0) -> Answer:
        """Permit, hold or deny; raise `Unauthenticated` or `Unavailable`."""

    async def wait(self, request: str, seconds: float) -> None:
        """Return when an approval request is decided, or after `seconds`."""

    async def settle(self, decision: str, outcome: Outcome, *, token: str | None = None) -> None:
        """Record how a permitted action ended; only the first outcome counts."""

    def in_flight(
        self, decision: str, cancel: Callable[[], None]
    ) -> AbstractContextManager[InFlight]:
        """Register what is being performed, so that a kill can cancel it."""
