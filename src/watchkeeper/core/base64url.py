"""Base64url without padding (RFC 4648, 5; RFC 7515, 2): how bytes stand in tokens and keys."""

from __future__ import annotations

import base64


def encode(raw: bytes) -> str:
    """Return bytes as base64url, unpadded."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of unpadded base64url; raise `ValueError` for anything else."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
