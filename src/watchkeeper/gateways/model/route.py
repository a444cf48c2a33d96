"""Where a logical model is served, and what it costs there."""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.models.prices import Price
from watchkeeper.tools.upstreams.model import Credential
from watchkeeper.wire.decisions import LARGEST_USAGE, Usage


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
    attempts: int = 1
    """Sendings of one call to the provider."""
    retry_percent: int = 0
    """How much of its calls of the last minute may be sent again."""
    backoff_seconds: float = 0.25

    def most_micros(self, input_tokens: int, output_tokens: int, *, writes_cache: bool) -> int:
        """Return what a call costs at most that uses no more than so much, in micro-dollars."""
        if self.price is None:
            return 0
        return self.price.dearest(input_tokens, output_tokens, writes_cache=writes_cache)

    def most(self, input_tokens: int, output_tokens: int, *, writes_cache: bool) -> Usage:
        """Return the most that one sending may use."""
        cost = self.most_micros(input_tokens, output_tokens, writes_cache=writes_cache)
        return Usage(
            input_tokens=min(input_tokens, LARGEST_USAGE),
            output_tokens=min(output_tokens, LARGEST_USAGE),
            cost_micros=min(cost, LARGEST_USAGE),
        )

    def priced(self, usage: Usage) -> Usage:
        """Return what was used with what it cost."""
        cost = self.price.cost(usage) if self.price else 0
        return Usage(**{**usage.__dict__, "cost_micros": min(cost, LARGEST_USAGE)})
