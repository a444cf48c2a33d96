"""Sending callbacks: signed as Standard Webhooks, to declared addresses, never redirected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from watchkeeper import __version__
from watchkeeper.approvals.rows import find_or_none
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.digest import digest
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.catalogue import Catalogue, CatalogueView
from watchkeeper.decide.gates.kill import words_of
from watchkeeper.decide.kill.locks import lock_on_request
from watchkeeper.decide.notices.callbacks import tells_of_approval
from watchkeeper.outbox.keys import WebhookKey
from watchkeeper.outbox.model import Attempt, Delivery, Target
from watchkeeper.outbox.reading import lost
from watchkeeper.outbox.signatures import (
    read_secrets,
    sign_with_keys,
    sign_with_secrets,
    signed_bytes,
)
from watchkeeper.outbox.targets import all_off, turn_off, why_off
from watchkeeper.registry.watch import Webhook
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.tools.upstreams.model import Sending, UpstreamFailure
from watchkeeper.wire.deliveries import DeliveryKind

ANSWER_SECONDS = 15.0
HELD_SECONDS = 30
"""How long until an approval that a lock covers is looked at again."""
_GONE = 410
_OK = range(200, 300)
_REDIRECTS = range(300, 400)
ReadSecret = Callable[[str], Awaitable[str]]
"""Takes a credential reference; raises `Unavailable` when there is no value."""


class Webhooks:
    """The handler of webhook deliveries."""

    together = 1

    def __init__(
        self,
        store: Store,
        view: CatalogueView,
        egress: Egress,
        read_secret: ReadSecret,
        key: WebhookKey,
        switched_off: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`switched_off` says why everything is stopped, if it is."""
        self._store = store
        self._switched_off = switched_off
        self._view = view
        self._egress = egress
        self._read_secret = read_secret
        self._key = key

    async def send(self, deliveries: Sequence[Delivery]) -> Sequence[Attempt]:
        """Send each; return how each went."""
        return [await self._send(one) for one in deliveries]

    async def _send(self, one: Delivery) -> Attempt:
        webhook = self._view.now.webhooks.get(one.target)
        if webhook is None:
            return Attempt("refused", None, f"no webhook {one.target} is in force")
        document = digest_of(webhook)
        off = await self._store.read(lambda tx: why_off(tx, "webhook", one.target, document))
        if off is not None:
            return Attempt("refused", None, off)
        try:
            headers = await self._headers(webhook, one)
        except WatchkeeperError as error:
            return Attempt("retry", None, error.message)
        held = await self._store.read(lambda tx: self._held(tx, one))
        if held is not None:
            return held
        sending = Sending()
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                self._egress.post(
                    webhook.url,
                    one.payload.encode(),
                    headers,
                    sending,
                    allow_private=webhook.allow_private,
                ) as response,
            ):
                # what it says beside the status is nobody's business: it is not read
                status, after = response.status, response.headers.get("retry-after")
        except UpstreamFailure as failure:
            return Attempt("retry", None, failure.message)
        except TimeoutError:
            return Attempt("retry", None, f"no answer in {ANSWER_SECONDS:g} s")
        if status == _GONE:
            await self._turn_off(one.target, document)
        return judge(status, after, self._store.clock.now())

    def _held(self, tx: Transaction, one: Delivery) -> Attempt | None:
        """Say why a callback does not go out now: on an approval somebody acts, and a lock covers
        that. None: it may go out.
        """
        if one.request is None or not tells_of_approval(one.payload):
            return None
        why = self._switched_off()
        if why is not None:
            return _held_back(f"everything is stopped: {why}")
        row = find_or_none(tx, one.request)
        if row is None or row.state == "revoked":
            return Attempt("moot")
        lock = lock_on_request(tx, self._view.now, row.request, row.run, row.agent, row.tool)
        return _held_back(words_of(lock)) if lock is not None else None

    async def _headers(self, webhook: Webhook, one: Delivery) -> dict[str, str]:
        at = self._store.clock.now() // MICROSECONDS
        signed = signed_bytes(one.id, at, one.payload.encode())
        if webhook.secret is not None:
            secrets = read_secrets(await self._read_secret(webhook.secret))
            signature = sign_with_secrets(secrets, signed)
        else:
            signature = sign_with_keys([await self._key.private()], signed)
        return {
            "content-type": "application/json",
            "user-agent": f"Watchkeeper/{__version__}",
            "webhook-id": one.id,
            "webhook-timestamp": str(at),
            "webhook-signature": signature,
        }

    async def _turn_off(self, target: str, document: str) -> None:
        why = "it answered 410: gone"
        await self._store.write(
            lambda tx: turn_off(tx, "webhook", target, digest=document, why=why)
        )


def _held_back(why: str) -> Attempt:
    return Attempt("later", None, f"held back: {why}", after_seconds=HELD_SECONDS)


@dataclass(frozen=True, slots=True)
class Undelivered:
    """What a target was not told, or perhaps not."""

    kind: DeliveryKind
    target: str
    dead: int
    unknown: int
    since: int
    off: str | None
    """Why it is told nothing more, if so."""
    error: str | None


def find_undelivered(tx: Transaction, catalogue: Catalogue) -> list[Undelivered]:
    """Return what was given up or is unknown, by target, and the webhooks that are off."""
    found: dict[Target, dict[str, Any]] = {}
    for row in lost(tx):
        one = found.setdefault((row.kind, row.target), _nothing(row.since))
        one[row.state] += row.many
        one["since"] = min(one["since"], row.since)
        one["error"] = row.error or one["error"]
    for row in all_off(tx):
        webhook = catalogue.webhooks.get(row.target)
        if row.kind == "webhook" and webhook is not None and digest_of(webhook) == row.digest:
            one = found.setdefault((row.kind, row.target), _nothing(row.since))
            one |= {"off": row.why, "error": None}
    return [Undelivered(kind, target, **one) for (kind, target), one in found.items()]


def _nothing(since: int) -> dict[str, Any]:
    return {"dead": 0, "unknown": 0, "since": since, "off": None, "error": None}


def digest_of(webhook: Webhook) -> str:
    """Return the digest of a webhook's document: another document is told again."""
    return digest("watchkeeper/webhook/v1", webhook.model_dump(mode="json"))


def judge(status: int, after: str | None, now: int) -> Attempt:
    """Say what an HTTP status makes of an attempt; `after` is the `Retry-After` header."""
    if status in _OK:
        return Attempt("sent", status)
    if status == _GONE:
        return Attempt("refused", status, "it answered 410: gone")
    error = f"it answered HTTP {status}"
    if status in _REDIRECTS:
        error += ", and redirects are not followed"
    return Attempt("retry", status, error, read_retry_after(after, now))


def read_retry_after(text: str | None, now: int) -> int | None:
    """Return in how many seconds a receiver asks to be tried again (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    text = text.strip()[:64]
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0, int(at.timestamp()) - now // MICROSECONDS) if at.tzinfo else None
