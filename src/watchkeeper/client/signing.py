"""Signing with a person's SSH key: ssh-keygen does it, with a key file or the agent."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from watchkeeper.core.errors import Invalid
from watchkeeper.core.text import make_safe

SIGN_SECONDS = 120
"""How long a person may take to touch a key or type its passphrase."""
_USUAL = ("id_ed25519", "id_ecdsa", "id_ed25519_sk", "id_ecdsa_sk", "id_rsa")


def sign(message: bytes, *, namespace: str, key: Path | None = None) -> str:
    """Return an armoured signature over a message, made with a key or with the usual one.

    Without `key`: the agent's first key, or else the first usual file in ~/.ssh. Raises
    `Invalid` that says what ssh-keygen says.
    """
    if key is not None:
        return _run(message, namespace, key)
    offered = _from_agent()
    if offered is not None:
        with tempfile.TemporaryDirectory(prefix="watchkeeper-") as place:
            public = Path(place, "key.pub")
            public.write_text(offered + "\n", encoding="utf-8")
            return _run(message, namespace, public)
    usual = [Path.home() / ".ssh" / name for name in _USUAL]
    found = next((path for path in usual if path.exists()), None)
    if found is None:
        raise Invalid(
            "no SSH key was found, in an agent or in ~/.ssh",
            remedy="name one with --key PATH, or make one with `ssh-keygen -t ed25519`",
        )
    return _run(message, namespace, found)


def _from_agent() -> str | None:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return None
    try:
        listed = subprocess.run(
            ["ssh-add", "-L"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return listed.stdout.splitlines()[0] if listed.returncode == 0 and listed.stdout else None


def _run(message: bytes, namespace: str, key: Path) -> str:
    try:
        # the passphrase is asked for on the terminal itself, not on standard input
        done = subprocess.run(
            ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(key)],
            input=message,
            capture_output=True,
            timeout=SIGN_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise Invalid("there is no ssh-keygen here", remedy="install OpenSSH's client") from None
    except subprocess.TimeoutExpired:
        raise Invalid("the key was not unlocked in time", where=str(key)) from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise Invalid(
            f"ssh-keygen signs nothing: {make_safe(said[-1] if said else 'no reason', limit=200)}",
            where=str(key),
            remedy="look at the key with `ssh-keygen -l -f PATH`, or name another with --key",
        )
    return done.stdout.decode("ascii", "replace")
