"""Where a logical model is served, and what it costs there."""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.models.prices import Price
from watchkeeper.tools.upstreams.model import Credential
from watchkeeper.wire.decisions import Usage


@dataclass(frozen=True, slots=True)
class Route:
    """A provider's model behind a logical one."""

    provider: str
    base_url: str
    credential: Credential | None
    provider_model: str
    price: Price | None
    """None: nobody knows."""
    context_window: int
    timeout_seconds: float = 120
    allow_private: bool = False
    """Whether the provider's host name may lead inside a private network."""

    def most_micros(self, input_tokens: int, output_tokens: int) -> int:
        """Return what a call costs at most that uses no more than so much, in micro-dollars."""
        return self.price.dearest(input_tokens, output_tokens) if self.price else 0

    def cost_micros(self, usage: Usage) -> int:
        """Return what a call cost that used so much, in micro-dollars."""
        return self.price.cost(usage) if self.price else 0
