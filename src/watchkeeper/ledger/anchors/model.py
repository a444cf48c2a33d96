"""What every anchor does: take a signed checkpoint, and show what it has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from watchkeeper.core.errors import Conflict, Unavailable
from watchkeeper.ledger.checkpoints import Checkpoint
from watchkeeper.ledger.notes import NoteKey

Prove = Callable[[int, int], Awaitable[Sequence[bytes]]]
"""Returns the proof that the log of the second size began as the one of the first."""


class Answer(NamedTuple):
    """What an anchor's server answered."""

    status: int
    body: bytes


Post = Callable[[str, str, str, bytes | None], Awaitable[Answer]]
"""Sends a method to a URL with a body of a type; raises `Unavailable` if nothing came back."""


class Receipt(NamedTuple):
    """A checkpoint that an anchor took, and what it gave for it."""

    note: str
    given: str


class Held(NamedTuple):
    """A signed checkpoint that is proven to be kept by an anchor, and in words where."""

    source: str
    note: str


@dataclass(frozen=True, slots=True)
class Publishing:
    """A checkpoint on its way to an anchor."""

    number: int
    at: int
    checkpoint: Checkpoint
    note: str
    taken: int
    """Entries of the last checkpoint of this log that the anchor took."""
    keys: tuple[NoteKey, ...]
    """Of the log, old ones too."""
    prove: Prove


class Ahead(Conflict):
    """An anchor has a larger tree of this log than there is: the ledger lost its tail."""

    def __init__(self, place: str, size: int, own: int) -> None:
        super().__init__(
            f"{place} has {size} entries of this log, which has {own}", code="ledger_truncated"
        )
        self.size = size


class NotKnown(Unavailable):
    """An anchor does not know the log, or the key that signs it: a person has to tell it."""


class Anchor(Protocol):
    """One place outside."""

    kind: str
    place: str
    """In words, for people; no secret."""
    every_seconds: int
    """How often it is given a checkpoint at most."""

    async def publish(self, one: Publishing) -> str:
        """Have a checkpoint kept; return what is given for it.

        Raises `Unavailable` where it cannot be had now, `NotKnown` where a person has to see to
        that, `Conflict` where the anchor says that the log is not the one it knows, `Ahead` where
        it knows more of it.
        """
        ...

    async def held(self, keys: Sequence[NoteKey], receipts: Sequence[Receipt]) -> list[Held]:
        """Return what it can be shown to keep, now or by its receipts; raises as `publish`."""
        ...
