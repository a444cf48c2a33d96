"""What the sealed store holds, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A key of AES-256-GCM; `id` says which it is and nothing of what it is."""

    id: str
    material: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as it is stored. Times in microseconds."""

    name: str
    version: int
    key: str
    """The id of the sealing key."""
    nonce: bytes
    ciphertext: bytes
    created_at: int
    rotated_at: int
    used_at: int | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """A credential that is referred to and cannot be had."""

    source: str
    users: tuple[str, ...]
    message: str
    remedy: str
