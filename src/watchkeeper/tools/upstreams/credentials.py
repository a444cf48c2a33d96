"""Secrets by reference: read when used, never kept in a document, a log or an error."""

from __future__ import annotations

import os
from pathlib import Path

from watchkeeper.core.errors import Unavailable
from watchkeeper.tools.upstreams.model import Credential

_LARGEST = 16_384


def read_secret(source: str) -> str:
    """Return the secret that ``env:NAME`` or ``file:PATH`` refers to.

    Raises `Unavailable` when there is none; the message names the reference, never a value.
    """
    kind, _, place = source.partition(":")
    if kind == "env":
        secret = os.environ.get(place, "")
        remedy = f"set the variable {place} where the plane is started, then restart it"
    elif kind == "file":
        secret, remedy = _read_file(place), f"put the secret in {place}, readable by the plane"
    else:
        raise Unavailable(
            "a credential reference is neither env:NAME nor file:PATH",
            code="credential_missing",
        )
    secret = secret.strip()
    if not secret:
        raise Unavailable(
            f"the credential {source} has no value", code="credential_missing", remedy=remedy
        )
    if not secret.isprintable() or not secret.isascii():
        raise Unavailable(
            f"the credential {source} holds characters that no header can carry",
            code="credential_missing",
            remedy=remedy,
        )
    return secret


def _read_file(place: str) -> str:
    try:
        with Path(place).expanduser().open("rb") as stream:
            return stream.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""


def credential_headers(credential: Credential | None) -> dict[str, str]:
    """Return the header that carries the credential; raises as :func:`read_secret`."""
    if credential is None:
        return {}
    return {credential.header: credential.prefix + read_secret(credential.source)}
