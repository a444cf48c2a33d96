"""What a person proves who they are with, as digests that tokens remember."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

LONGEST_SUBJECT = 200


def key_proof(public_key: str) -> str:
    """Return the digest of a public key as `authorized_keys` writes it; comments don't count."""
    return _digest("ssh", *public_key.split(maxsplit=2)[:2])


def subject_proof(issuer: str, subject: str) -> str:
    """Return the digest of who a person is at an issuer."""
    return _digest("oidc", issuer, subject)


def subject_of(claims: Mapping[str, Any], claim: str) -> str | None:
    """Return what an issuer's token calls a person by, or None if it does not say.

    An e-mail address counts only where the issuer says that it is verified (OpenID Connect
    Core, 5.1): else anybody could claim anybody's.
    """
    value = claims.get(claim)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_SUBJECT:
        return None
    if claim == "email" and claims.get("email_verified") is not True:
        return None
    return value


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
