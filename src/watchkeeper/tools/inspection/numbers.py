"""Numbers of people and their money: cards, national ids, telephones.

A number is believed by its shape and check digits, where its kind has any. Digits inside a
longer word or number (`ch_4111…`, `0.4111…`) are part of that.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from watchkeeper.tools.inspection import checksums
from watchkeeper.tools.inspection.model import MOST_FINDINGS, Finding, Spans, TooLarge
from watchkeeper.wire.data import DataClass

# looked for first: most text has no such run, and the rest is only tried where one is
_LONGEST_RUN = 2000
"""Digits of one run: nothing else goes on while one is looked through."""
_RUN = re.compile(rf"[0-9](?:[ .()/-]{{0,2}}[0-9]){{5,{_LONGEST_RUN}}}+")
_BEFORE, _AFTER = 4, 2
_LONGEST = 64
"""Characters of the longest number: one may begin in a run that was cut and end after it."""
_CALLING = """
1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64
65 66 81 82 84 86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229
230 231 232 233 234 235 236 237 238 239 240 241 242 243 244 245 248 249 250 251 252 253 254 255
256 257 258 260 261 262 263 264 265 266 267 268 269 297 298 299 350 351 352 353 354 355 356 357
358 359 370 371 372 373 374 375 376 377 378 380 381 382 383 385 386 387 389 420 421 423 500 501
502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 598 599 670 673 674 675 676 677
678 679 680 682 685 686 687 688 689 691 692 800 850 852 853 855 856 880 886 960 961 962 963 964
965 966 967 968 970 971 972 973 974 975 976 977 979 992 993 994 995 996 998
"""
_AREA_CODES = frozenset(_CALLING.split())
"""Country calling codes (ITU-T E.164)."""


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())


def _is_card(found: re.Match[str]) -> bool:
    return checksums.luhn(_digits(found[0]))


def _is_ssn(found: re.Match[str]) -> bool:
    return found[1] not in ("000", "666") and found[2] != "00" and found[3] != "0000"


def _is_dni(found: re.Match[str]) -> bool:
    first, number, letter = found[1], found[2], found[3]
    if (len(first) + len(number)) != 8:
        return False
    return checksums.dni({"X": "0", "Y": "1", "Z": "2", "": ""}[first] + number, letter)


def _is_nir(found: re.Match[str]) -> bool:
    plain = _digits(found[0])
    return checksums.nir(plain[:13], plain[13:])


def _is_nino(found: re.Match[str]) -> bool:
    return found[1] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def _is_international(found: re.Match[str]) -> bool:
    plain = _digits(found[0])
    return any(plain[:length] in _AREA_CODES for length in (1, 2, 3))


_ALONE = r"(?<![\w.])"
_ENDS = r"(?!\w|[.,]?[0-9])"
_KINDS: tuple[
    tuple[DataClass, str, int, re.Pattern[str], Callable[[re.Match[str]], bool]], ...
] = (
    # class, recogniser, the shortest run of digits that has one, shape, check digits
    (
        "card",
        "luhn",
        14,
        re.compile(
            _ALONE + r"(?:(?:4[0-9]{3}|5[1-5][0-9]{2}|2(?:2[2-9]|[3-6][0-9]|7[0-2])[0-9]"
            r"|6(?:011|5[0-9]{2}|4[4-9][0-9]|2[0-9]{2})|35(?:2[89]|[3-8][0-9]))"
            r"([ -]?)[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?"
            r"|3[47][0-9]{2}([ -]?)[0-9]{6}\2[0-9]{5}"
            r"|3(?:0[0-5]|[68][0-9])[0-9]([ -]?)[0-9]{6}\3[0-9]{4})" + _ENDS
        ),
        _is_card,
    ),
    (
        "national-id",
        "us-ssn",
        11,
        re.compile(_ALONE + r"(?<!-)([0-8][0-9]{2})-([0-9]{2})-([0-9]{4})(?!-)" + _ENDS),
        _is_ssn,
    ),
    (
        "national-id",
        "de-steuer-id",
        11,
        re.compile(_ALONE + r"[1-9](?:[0-9]{10}|[0-9] [0-9]{3} [0-9]{3} [0-9]{3})" + _ENDS),
        lambda found: checksums.steuer_id(_digits(found[0])),
    ),
    (
        "national-id",
        "es-dni",
        7,
        re.compile(_ALONE + r"([XYZ]?)-?([0-9]{7,8})-?([A-HJ-NP-TV-Z])(?!\w)"),
        _is_dni,
    ),
    (
        "national-id",
        "fr-nir",
        12,
        re.compile(
            _ALONE + r"[12]( ?)[0-9]{2}\1(?:0[1-9]|1[0-2]|[23][0-9]|4[0-2])\1"
            r"(?:[0-9]{2}|2[AB])\1[0-9]{3}\1[0-9]{3} ?[0-9]{2}" + _ENDS
        ),
        _is_nir,
    ),
    (
        "national-id",
        "uk-nino",
        6,
        re.compile(
            _ALONE + r"([A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z])( ?)[0-9]{2}\2[0-9]{2}\2[0-9]{2}\2[A-D]"
            r"(?!\w)"
        ),
        _is_nino,
    ),
    (
        "national-id",
        "ch-ahv",
        13,
        re.compile(_ALONE + r"756(\.?)[0-9]{4}\1[0-9]{4}\1[0-9]{2}" + _ENDS),
        lambda found: checksums.ean_13(_digits(found[0])),
    ),
    (
        "national-id",
        "br-cpf",
        14,
        re.compile(_ALONE + r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}" + _ENDS),
        lambda found: checksums.cpf(_digits(found[0])),
    ),
    (
        "phone",
        "e164",
        8,
        re.compile(r"(?<![\w+])\+[1-9](?:[ .()/-]{0,2}[0-9]){7,14}(?!\w)"),
        _is_international,
    ),
    (
        "phone",
        "north-america",
        12,
        re.compile(
            _ALONE + r"(?<!-)(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}-)[2-9][0-9]{2}-[0-9]{4}(?!-)"
            + _ENDS
        ),
        lambda found: True,
    ),
)  # fmt: skip


def find_numbers(text: str) -> Spans:
    """Find cards, national ids and telephone numbers."""
    found: Spans = []
    for run in _RUN.finditer(text):
        width = run.end() - run.start()
        cut = width > _LONGEST_RUN
        start, end = max(0, run.start() - _BEFORE), run.end() + (_LONGEST if cut else _AFTER)
        if len(found) > MOST_FINDINGS:
            raise TooLarge(f"more than {MOST_FINDINGS:,} numbers")
        for data_class, name, least, pattern, check in _KINDS:
            if width < least:
                continue
            for match in pattern.finditer(text, start, end):
                after = text[match.end() : match.end() + 1]
                if not (match.end() == end and (after.isalnum() or after == "_")) and check(match):
                    found.append(Finding(data_class, match.start(), match.end(), name))
    return found
