"""The HTTP library behind the clients; nothing else in this room knows which one it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchkeeper.client.address import Address
from watchkeeper.core.errors import Unavailable

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 15.0


@dataclass(frozen=True)
class Reply:
    """An answer as it came: status, media type and bytes."""

    status: int
    media_type: str
    body: bytes


class Transport:
    """One connection pool to one plane.

    Every method raises :class:`Unavailable` when the plane cannot be reached, does not
    answer in time, or breaks off.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._client: httpx.AsyncClient | None = None

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        token: str | None = None,
        wait_seconds: float = 0,
        kind: str = "application/json",
    ) -> Reply:
        """Send one request; `wait_seconds` is how long the plane may hold it on purpose."""
        import httpx

        try:
            answer = await self._open().request(
                method,
                path,
                params=params,
                content=body,
                headers=self._headers(token, body, kind),
                timeout=httpx.Timeout(ANSWER_SECONDS + wait_seconds, connect=CONNECT_SECONDS),
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise unreachable(self.address, error) from error
        return Reply(answer.status_code, answer.headers.get("content-type", ""), answer.content)

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        silence_seconds: float = 45.0,
    ) -> AsyncIterator[tuple[Reply, AsyncIterator[bytes]]]:
        """Open an answer that goes on; the reply has a body only if its status is an error.

        Ends with :class:`Unavailable` when nothing comes for `silence_seconds`.
        """
        import httpx

        timeout = httpx.Timeout(silence_seconds, connect=CONNECT_SECONDS)
        sent = {**self._headers(None, None), **(headers or {})}
        try:
            async with self._open().stream(
                "GET", path, params=params, headers=sent, timeout=timeout
            ) as answer:
                failed = answer.status_code >= 400
                body = await answer.aread() if failed else b""
                media_type = answer.headers.get("content-type", "")
                yield Reply(answer.status_code, media_type, body), answer.aiter_bytes()
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise unreachable(self.address, error) from error

    async def close(self) -> None:
        """Give the connections back; the transport may be used again afterwards."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            import httpx

            limits = httpx.Limits(max_connections=64, max_keepalive_connections=16)
            socket = self.address.socket
            self._client = httpx.AsyncClient(
                base_url=self.address.base_url,
                # environment proxies would carry tokens to places nobody chose
                trust_env=False,
                transport=httpx.AsyncHTTPTransport(
                    uds=str(socket) if socket is not None else None,
                    limits=limits,
                    trust_env=False,
                ),
            )
        return self._client

    def _headers(
        self, token: str | None, body: bytes | None, kind: str = "application/json"
    ) -> dict[str, str]:
        headers = {"accept": "application/json", "user-agent": "watchkeeper"}
        bearer = token or self.address.token
        if bearer:
            headers["authorization"] = f"Bearer {bearer}"
        if body is not None:
            headers["content-type"] = kind
        return headers


def unreachable(address: Address, error: Exception) -> Unavailable:
    """Say that the plane at `address` does not answer, and what to do about it."""
    import httpx

    late = isinstance(error, httpx.ReadTimeout)
    cause: Any = "no answer in time" if late else str(error) or type(error).__name__
    if late:
        remedy = "it hangs, or has too much to do; what was asked for may still be done"
    elif address.socket is not None:
        remedy = "start it with `watchkeeper serve`, or look into plane.log beside the socket"
    else:
        remedy = "check the address and the network; the plane itself may go on"
    return Unavailable(
        f"the plane does not answer at {address.text} ({cause})",
        code="plane_unreachable",
        remedy=remedy,
    )
