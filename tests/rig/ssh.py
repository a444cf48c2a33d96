"""A person's SSH key: made, and used to sign, by ssh-keygen as they would."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


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
