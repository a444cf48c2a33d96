"""What is recognised in text, and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from watchkeeper.wire.data import DataClass

Spans = list["Finding"]
MOST_FINDINGS = 50_000
"""Things found in one text; more are refused where anything may not pass."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A stretch of text that is of a class of data, and which recogniser says so."""

    data_class: DataClass
    start: int
    end: int
    recogniser: str


class TooLarge(Exception):
    """There is more than can be inspected in bounded time: nobody can say what it holds."""


Recogniser = Callable[[str], Spans]
"""Finds what it knows in a text, in time linear in its length."""
