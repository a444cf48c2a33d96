"""What a person proves who they are with, as digests that tokens remember."""

from __future__ import annotations

import hashlib


def key_proof(public_key: str) -> str:
    """Return the digest of a public key as `authorized_keys` writes it; comments don't count."""
    return _digest("ssh", *public_key.split(maxsplit=2)[:2])


def subject_proof(issuer: str, subject: str) -> str:
    """Return the digest of who a person is at an issuer."""
    return _digest("oidc", issuer, subject)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
