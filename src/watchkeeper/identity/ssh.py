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
_FIELDS = 5
_USER_PRESENT = 1
_checks = asyncio.Semaphore(_MOST_AT_ONCE)


def signing_key(signature: str) -> str | None:
    """Return the base64 public key that an armoured signature names, or None for what is none."""
    fields = _fields(signature)
    return base64.b64encode(fields[0]).decode() if fields else None


def is_touched(signature: str) -> bool:
    """Whether a signature says that somebody touched the key, if it is of a hardware key.

    ssh-keygen verifies one without (PROTOCOL.u2f, the flag "user present") as sshd would not.
    """
    fields = _fields(signature)
    if not fields or b"sk-" not in fields[0][:8]:
        return bool(fields)
    made = fields[4]
    _, after = _text(made, 0)
    _, after = _text(made, after)
    return len(made) == after + 5 and bool(made[after] & _USER_PRESENT)


def _fields(signature: str) -> tuple[bytes, ...] | None:
    """Return public key, namespace, reserved, hash and signature; None for what is no signature."""
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
    fields, at = [], len(_MAGIC)
    for _ in range(_FIELDS):
        field, at = _text(blob, at)
        fields.append(field)
    return tuple(fields) if fields[0] and at == len(blob) else None


def _text(blob: bytes, at: int) -> tuple[bytes, int]:
    """Return an SSH string (RFC 4251, 5) and where it ends: beyond the blob, if it is cut off."""
    start = at + 4
    end = start + int.from_bytes(blob[at:start], "big")
    return blob[start:end], end


async def verify_signature(
    keys: Sequence[str], message: bytes, signature: str, *, namespace: str
) -> str | None:
    """Return which of some `authorized_keys` lines made a signature, or None.

    One of a hardware key counts only if the key was touched. Runs ssh-keygen off the loop. Raises
    `Unavailable` where there is none.
    """
    named = signing_key(signature)
    found = next((key for key in keys if named and key.split()[1] == named), None)
    if found is None or not is_touched(signature):
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
