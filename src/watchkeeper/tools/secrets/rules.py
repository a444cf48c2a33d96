"""Sealing and opening: pure functions over keys, names and bytes.

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits. Name, version and key id are
authenticated with the value, so that a row cannot stand in for another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Invalid, Unavailable
from watchkeeper.tools.secrets.model import Sealed, SealingKey

NONCE_BYTES = 12
KEY_PREFIX = "wksk"
LONGEST_SECRET = 16_384
MOST_KEYS = 8
_KEY_BYTES = 32
_BETWEEN_KEYS = re.compile(r"[\s,]+")


def seal(key: SealingKey, name: str, version: int, value: str, nonce: bytes) -> bytes:
    """Return the sealed value; a nonce must never be used twice."""
    return AESGCM(key.material).encrypt(nonce, value.encode(), _bound(name, version, key.id))


def unseal(key: SealingKey, row: Sealed) -> str:
    """Return the value of a row; raise `Unavailable` if any part of it was changed."""
    try:
        value = AESGCM(key.material).decrypt(
            row.nonce, row.ciphertext, _bound(row.name, row.version, key.id)
        )
        return value.decode()
    except (InvalidTag, ValueError):
        raise Unavailable(
            f"the sealed secret {row.name!r} does not open: the store's copy was changed",
            code="sealed_secret_changed",
            remedy=f"put it again: watchkeeper secrets put {row.name}",
        ) from None


def _bound(name: str, version: int, key: str) -> bytes:
    return b"watchkeeper/sealed/v1\0" + canonical([name, version, key])


def check_value(value: str) -> str:
    """Return a secret without the line end it was read with.

    Raises `Invalid`, without the value in it, for what no header can carry.
    """
    value = value.strip("\r\n")
    if not value or len(value) > LONGEST_SECRET:
        raise Invalid(f"a secret has 1 to {LONGEST_SECRET} characters", where="value")
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise Invalid(
            "a secret is printable ASCII without spaces at its ends: others fit no header",
            where="value",
        )
    return value


def key_of(text: str) -> SealingKey:
    """Read a key: 32 bytes in base64 or hexadecimal. Raises `Invalid` without the key in it."""
    plain = text.removeprefix(f"{KEY_PREFIX}_")
    material = b""
    try:
        if re.fullmatch(r"[0-9A-Fa-f]{64}", plain):
            material = bytes.fromhex(plain)
        else:
            padded = plain.rstrip("=") + "=" * (-len(plain.rstrip("=")) % 4)
            material = base64.b64decode(padded, altchars=b"-_" if "+" not in padded
                                        and "/" not in padded else None, validate=True)  # fmt: skip
    except (binascii.Error, ValueError):
        material = b""
    if len(material) != _KEY_BYTES:
        raise Invalid(
            "a sealing key is 32 bytes in base64 or hexadecimal",
            remedy="make one with: openssl rand -base64 32",
        )
    name = hashlib.sha256(b"watchkeeper/sealing-key/v1\0" + material).hexdigest()[:16]
    return SealingKey(name, material)


def read_keys(text: str) -> tuple[SealingKey, ...]:
    """Read keys with commas, spaces or line ends between them; the first is the newest."""
    words = [word for word in _BETWEEN_KEYS.split(text) if word]
    if len(words) > MOST_KEYS:
        raise Invalid(f"at most {MOST_KEYS} sealing keys are remembered")
    return tuple(key_of(word) for word in words)


def write_keys(keys: Iterable[SealingKey]) -> str:
    """Write keys, one a line, as :func:`read_keys` reads them."""
    return "".join(
        f"{KEY_PREFIX}_{base64.urlsafe_b64encode(key.material).rstrip(b'=').decode()}\n"
        for key in keys
    )
