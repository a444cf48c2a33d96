"""Chance that needs no strength, such as the jitter of a retry, from one source."""

from __future__ import annotations

import os
from typing import Protocol


class Chance(Protocol):
    """Anything that draws fractions."""

    def fraction(self) -> float:
        """Return a number from 0 up to 1."""
        ...


class SystemChance:
    """The operating system's randomness."""

    def fraction(self) -> float:
        """Return a number from 0 up to 1, evenly spread."""
        return int.from_bytes(os.urandom(4), "big") / 2**32
