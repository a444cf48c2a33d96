"""A person's SSH key: made, and used to sign, by ssh-keygen as they would."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.rig.deadline import eventually


@dataclass(frozen=True)
class SshKey:
    """One key pair in files."""

    path: Path

    @classmethod
    def make(cls, path: Path, kind: str = "ed25519") -> SshKey:
        """Make a key without a passphrase."""
        path.parent.mkdir(parents=True, exist_ok=True)
        _run("-q", "-t", kind, "-N", "", "-C", "test key", "-f", str(path))
        return cls(path)

    @property
    def public(self) -> str:
        """The line that `authorized_keys` would hold."""
        return self.path.with_suffix(".pub").read_text(encoding="utf-8").strip()

    def sign(self, message: bytes, *, namespace: str) -> str:
        """Return an armoured signature."""
        return _run("-Y", "sign", "-n", namespace, "-f", str(self.path), given=message)


def _run(*arguments: str, given: bytes = b"") -> str:
    done = subprocess.run(
        ["ssh-keygen", *arguments], input=given, capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode()


class SshAgent:
    """An ssh-agent of a test's own, in a directory short enough for its socket."""

    def __init__(self, place: Path) -> None:
        self.socket = place / "agent"
        self._process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", str(self.socket)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self.socket.exists, what="the agent to listen")

    def add(self, key: SshKey) -> None:
        """Give the agent a key."""
        environ = {**os.environ, "SSH_AUTH_SOCK": str(self.socket)}
        added = ["ssh-add", "-q", str(key.path)]
        subprocess.run(added, env=environ, capture_output=True, check=True, timeout=60)

    def stop(self) -> None:
        """End it; every key it held is gone."""
        self._process.terminate()
        self._process.wait(timeout=30)


class HardwareKey:
    """What a FIDO key does, without one: PROTOCOL.u2f's ed25519 signatures, counter and touch."""

    APPLICATION = b"ssh:"

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        raw = self._key.public_key().public_bytes_raw()
        self._blob = _text(_HARDWARE) + _text(raw) + _text(self.APPLICATION)
        self.public = f"{_HARDWARE.decode()} {base64.b64encode(self._blob).decode()} hardware"

    def sign(self, message: bytes, *, namespace: str, touched: bool = True) -> str:
        """Return an armoured signature (PROTOCOL.sshsig), as one who touched the key, or not."""
        inside = _text(namespace.encode()) + _text(b"") + _text(b"sha512")
        signed = b"SSHSIG" + inside + _text(hashlib.sha512(message).digest())
        said = bytes([1 if touched else 0]) + struct.pack(">I", 7)
        application = hashlib.sha256(self.APPLICATION).digest()
        raw = self._key.sign(application + said + hashlib.sha256(signed).digest())
        signature = _text(_HARDWARE) + _text(raw) + said
        blob = b"SSHSIG" + struct.pack(">I", 1) + _text(self._blob) + inside + _text(signature)
        lines = textwrap.wrap(base64.b64encode(blob).decode(), 70)
        begin, end = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
        return "\n".join([begin, *lines, end, ""])


_HARDWARE = b"sk-ssh-ed25519@openssh.com"


def _text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value
