"""Takes out of what an agent says of itself what its contract lets nobody keep."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache

from watchkeeper.decide.contents import kept_words
from watchkeeper.wire.data import RedactionLevel

_SHORT = 200


@cache
def cleaner(level: RedactionLevel) -> Callable[[str], str]:
    """Return what takes out what is not kept at a level."""
    # names of models, tools and services come again and again
    known = lru_cache(4096)(lambda text: kept_words(text, level) or "")

    def clean(text: str) -> str:
        return known(text) if len(text) <= _SHORT else kept_words(text, level) or ""

    return clean
