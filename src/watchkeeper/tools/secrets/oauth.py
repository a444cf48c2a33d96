"""Tokens that the plane fetches for upstreams with a client of its own.

Client credentials grant (RFC 6749, 4.4) with `client_secret_basic` (2.3.1) and, where the
document names one, a resource indicator (RFC 8707).
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from watchkeeper.core.clock import MICROSECONDS, Clock
from watchkeeper.core.errors import Unavailable
from watchkeeper.core.text import make_safe
from watchkeeper.tools.secrets.known import KnownValues
from watchkeeper.tools.upstreams.egress import Egress, ask_json
from watchkeeper.tools.upstreams.model import OAuthClient

_AHEAD_SECONDS = 30
_USUAL_SECONDS = 300
_LONGEST_SECONDS = 86_400
_FIRST_PAUSE = 1
_LONGEST_PAUSE = 60
_ANSWER_BYTES = 64 * 1024
_LONGEST_TOKEN = 16_384
_OK = 200


@dataclass(slots=True)
class _Fetched:
    """What is known of one client; `until` and `again` are microseconds."""

    turn: asyncio.Lock
    token: str = ""
    until: int = 0
    failures: int = 0
    again: int = 0
    error: Unavailable | None = None


class OAuthTokens:
    """Keeps one token for each client until shortly before it expires."""

    def __init__(
        self,
        egress: Egress,
        clock: Clock,
        read_secret: Callable[[str], Awaitable[str]],
        known: KnownValues,
    ) -> None:
        self._egress = egress
        self._clock = clock
        self._read_secret = read_secret
        self._known = known
        self._fetched: dict[OAuthClient, _Fetched] = {}

    async def token(self, client: OAuthClient) -> str:
        """Return an access token; raise `Unavailable` when the issuer gives none.

        One fetch runs at a time; after a failure the next waits 1, 2, 4 … 60 seconds, and in
        between everybody is told of that failure.
        """
        one = self._fetched.setdefault(client, _Fetched(asyncio.Lock()))
        if self._clock.now() < one.until:
            return one.token
        async with one.turn:
            now = self._clock.now()
            if now < one.until:
                return one.token
            if one.error is not None and now < one.again:
                raise _copy(one.error)
            try:
                await self._fetch(client, one)
            except Unavailable as error:
                pause = min(_LONGEST_PAUSE, _FIRST_PAUSE << min(one.failures, 6))
                one.failures += 1
                one.again = self._clock.now() + pause * MICROSECONDS
                one.error = error
                raise _copy(error) from None
            one.failures, one.error = 0, None
            return one.token

    def refuse(self, client: OAuthClient, token: str) -> bool:
        """Forget a token that an upstream refused; False if it was replaced already or is gone."""
        one = self._fetched.get(client)
        if one is None or one.token != token:
            return False
        one.until = 0
        return True

    async def _fetch(self, client: OAuthClient, one: _Fetched) -> None:
        secret = await self._read_secret(client.client_secret)
        pair = f"{quote_plus(client.client_id)}:{quote_plus(secret)}"
        basic = base64.b64encode(pair.encode()).decode()
        self._known.remember(f"basic:{client.token_url}:{client.client_id}", basic)
        form = {"grant_type": "client_credentials"}
        if client.scope is not None:
            form["scope"] = client.scope
        if client.resource is not None:
            form["resource"] = client.resource
        began = self._clock.now()
        try:
            answer = await ask_json(
                self._egress, client.token_url, method="POST", form=form,
                headers={"authorization": f"Basic {basic}"}, limit=_ANSWER_BYTES,
                allow_private=client.allow_private,
            )  # fmt: skip
        except Unavailable as error:
            raise _failed(error.message) from None
        if answer.status != _OK or not isinstance(answer.value, dict):
            raise _failed(self._refusal(answer.status, answer.value))
        token, kind = answer.value.get("access_token"), answer.value.get("token_type")
        if not isinstance(token, str) or not 0 < len(token) <= _LONGEST_TOKEN or not (
            token.isascii() and token.isprintable()
        ):  # fmt: skip
            raise _failed("its answer holds no token")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise _failed("its token is not a bearer token")
        self._known.remember(f"oauth:{client.token_url}:{client.client_id}", token)
        one.token = token
        one.until = began + int(_keep_seconds(answer.value.get("expires_in")) * MICROSECONDS)

    def _refusal(self, status: int, value: Any) -> str:
        code = value.get("error") if isinstance(value, dict) else None
        if not isinstance(code, str):
            return f"it answered HTTP {status}"
        # before it is cut: half a secret would not be recognised
        return f"it answered HTTP {status} ({make_safe(self._known.redact_text(code), limit=60)})"


def _keep_seconds(expires_in: Any) -> float:
    """Return how long a token is used: until 30 s before its end, half of a very short life."""
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        return _USUAL_SECONDS
    life = min(max(float(expires_in), 0.0), _LONGEST_SECONDS)
    return life - _AHEAD_SECONDS if life > 2 * _AHEAD_SECONDS else life / 2


def _failed(why: str) -> Unavailable:
    return Unavailable(
        f"the token for this upstream cannot be fetched: {why}",
        code="oauth_unavailable",
        remedy="check token_url, client_id and client_secret of its credential",
    )


def _copy(error: Unavailable) -> Unavailable:
    """Return the same error anew: one object must not gather the traces of every caller."""
    return Unavailable(error.message, code=error.code, remedy=error.remedy)
