"""Names that could be mistaken for one another: pure rules, linear in what is looked at."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from watchkeeper.core.text import has_hidden, looks_alike

_ONE_SHAPE = {
    "a": "аαɑ4@", "b": "вьβ8", "c": "сϲⅽ", "d": "ԁⅾ", "e": "еєε3", "f": "ϝ", "g": "ɡ9", "h": "һн",
    "j": "јϳ", "k": "кκ", "l": "iіιıӏⅼ1|!", "m": "мⅿ", "n": "пη", "o": "оοσ0", "p": "рρ", "q": "ԛ",
    "r": "гᴦ", "s": "ѕ5$", "t": "тτ7", "u": "υս", "v": "νѵⅴ", "w": "ԝωѡ", "x": "хχⅹ", "y": "уγү",
    "z": "ζ2",
}  # fmt: skip
"""Letters of other scripts, digits and signs that are read as a Latin letter (the common ones
of Unicode TR39)."""
_SHAPES = {ord(twin): one for one, twins in _ONE_SHAPE.items() for twin in twins}
_SEPARATORS = frozenset("-_. /:\u2010\u2011\u2012\u2013\u2014\u2212")
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_SHORTEST = 4
"""Below this a single letter makes another word: `get` and `set` are no look-alikes."""


def skeleton(name: str) -> str:
    """Return what a name looks like: equal for names that a reader could not tell apart.

    Compatibility forms, case, marks, invisible characters and separators are dropped; letters
    of one shape become one letter.
    """
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(
        character
        for character in folded
        if character not in _SEPARATORS and unicodedata.category(character)[0] not in "MCZ"
    ).translate(_SHAPES)
    for pair, one in _PAIRS:
        seen = seen.replace(pair, one)
    return seen


def disguised(name: str) -> str | None:
    """Return in words what is wrong with a name in itself, or None."""
    if has_hidden(name):
        return "its name holds characters that cannot be seen"
    if looks_alike(name):
        return "its name mixes letters of scripts that look alike"
    if unicodedata.normalize("NFKC", name) != name:
        return "its name holds disguised letters"
    return None


class KnownNames:
    """Finds the known name that another could be mistaken for."""

    def __init__(self, known: Iterable[str], guarded: Iterable[str] = ()) -> None:
        """`guarded` names, which contracts bear, are also told from names one letter away."""
        self._by_shape: dict[str, str] = {}
        self._near: dict[str, str] = {}
        for name in sorted(known):
            self._by_shape.setdefault(skeleton(name), name)
        for name in sorted(guarded):
            shape = skeleton(name)
            self._by_shape[shape] = name
            for near in _without_one(shape):
                self._near.setdefault(near, name)

    def like(self, name: str) -> str | None:
        """Return a known name, other than this one, that this one could be mistaken for."""
        shape = skeleton(name)
        found = self._by_shape.get(shape)
        if found is not None and found != name:
            return found
        return next(
            (near for part in _without_one(shape) if (near := self._near.get(part, name)) != name),
            None,
        )


def _without_one(shape: str) -> Iterator[str]:
    """Yield a shape and every one that lacks a letter of it.

    Two shapes share one of these if they are one edit apart (and some that are two apart).
    """
    if len(shape) < _SHORTEST:
        return
    yield shape
    for index in range(len(shape)):
        yield shape[:index] + shape[index + 1 :]
