"""One conversation with a plane: sending, reading, and the errors it answers with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self
from urllib.parse import quote

from pydantic import BaseModel

from watchkeeper.client.address import Address
from watchkeeper.client.problems import Model, error_of, read
from watchkeeper.client.transport import Transport

Option = str | int | None


class Calls:
    """What the typed clients are made of."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.transport = Transport(address)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self.transport.close()

    async def _get(
        self, model: type[Model], path: str, /, *, wait_seconds: float = 0, **options: Option
    ) -> Model:
        reply = await self.transport.send(
            "GET", path, params=_params(options), wait_seconds=wait_seconds
        )
        return read(reply, model)

    async def _post(
        self, model: type[Model], path: str, body: BaseModel | None, *, wait_seconds: float = 0
    ) -> Model:
        sent = body.model_dump_json().encode() if body else b"{}"
        reply = await self.transport.send("POST", path, body=sent, wait_seconds=wait_seconds)
        return read(reply, model)

    async def _send_nothing(self, path: str, body: BaseModel | None = None) -> None:
        sent = body.model_dump_json(exclude_none=True).encode() if body else b"{}"
        reply = await self.transport.send("POST", path, body=sent)
        if reply.status >= 400:
            raise error_of(reply)


def path_part(text: str) -> str:
    """Quote one part of a path, slashes included."""
    return quote(text, safe="")


def _params(options: Mapping[str, Option]) -> dict[str, str]:
    return {name: str(value) for name, value in options.items() if value is not None}
