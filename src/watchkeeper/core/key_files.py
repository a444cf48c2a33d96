"""Private Ed25519 keys, each in a file that only its owner may read. All of it blocks, briefly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from watchkeeper.core import base64url
from watchkeeper.core.errors import Unavailable
from watchkeeper.core.places import make_private


def load_or_make(path: Path, what: str) -> Any:
    """Return the key of a file, made if there is none; `what` names it in errors.

    Raises `Unavailable` when the file can't be used, or when others may read it.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        make_private(path.parent)
        if not path.exists():
            _write(path, Ed25519PrivateKey.generate().private_bytes_raw())
        if path.stat().st_mode & 0o077:
            raise Unavailable(
                f"others may read {what}",
                where=str(path),
                remedy="if others may have read it, delete it: another is made, and whoever checks "
                "signatures needs its public half",
            )
        raw = base64url.decode(path.read_text("ascii").strip())
        return Ed25519PrivateKey.from_private_bytes(raw)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds no key"
        raise Unavailable(f"{what} can't be used: {why}", where=str(path)) from None


def _write(path: Path, raw: bytes) -> None:
    """Write the key whole or not at all: whoever is killed meanwhile leaves no half of one."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(base64url.encode(raw) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
