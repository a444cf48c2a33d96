"""The typed client's part on callbacks and notices."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.base import Sent
from watchkeeper.wire.deliveries import DeliveryRow, Discard, Redrive, Redriven, WebhookKey
from watchkeeper.wire.pages import Page


class DeliveryCalls(Calls):
    """What others are told, and what became of it."""

    async def deliveries(
        self,
        *,
        state: str | None = None,
        kind: str | None = None,
        target: str | None = None,
        request: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[DeliveryRow]:
        """List deliveries, newest first; `state` may name several: `dead,unknown`."""
        return await self._get(
            Page[DeliveryRow],
            "/v1/deliveries",
            state=state,
            kind=kind,
            target=target,
            request=request,
            after=after,
            limit=limit,
        )

    async def redrive(self, delivery: str) -> DeliveryRow:
        """Send one again; raises `Conflict` unless it is dead or unknown."""
        return await self._post(
            DeliveryRow, f"/v1/deliveries/{path_part(delivery)}/redrive", Sent()
        )

    async def redrive_all(self, redrive: Redrive) -> Redriven:
        """Send again what was given up of a target."""
        return await self._post(Redriven, "/v1/deliveries/redrive", redrive)

    async def discard(self, delivery: str, discard: Discard) -> DeliveryRow:
        """Give one up for good."""
        return await self._post(
            DeliveryRow, f"/v1/deliveries/{path_part(delivery)}/discard", discard
        )

    async def webhook_key(self) -> WebhookKey:
        """Read the key that webhooks signed with ed25519 are verified with."""
        return await self._get(WebhookKey, "/v1/webhook-key")
