"""Logging in by device (RFC 8628): the person types a code at the issuer, the plane asks it.

The device code stays in this plane's memory: a login that a plane forgets is begun again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS, Clock
from watchkeeper.core.errors import TooMany, Unauthenticated, Unavailable
from watchkeeper.core.text import make_safe
from watchkeeper.identity.issuers import Issuers, Trusted
from watchkeeper.identity.jwt import Claims
from watchkeeper.identity.logins import refused
from watchkeeper.identity.proofs import subject_of

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
USUAL_INTERVAL, LONGEST_INTERVAL = 5, 60
"""Seconds between questions to the issuer."""
LONGEST_SECONDS = 1800
MOST_PENDING = 100
_SLOWER = 5
_OK = 200
_REASONS = {
    "access_denied": "the login was declined at the issuer",
    "expired_token": "the code was not confirmed in time",
}

Ask = Callable[[str, Mapping[str, str], bool], Awaitable[tuple[int, Any]]]
"""Posts a form to a declared URL and returns status and JSON; the flag allows private
addresses. Raises `Unavailable`."""


@dataclass(frozen=True, slots=True)
class DeviceIssuer:
    """An issuer of people with the plane's client there."""

    trusted: Trusted
    client_id: str
    device_authorization_url: str
    token_url: str
    person_claim: str


@dataclass(slots=True)
class Pending:
    """A login that waits for its person. Times in microseconds."""

    issuer: DeviceIssuer
    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_at: int
    interval_seconds: float
    next_at: int
    asking: bool = False


@dataclass(frozen=True, slots=True)
class Proven:
    """Who somebody is at an issuer."""

    issuer: str
    subject: str


class DeviceLogins:
    """The logins by device that this plane waits for."""

    def __init__(self, clock: Clock, issuers: Issuers, ask: Ask) -> None:
        self._clock = clock
        self._issuers = issuers
        self._ask = ask
        self._pending: dict[str, Pending] = {}

    async def begin(self, issuer: DeviceIssuer) -> tuple[str, Pending]:
        """Ask an issuer for a code; return the login's secret name with what to show.

        Raises `Unavailable` if the issuer gives none, `TooMany` if too many wait.
        """
        self._forget_expired()
        if len(self._pending) >= MOST_PENDING:
            raise TooMany("too many logins wait for their person", rule="identity/login-attempts")
        form = {"client_id": issuer.client_id, "scope": "openid profile email"}
        status, answer = await self._ask(
            issuer.device_authorization_url, form, issuer.trusted.allow_private
        )
        if status != _OK or not isinstance(answer, dict):
            raise _odd(issuer, f"it answered HTTP {status}")
        pending = self._read(issuer, answer)
        login = ids.secret("wkd")
        self._pending[ids.hash_secret(login)] = pending
        return login, pending

    async def poll(self, login: str) -> Pending | Proven:
        """Ask the issuer whether its person has confirmed, as often as it allows.

        Raises `Unauthenticated` once it will not be: declined, expired, or not as it must be.
        """
        key, now = ids.hash_secret(login), self._clock.now()
        pending = self._pending.get(key)
        if pending is None:
            raise refused()
        if now >= pending.expires_at:
            del self._pending[key]
            raise _ended("expired_token")
        if pending.asking or now < pending.next_at:
            return pending
        pending.asking = True
        try:
            found = await self._exchange(pending)
        except BaseException:
            self._pending.pop(key, None)
            raise
        finally:
            pending.asking = False
            pending.next_at = self._clock.now() + round(pending.interval_seconds * MICROSECONDS)
        if isinstance(found, Proven):
            self._pending.pop(key, None)
        return found

    async def _exchange(self, pending: Pending) -> Pending | Proven:
        issuer = pending.issuer
        form = {
            "grant_type": GRANT,
            "device_code": pending.device_code,
            "client_id": issuer.client_id,
        }
        try:
            status, answer = await self._ask(issuer.token_url, form, issuer.trusted.allow_private)
        except Unavailable:
            # RFC 8628, 3.5: what times out is asked less often
            pending.interval_seconds = min(pending.interval_seconds * 2, LONGEST_INTERVAL)
            return pending
        said = answer if isinstance(answer, dict) else {}
        if status == _OK:
            token = said.get("id_token")
            if not isinstance(token, str):
                raise refused()
            claims = await self._issuers.verify(
                token, issuer.trusted, audiences=(issuer.client_id,)
            )
            return Proven(issuer.trusted.name, _subject(claims, issuer))
        error = said.get("error")
        if error == "slow_down":
            pending.interval_seconds = min(pending.interval_seconds + _SLOWER, LONGEST_INTERVAL)
        if error in ("slow_down", "authorization_pending"):
            return pending
        raise _ended(error)

    def _read(self, issuer: DeviceIssuer, answer: Mapping[str, Any]) -> Pending:
        code, shown = answer.get("device_code"), answer.get("user_code")
        if not isinstance(code, str) or not 0 < len(code) <= 4096:
            raise _odd(issuer, "it gave no device code")
        if not isinstance(shown, str) or not 0 < len(shown) <= 64:
            raise _odd(issuer, "it gave no code to type")
        # an older draft, still in use, says verification_url
        uri = _web(answer.get("verification_uri", answer.get("verification_url")))
        if uri is None:
            raise _odd(issuer, "it gave no address to open")
        seconds = _number(answer.get("expires_in"), LONGEST_SECONDS, 1, LONGEST_SECONDS)
        interval = _number(answer.get("interval"), USUAL_INTERVAL, 1, LONGEST_INTERVAL)
        now = self._clock.now()
        return Pending(
            issuer=issuer,
            device_code=code,
            user_code=make_safe(shown),
            verification_uri=uri,
            verification_uri_complete=_web(answer.get("verification_uri_complete")),
            expires_at=now + round(seconds * MICROSECONDS),
            interval_seconds=interval,
            next_at=now + round(interval * MICROSECONDS),
        )

    def _forget_expired(self) -> None:
        now = self._clock.now()
        for key in [key for key, one in self._pending.items() if now >= one.expires_at]:
            del self._pending[key]


def _subject(claims: Claims, issuer: DeviceIssuer) -> str:
    """Return the claim that people are known by; raise `Unauthenticated` if it does not do."""
    audience, party = claims.all.get("aud"), claims.all.get("azp")
    if isinstance(audience, list) and len(audience) > 1 and party != issuer.client_id:
        raise refused()  # OpenID Connect Core, 3.1.3.7: issued to another of its audiences
    subject = subject_of(claims.all, issuer.person_claim)
    if subject is None:
        raise refused()
    return subject


def _web(value: object) -> str | None:
    """Return a web address that is safe to show, or None for anything else."""
    if not isinstance(value, str) or len(value) > 500:
        return None
    if not value.startswith(("https://", "http://")) or make_safe(value) != value:
        return None
    return value


def _number(value: object, usual: float, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return usual
    return max(least, min(float(value), most))


def _odd(issuer: DeviceIssuer, why: str) -> Unavailable:
    return Unavailable(
        f"issuer {issuer.trusted.name} starts no login: {why}",
        rule="identity/login",
        remedy="check its device_authorization_url and client_id",
    )


def _ended(error: object) -> Unauthenticated:
    return Unauthenticated(
        _REASONS.get(str(error), "the issuer refused the login"),
        rule="identity/login",
        remedy="log in again with `watchkeeper login`",
    )
