"""SSH signatures (OpenSSH's PROTOCOL.sshsig): whose key made one, checked by ssh-keygen itself.

The signature names its key: one that nobody listed is refused before any process is started.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from watchkeeper.core.errors import Unavailable

LONGEST_SIGNATURE = 16_000
CHECK_SECONDS = 5.0
_MOST_AT_ONCE = 4
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG\x00\x00\x00\x01"
_checks = asyncio.Semaphore(_MOST_AT_ONCE)


def signing_key(signature: str) -> str | None:
    """Return the base64 public key that an armoured signature names, or None for what is none."""
    lines = signature.strip().splitlines()
    if len(signature) > LONGEST_SIGNATURE or len(lines) < 3:
        return None
    if lines[0] != _BEGIN or lines[-1] != _END:
        return None
    try:
        blob = base64.b64decode("".join(lines[1:-1]), validate=True)
    except (binascii.Error, ValueError):
        return None
    if not blob.startswith(_MAGIC):
        return None
    start = len(_MAGIC) + 4
    length = int.from_bytes(blob[len(_MAGIC) : start], "big")
    key = blob[start : start + length]
    return base64.b64encode(key).decode() if len(key) == length > 0 else None


async def verify_signature(
    keys: Sequence[str], message: bytes, signature: str, *, namespace: str
) -> str | None:
    """Return which of some `authorized_keys` lines made a signature, or None.

    Runs ssh-keygen off the loop. Raises `Unavailable` where there is none.
    """
    named = signing_key(signature)
    found = next((key for key in keys if named and key.split()[1] == named), None)
    if found is None:
        return None
    async with _checks:
        good = await asyncio.to_thread(_check, found, message, signature, namespace)
    return found if good else None


def _check(key: str, message: bytes, signature: str, namespace: str) -> bool:
    kind, blob = key.split(maxsplit=2)[:2]
    with tempfile.TemporaryDirectory(prefix="watchkeeper-") as place:
        allowed, signed = Path(place, "allowed"), Path(place, "signature")
        allowed.write_text(f'person namespaces="{namespace}" {kind} {blob}\n')
        signed.write_text(signature)
        try:
            done = subprocess.run(
                [
                    *("ssh-keygen", "-Y", "verify", "-I", "person", "-n", namespace),
                    *("-f", str(allowed), "-s", str(signed)),
                ],
                input=message,
                capture_output=True,
                timeout=CHECK_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise Unavailable(
                "there is no ssh-keygen beside the plane to check signatures with",
                rule="identity/ssh-keygen",
                remedy="install OpenSSH's client where the plane runs; logins may use an issuer",
            ) from None
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0
