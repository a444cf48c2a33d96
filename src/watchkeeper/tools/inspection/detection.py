"""Every recogniser over one text."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right

from watchkeeper.core.patterns import searching
from watchkeeper.tools.inspection.accounts import find_accounts, find_addresses
from watchkeeper.tools.inspection.model import (
    MOST_FINDINGS,
    Finding,
    Recogniser,
    Spans,
    TooLarge,
)
from watchkeeper.tools.inspection.numbers import find_numbers
from watchkeeper.tools.inspection.secrets import find_secrets

LARGEST = 4 * 1024 * 1024
"""Characters inspected at once; more than that is refused where anything may not pass."""

RECOGNISERS: tuple[Recogniser, ...] = (find_secrets, find_numbers, find_accounts, find_addresses)
_SPACES = (
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f"
)
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212\ufe58\ufe63\uff0d"
_PLAIN: dict[int, str] = {
    **{ord(space): " " for space in _SPACES},
    **{ord(dash): "-" for dash in _DASHES},
    **{0xFF00 + offset: chr(0x20 + offset) for offset in range(1, 0x5F)},
    **{
        point: str(unicodedata.decimal(chr(point)))
        for point in range(0x80, 0x20000)  # no script beyond has digits
        if unicodedata.category(chr(point)) == "Nd"
    },
}
_has_disguise = searching(f"[{''.join(map(chr, _PLAIN))}]")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]+"
)
"""What takes no room: soft hyphens, joiners, marks of direction and of shape."""


def find(text: str) -> Spans:
    """Return everything recognised in a text, in order of place; spans may overlap.

    Digits, letters and signs of other widths and scripts count as the plain ones they stand
    for, and what cannot be seen parts nothing. Linear in the length of the text. Raises
    `TooLarge` beyond what can be inspected.
    """
    if len(text) > LARGEST or text.count("@") > MOST_FINDINGS:
        raise TooLarge(f"more than {LARGEST:,} characters")
    if not text.isascii() and _has_disguise(text):
        text = text.translate(_PLAIN)
    found = _find_plain(text)
    if not text.isascii() and _INVISIBLE.search(text):
        found += _find_through(text)
    found.sort(key=_place)
    return found


def _find_plain(text: str) -> Spans:
    found: Spans = []
    for recognise in RECOGNISERS:
        found += recognise(text)
        if len(found) > MOST_FINDINGS:
            raise TooLarge(f"more than {MOST_FINDINGS:,} findings")
    return found


def _find_through(text: str) -> Spans:
    """Find what invisible characters are inside of, as if they were not there."""
    places: list[int] = []
    gone: list[int] = []
    for run in _INVISIBLE.finditer(text):
        before = gone[-1] if gone else 0
        places.append(run.start() - before)
        gone.append(before + run.end() - run.start())

    def back(index: int) -> int:
        before = bisect_right(places, index)
        return index + (gone[before - 1] if before else 0)

    found: Spans = []
    for one in _find_plain(_INVISIBLE.sub("", text)):
        start, end = back(one.start), back(one.end - 1) + 1
        if end - start > one.end - one.start:
            found.append(Finding(one.data_class, start, end, one.recogniser))
    return found


def _place(finding: Finding) -> tuple[int, int]:
    return finding.start, -finding.end
