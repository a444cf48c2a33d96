"""Nothing from outside drives the terminal, hides from the reader, or moves a column."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from watchkeeper.core.text import (
    MARKS_PER_BASE,
    Safe,
    cell_width,
    cut,
    fit,
    has_hidden,
    looks_alike,
    make_safe,
)

ALL_CODE_POINTS = 0x110000
WRITTEN_OUT = frozenset("a⟨U+0123456789ABCDEF⟩")
ANY_TEXT = st.text(alphabet=st.characters(), max_size=80)  # lone surrogates included


def assert_safe(text: str, *, newlines: bool = False) -> None:
    for character in set(text):
        category = unicodedata.category(character)
        kept = category[0] in "LMNPS" or character == " " or (newlines and character == "\n")
        assert kept, f"U+{ord(character):04X} ({category}) came through"


def test_every_code_point_alone_is_kept_or_shown() -> None:
    for code in range(ALL_CODE_POINTS):
        shown = make_safe(chr(code))
        if shown != f"⟨U+{code:04X}⟩":  # most are; that this itself is safe is tested below
            assert cell_width(shown) >= 1, f"U+{code:04X} vanished"
            assert_safe(shown)
            assert make_safe(shown) == shown


@pytest.mark.parametrize(("newlines", "last"), [(False, ALL_CODE_POINTS), (True, 0x10000)])
def test_every_code_point_after_a_letter_is_kept_or_shown(newlines: bool, last: int) -> None:
    for start in range(0, last, 256):
        raw = "".join("a" + chr(code) for code in range(start, start + 256))
        shown = make_safe(raw, keep_newlines=newlines)
        assert_safe(shown, newlines=newlines)
        if start == 0 or not set(shown) <= WRITTEN_OUT:
            assert make_safe(shown, keep_newlines=newlines) == shown


def test_what_is_written_out_stays_as_it_is() -> None:
    shown = make_safe("a\ue000\U0010ffff")
    assert shown == "a⟨U+E000⟩⟨U+10FFFF⟩"
    assert make_safe(shown) == shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x9b31m", "⟨U+009B⟩31m"),
        ("\x7f", "␡"),
        ("a\u202egnp.exe", "a⟨U+202E⟩gnp.exe"),
        ("a\u200bb", "a⟨U+200B⟩b"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("\U000e0100", "⟨U+E0100⟩"),
        ("\ue000", "⟨U+E000⟩"),
        ("\u2028", "⟨U+2028⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("one\rtwo", "one␍two"),
        ("one\ntwo", "one␊two"),
        ("a\tb", "a    b"),
        ("a\u00a0b", "a␣b"),
        ("\u3164", "⟨U+3164⟩"),
        ("⚠\ufe0f", "⚠"),
        ("⚠\ufe0f\ufe0f", "⚠⟨U+FE0F⟩"),
        ("\u0301x", "◌\u0301x"),
        ("[/b] [@click=app.quit]x[/]", "[/b] [@click=app.quit]x[/]"),
        ("naïve 漢字 é", "naïve 漢字 é"),
        (b"\xffok", "\\xffok"),
        (None, ""),
        (17, "17"),
    ],
)
def test_examples(raw: object, shown: str) -> None:
    assert make_safe(raw) == shown


def test_marks_are_capped_and_counted() -> None:
    shown = make_safe("a" + "\u0301" * 1000 + "b")
    assert shown == "a" + "\u0301" * MARKS_PER_BASE + f"⟨+{1000 - MARKS_PER_BASE} marks⟩b"


def test_a_hostile_object_is_shown_not_raised() -> None:
    class Hostile:
        def __str__(self) -> str:
            raise ValueError("\x1b")

    assert make_safe(Hostile()) == "⟨Hostile that cannot be shown: ValueError⟩"


def test_a_subclass_cannot_choose_what_is_shown() -> None:
    class Liar(str):
        def __str__(self) -> str:
            return "\x1b[2J"

        def isascii(self) -> bool:
            return True

    assert make_safe(Liar("\u202e")) == "⟨U+202E⟩"


def test_safe_is_safe_by_construction() -> None:
    assert Safe("\x1b]0;x\x07") == "␛]0;x␇"


@given(ANY_TEXT, st.booleans())
@example("a\ufe0f\u0301\ufe0f", False)
@example("\r\n\u0301", True)
def test_total_idempotent_and_without_controls(text: str, newlines: bool) -> None:
    shown = make_safe(text, keep_newlines=newlines)
    assert_safe(shown, newlines=newlines)
    assert make_safe(shown, keep_newlines=newlines) == shown
    assert not has_hidden(shown)


@given(ANY_TEXT, st.integers(-2, 40), st.booleans())
def test_bounded_and_idempotent_under_its_limit(text: str, limit: int, newlines: bool) -> None:
    shown = make_safe(text, limit=limit, keep_newlines=newlines)
    assert len(shown) <= max(0, limit)
    assert_safe(shown, newlines=newlines)
    assert make_safe(shown, limit=limit, keep_newlines=newlines) == shown


def test_a_megabyte_on_one_line_is_bounded() -> None:
    assert len(make_safe("\x1b" * 1_000_000, limit=200)) == 200


@given(ANY_TEXT)
def test_hidden_is_said_of_what_would_not_be_seen(text: str) -> None:
    invisible = any(
        unicodedata.category(c) in {"Cf", "Co", "Cs", "Cn", "Zl", "Zp"} for c in text
    ) or any(unicodedata.category(c) == "Cc" and c not in "\t\n\r" for c in text)
    assert has_hidden(text) or not invisible


@pytest.mark.parametrize("text", ["plain", "two\nlines\r\nhere\t", "naïve 漢字", "⚠\ufe0f careful"])
def test_ordinary_text_hides_nothing(text: str) -> None:
    assert not has_hidden(text)


@pytest.mark.parametrize("text", ["\x1b", "a\rb", "a\u200db", "a" + "\u0301" * 9, "\u2800"])
def test_hidden_examples(text: str) -> None:
    assert has_hidden(text)


def test_look_alike_words_are_told() -> None:
    assert looks_alike("pаypal.com")
    assert looks_alike("ｐaypal")
    assert not looks_alike("paypal.com")
    assert not looks_alike("Привет world")


@given(ANY_TEXT, st.integers(0, 60), st.sampled_from(["end", "middle"]))
def test_cut_fits_its_cells(text: str, cells: int, where: str) -> None:
    short = cut(text, cells, "middle" if where == "middle" else "end")
    assert cell_width(short) <= cells
    assert make_safe(short) == short
    if cell_width(make_safe(text)) <= cells:
        assert short == make_safe(text)


@given(ANY_TEXT, st.integers(0, 60), st.sampled_from(["left", "right"]))
def test_fit_fills_its_cells_exactly(text: str, cells: int, align: str) -> None:
    assert cell_width(fit(text, cells, align="right" if align == "right" else "left")) == cells


def test_cut_examples() -> None:
    assert cut("abcdefghij", 5) == "abcd…"
    assert cut("req_01jd8x7k2m", 9, "middle") == "req_…7k2m"
    assert cut("漢字漢字", 5) == "漢字…"
    assert cut("漢字漢字", 4) == "漢…"
    assert fit("7", 3, align="right") == "  7"
