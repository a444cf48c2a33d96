"""Sealed secrets: put and listed; a value goes in and never comes out."""

from __future__ import annotations

from pydantic import Field

from watchkeeper.wire.base import Sent, Shown


class PutSecret(Sent):
    """A secret's next value."""

    value: str = Field(min_length=1, max_length=16_386, repr=False)


class SecretRow(Shown):
    """A sealed secret without its value. Times in microseconds."""

    name: str
    version: int
    key: str
    """The id of the key that seals it."""
    created_at: int
    rotated_at: int
    """When this version was put."""
    used_at: int | None = None
    used_by: tuple[str, ...] = ()
    """Upstreams and providers whose documents refer to it: `upstream/books`."""
    trouble: str | None = None
    """Why it cannot be opened, in words."""


class KeyRotation(Shown):
    """What sealing everything with a new key did."""

    key: str
    secrets: int
