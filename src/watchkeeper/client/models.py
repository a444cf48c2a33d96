"""The typed client's part on providers, models and prices."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.models import KnownPrice, ModelRow, ProviderRow
from watchkeeper.wire.pages import Page


class ModelCalls(Calls):
    """Providers and how they do, models and where their calls went, known prices."""

    async def providers(self) -> Page[ProviderRow]:
        """List providers by name: health, latency and errors of the last five minutes."""
        return await self._get(Page[ProviderRow], "/v1/providers", wait_seconds=30)

    async def models(self) -> Page[ModelRow]:
        """List logical models by name, with what was called of them today."""
        return await self._get(Page[ModelRow], "/v1/models", wait_seconds=30)

    async def model(self, name: str) -> ModelRow:
        """Read one logical model, with why its calls of today went where they did."""
        return await self._get(ModelRow, f"/v1/models/{path_part(name)}", wait_seconds=30)

    async def known_prices(
        self, *, filter: str | None = None, limit: int | None = None
    ) -> Page[KnownPrice]:
        """Search the price data that comes with the plane."""
        return await self._get(
            Page[KnownPrice], "/v1/prices", filter=filter, limit=limit, wait_seconds=30
        )
