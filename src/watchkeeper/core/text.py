"""Text from outside, made safe to show.

Everything an agent, tool, model, file or runtime wrote is hostile: it may hold escape
sequences, text that runs backwards, or letters that cannot be seen. `make_safe` keeps an
allow-list (letters, marks, numbers, punctuation, symbols, the space and, on request, line
feeds) and writes everything else out where a person can see it: ``␛``, ``⟨U+202E⟩``.
Markup is only text here; nothing is interpreted.

What is left has a width that every terminal agrees on: the characters whose width depends on
their neighbours (joiners, picture selectors, skin tones, flag letters) are written out too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from wcwidth import wcwidth

CUT = "…"
MARKS_PER_BASE = 4
"""Combining marks shown on one letter; the rest is counted, so no text climbs over its line."""

_KEPT_CATEGORIES = frozenset("LMNPS")
_TAB = "    "
_OTHER_SPACE = "␣"
_NO_BASE = "◌"
_PICTURE_SELECTORS = "\ufe0e\ufe0f"

_INVISIBLE = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2800, 0x2800),
    (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFFC, 0xFFFC),
    (0x1D159, 0x1D159), (0xE0100, 0xE01EF),
)  # fmt: skip
"""Kept by category and yet blank: joiners, fillers, selectors, the empty Braille cell."""

_UNSTEADY = ((0x1F1E6, 0x1F1FF), (0x1F3FB, 0x1F3FF))
"""Flag letters and skin tones: terminals disagree about the width of a sequence of these."""


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


def _is_blank(code: int) -> bool:
    """Whether a person could not see this character, or could be misled by it."""
    category = unicodedata.category(chr(code))
    if category[0] in _KEPT_CATEGORIES:
        return _within(code, _INVISIBLE)
    return category != "Zs"


def _shown(code: int) -> str:
    if code < 0x20:
        return _TAB if code == 0x09 else chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if _is_blank(code) or _within(code, _UNSTEADY):
        return f"⟨U+{code:04X}⟩"
    if unicodedata.category(chr(code)) == "Zs" and code != 0x20:
        return _OTHER_SPACE
    return chr(code)


class _Visible(dict[int, str]):
    """Code point to what is shown for it, worked out on first use; bounded in size."""

    def __missing__(self, code: int) -> str:
        shown = _shown(code)
        if len(self) < 8192:
            self[code] = shown
        return shown


_ONE_LINE = _Visible()
_MANY_LINES = _Visible({0x0A: "\n"})
_PLAIN = re.compile(r"[\x20-\x7e]*\Z")
_PLAIN_LINES = re.compile(r"[\x20-\x7e\n]*\Z")


class Safe(str):
    """Text that a terminal, log or notification may be given as it is.

    Building one from any text sanitises it, so a value of this type is safe by construction.
    """

    __slots__ = ()

    def __new__(cls, text: object = "") -> Safe:
        """Make one line of `text` safe."""
        return make_safe(text)


def _trusted(text: str) -> Safe:
    return str.__new__(Safe, text)


EMPTY: Safe = _trusted("")


def _read(text: object) -> str:
    if isinstance(text, str):
        return str.__str__(text)
    if text is None:
        return ""
    if isinstance(text, bytes | bytearray):
        return bytes(text).decode("utf-8", "backslashreplace")
    try:
        return str.__str__(str(text))
    except Exception as error:
        return f"⟨{type(text).__name__} that cannot be shown: {type(error).__name__}⟩"


def make_safe(text: object, *, limit: int | None = None, keep_newlines: bool = False) -> Safe:
    """Return `text` with nothing in it that could drive a terminal or hide from a reader.

    Total (any object, any code point), idempotent, and at most `limit` characters long; text
    that was shortened ends in ``…``. Without `keep_newlines` the result is one line and a line
    feed shows as ``␊``; with it, line feeds stay and a CR LF pair counts as one.
    """
    raw = _read(text)
    if limit is not None and limit <= 0:
        return EMPTY
    longer = limit is not None and len(raw) > limit
    if longer and limit is not None:
        raw = raw[: limit + 1]
    if (_PLAIN_LINES if keep_newlines else _PLAIN).match(raw):
        shown = raw
    else:
        if keep_newlines:
            raw = raw.replace("\r\n", "\n")
        if raw.isascii():
            shown = raw.translate(_MANY_LINES if keep_newlines else _ONE_LINE)
        else:
            shown = "".join(_bounded_marks(raw, keep_newlines))
    if limit is not None and (longer or len(shown) > limit):
        shown = shown[: limit - 1] + CUT
    return _trusted(shown)


def _bounded_marks(text: str, keep_newlines: bool) -> Iterator[str]:
    """Yield what is shown, with few marks on each letter and none without a letter.

    One picture selector after a letter is dropped: it only chooses between two drawings.
    """
    table = _MANY_LINES if keep_newlines else _ONE_LINE
    marks, hidden, selected, based = 0, 0, False, False
    for character in text:
        if character in _PICTURE_SELECTORS and based and not selected:
            selected = True
            continue
        shown = table[ord(character)]
        if shown == character and _is_combining(character):
            marks += 1
            if marks > MARKS_PER_BASE and based:
                hidden += 1
                continue
            if not based:
                based = True
                yield _NO_BASE
        else:
            if hidden:
                yield f"⟨+{hidden} marks⟩"
            marks, hidden, selected, based = 0, 0, False, shown != "\n"
        yield shown
    if hidden:
        yield f"⟨+{hidden} marks⟩"


@lru_cache(4096)
def _is_combining(character: str) -> bool:
    return character > "\x7f" and (
        unicodedata.category(character)[0] == "M" or wcwidth(character) == 0
    )


def has_hidden(text: object) -> bool:
    """Whether the original text holds what a reader would not have seen.

    True for controls other than tabs and line ends, text direction, joiners, tags, blank
    letters, private and unassigned characters, and marks piled on one letter. Ask it of the
    text as it came, not of what `make_safe` returned.
    """
    return next(_hidden(_read(text)), None) is not None


def _hidden(raw: str) -> Iterator[int]:
    """Yield the places of what a reader would not see."""
    if _PLAIN_LINES.match(raw):
        return
    marks, selected, previous = 0, False, ""
    for place, character in enumerate(raw):
        if character in _PICTURE_SELECTORS and previous and not selected:
            selected = True
            continue
        line_end = character == "\n" or (character == "\r" and raw[place + 1 : place + 2] == "\n")
        if not line_end and character != "\t" and _is_blank(ord(character)):
            yield place
        marks = marks + 1 if _is_combining(character) else 0
        if marks == MARKS_PER_BASE + 1:
            yield place
        selected, previous = False, character


_SCRIPTS = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"})
_DISGUISES = frozenset({"FULLWIDTH", "MATHEMATICAL", "SANS-SERIF", "DOUBLE-STRUCK"})
_WORD = re.compile(r"[^\W_]+")


def looks_alike(text: str) -> bool:
    """Whether a word mixes scripts with letters of the same shape, or uses disguised letters.

    ``pаypal`` with a Cyrillic ``а`` is such a word. Screens warn beside a target like this.
    """
    return next(_disguised(text), None) is not None


def _disguised(text: str) -> Iterator[int]:
    """Yield for each word that is not what it looks like the place of its first such letter."""
    if text.isascii():
        return
    for word in _WORD.finditer(text):
        if word[0].isascii():
            continue
        origins = [unicodedata.name(letter, "").partition(" ")[0] for letter in word[0]]
        if not _DISGUISES.isdisjoint(origins) or len(_SCRIPTS.intersection(origins)) > 1:
            odd = (_DISGUISES | _SCRIPTS) - {"LATIN"}
            yield word.start() + next(at for at, one in enumerate(origins) if one in odd)


def oddities(text: str) -> Iterator[str]:
    """Yield in words what in a text a reader could not see or would mistake: its code point, and
    where it stands, counted in characters from 1."""
    for place in _hidden(text):
        yield f"{_code_point(text[place])} at {place + 1} cannot be seen as such"
    for place in _disguised(text):
        yield f"{_code_point(text[place])} at {place + 1} looks like another letter"


def _code_point(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}{f' {name}' if name else ''}"


def cell_width(text: str) -> int:
    """Return how many terminal cells safe text takes; a control counts as none."""
    if text.isascii():
        return len(text)
    return sum(max(0, wcwidth(character)) for character in text)


def cut(text: str, cells: int, where: Literal["end", "middle"] = "end") -> Safe:
    """Return one line of `text` in at most `cells` terminal cells.

    What does not fit is replaced by ``…`` at the end (prose) or in the middle (ids). Letters
    are never parted from their marks, wide letters never halved.
    """
    safe = text if isinstance(text, Safe) and "\n" not in text else make_safe(text)
    if cells <= 0:
        return EMPTY
    if len(safe) <= cells * (1 + MARKS_PER_BASE) and cell_width(safe) <= cells:
        return safe
    room = cells - 1
    if where == "end":
        return _trusted(_leading(safe, room) + CUT)
    tail = room // 2
    return _trusted(_leading(safe, room - tail) + CUT + _trailing(safe, tail))


def _leading(text: str, cells: int) -> str:
    if text.isascii():
        return text[:cells]
    used = 0
    for index, character in enumerate(text):
        used += max(0, wcwidth(character))
        if used > cells:
            return text[:index]
    return text


def _trailing(text: str, cells: int) -> str:
    if cells <= 0:
        return ""
    if text.isascii():
        return text[-cells:]
    used, start = 0, len(text)
    for index in range(len(text) - 1, -1, -1):
        used += max(0, wcwidth(text[index]))
        if used > cells:
            break
        if not _is_combining(text[index]):
            start = index
    return text[start:]


def fit(
    text: str,
    cells: int,
    *,
    align: Literal["left", "right"] = "left",
    where: Literal["end", "middle"] = "end",
) -> Safe:
    """Return `text` in exactly `cells` terminal cells: cut, or filled with spaces."""
    short = cut(text, cells, where)
    space = " " * max(0, cells - cell_width(short))
    return _trusted(space + short if align == "right" else short + space)
