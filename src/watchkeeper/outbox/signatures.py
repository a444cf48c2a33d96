"""Signatures as Standard Webhooks 1.0 write them, by a shared secret or an Ed25519 key."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Protocol

from watchkeeper.core.errors import Invalid

SECRET_PREFIX = "whsec_"  # noqa: S105 - the form of one, not one
PUBLIC_PREFIX = "whpk_"
_SHORTEST, _LONGEST = 24, 64
MOST_SECRETS = 3


class Signing(Protocol):
    """An Ed25519 private key."""

    def sign(self, data: bytes, /) -> bytes:
        """Return the signature of some bytes."""
        ...


def read_secrets(text: str) -> tuple[bytes, ...]:
    """Read one or more `whsec_…` secrets, separated by spaces; while they are changed, both sign.

    Raises `Invalid`, without a word of what was read.
    """
    found = []
    for part in text.split():
        try:
            raw = base64.b64decode(part.removeprefix(SECRET_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not part.startswith(SECRET_PREFIX) or not _SHORTEST <= len(raw) <= _LONGEST:
            raise Invalid(
                f"a webhook's secret is {SECRET_PREFIX} and the base64 of {_SHORTEST} to "
                f"{_LONGEST} bytes",
                remedy="watchkeeper webhooks secret",
            )
        found.append(raw)
    if not 1 <= len(found) <= MOST_SECRETS:
        raise Invalid(f"a webhook has 1 to {MOST_SECRETS} secrets at a time")
    return tuple(found)


def write_public(raw: bytes) -> str:
    """Return the public half of an Ed25519 key as receivers are given it."""
    return PUBLIC_PREFIX + base64.b64encode(raw).decode()


def signed_bytes(id_: str, at_seconds: int, body: bytes) -> bytes:
    """Return what is signed: the id, the time of the attempt (Unix seconds) and the body."""
    return f"{id_}.{at_seconds}.".encode() + body


def sign_with_secrets(secrets: Iterable[bytes], signed: bytes) -> str:
    """Return the `webhook-signature` by shared secrets (HMAC-SHA256)."""
    return " ".join(
        "v1," + base64.b64encode(hmac.digest(secret, signed, sha256)).decode() for secret in secrets
    )


def sign_with_keys(keys: Iterable[Signing], signed: bytes) -> str:
    """Return the `webhook-signature` by Ed25519 keys."""
    return " ".join("v1a," + base64.b64encode(key.sign(signed)).decode() for key in keys)
