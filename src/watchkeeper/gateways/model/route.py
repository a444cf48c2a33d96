"""Where a logical model is served, and what it costs there."""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.core.money import price
from watchkeeper.tools.upstreams.model import Credential


@dataclass(frozen=True, slots=True)
class Route:
    """A provider's model behind a logical one. Prices in micro-dollars per million tokens."""

    provider: str
    base_url: str
    credential: Credential | None
    provider_model: str
    input_micros_per_million: int
    output_micros_per_million: int
    context_window: int
    timeout_seconds: float = 120
    allow_private: bool = False
    """Whether the provider's host name may lead inside a private network."""

    def cost_micros(self, input_tokens: int, output_tokens: int) -> int:
        """Return the price of a call in micro-dollars, rounded up."""
        return price(
            input_tokens,
            output_tokens,
            self.input_micros_per_million,
            self.output_micros_per_million,
        )
