"""Lists are read in pages by key, never by offset."""

from __future__ import annotations

from typing import Generic, TypeVar

from watchkeeper.wire.base import Shown

Row = TypeVar("Row", bound=Shown)


class Page(Shown, Generic[Row]):
    """Rows in order; `next` is the key to continue after, absent at the end."""

    rows: tuple[Row, ...]
    next: str | None = None
    total: int | None = None
    """How many match in all, where the plane can count them cheaply."""
    sequence: int = 0
    """Newest event this page reflects."""
