"""Names of SSH public keys, as OpenSSH prints them."""

from __future__ import annotations

import base64
import binascii
import hashlib


def plain_key(public_key: str) -> str:
    """Return an `authorized_keys` line without its comment."""
    return " ".join(public_key.split(maxsplit=2)[:2])


def fingerprint(public_key: str) -> str:
    """Return `SHA256:…` of an `authorized_keys` line; empty for what is no such line."""
    try:
        blob = base64.b64decode(public_key.split(maxsplit=2)[1], validate=True)
    except (IndexError, binascii.Error, ValueError):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
