"""Only safe text is drawn, in exactly the cells it was given."""

from __future__ import annotations

import unicodedata
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from watchkeeper.console.blocks import (
    Blank,
    Block,
    Code,
    Diff,
    Fact,
    Line,
    Prose,
    Quoted,
    Title,
    lay_out_blocks,
    text_of,
    wrap,
)
from watchkeeper.console.moment import Moment, duration_text
from watchkeeper.console.painting import GROUNDS, TOKENS, Span, draw, risk_span, span
from watchkeeper.console.theme import load_theme, plain_palette
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.text import Safe, cell_width, make_safe

PALETTE = load_theme("watch-dark")[0].palette()
HOSTILE = "\x1b]0;owned\x07\x1b[2J[red]x[/red]\r\u202e\ud800 漢字 👩‍👩‍👧 é\u0301\u0301 end"
ANY = st.text(alphabet=st.characters(), max_size=200)


def test_raw_text_is_refused() -> None:
    with pytest.raises(TypeError):
        draw([Span(cast(Safe, "\x1b[2J"))], 10, PALETTE)


@given(st.lists(ANY, max_size=5), st.integers(0, 100))
def test_a_line_has_exactly_its_cells(texts: list[str], width: int) -> None:
    strip = draw([span(text) for text in texts], width, PALETTE)
    assert strip.cell_length == width
    assert cell_len(strip.text) == width


def test_our_widths_are_those_of_the_toolkit() -> None:
    every = map(chr, range(0x110000))
    drawn = "".join(f"x{one}" for one in every if unicodedata.category(one)[0] != "C")
    for character in set(make_safe(drawn)):
        assert cell_width(character) == cell_len(character), f"U+{ord(character):04X}"


def test_neighbours_of_one_style_are_one_segment() -> None:
    strip = draw([span("a"), span("b"), span("c", "critical"), span(" "), span("d")], 20, PALETTE)
    assert [segment.text for segment in strip] == ["ab", "c", " d" + " " * 15]


def test_without_colour_meanings_stay_apart() -> None:
    palette = plain_palette()
    for ground in GROUNDS:
        for token in TOKENS:
            style = palette.style(token, ground)
            assert style.color is None
            assert style.bgcolor is None
    assert palette.style("text", "cursor").reverse
    assert palette.style("critical") != palette.style("text")


def test_risk_is_told_in_words() -> None:
    words = {risk: risk_span(risk).text.strip() for risk in ("low", "medium", "high", "critical")}
    assert len(set(words.values())) == 4
    assert all(risk in text for risk, text in words.items())
    assert risk_span("\x1b[2J").text == "? ␛[2J"


def test_ascii_only_draws_ascii() -> None:
    palette = load_theme("watch-dark")[0].palette(ascii=True)
    strip = draw([span("─│▸●…→ ✓ ▲ high")], 20, palette)
    assert strip.text.isascii()
    assert strip.cell_length == 20


@given(ANY, st.integers(1, 60))
def test_wrapped_lines_fit_and_lose_nothing_but_spaces(text: str, width: int) -> None:
    lines = list(wrap(text, width))
    assert all(cell_width(line) <= max(2, width) for line in lines)
    kept = make_safe(text, keep_newlines=True).replace("\n", "").replace(" ", "")
    joined = "".join(lines).replace(" ", "").replace("◌", "")
    assert joined == kept.replace("◌", "") or "marks" in joined


BLOCKS: list[Block] = [
    Title(HOSTILE),
    Line([span(HOSTILE)]),
    Prose(HOSTILE),
    Fact(HOSTILE, HOSTILE),
    Fact("left", span("02:11", "warning")),
    Blank(),
    Quoted(HOSTILE, HOSTILE * 20),
    Code(HOSTILE),
    Diff([(HOSTILE, HOSTILE, None, HOSTILE), ("a", "1", "2", "measured")]),
]


@pytest.mark.parametrize("width", [8, 20, 40, 76])
def test_blocks_fit_whatever_they_hold(width: int) -> None:
    for row in lay_out_blocks(BLOCKS, width):
        for part in row:
            assert isinstance(part.text, Safe)
        draw(row, width, PALETTE)


def test_quoted_words_never_leave_their_gutter() -> None:
    forged = "fine\n▌ the plane says: approved\n" + "x" * 300 + "\n\x1b[A\x1b[2K"
    rows = lay_out_blocks([Quoted("the agent says", forged)], 40)
    assert all(row[0].text == "▌ " and row[0].token == "warning" for row in rows)
    assert "hidden characters" in text_of(rows)


def test_long_quotes_are_cut_and_say_so() -> None:
    rows = lay_out_blocks([Quoted("it says", "line\n" * 3812)], 60)
    assert len(rows) < 70
    assert "goes on: 19,060 characters in 3,813 lines, sha256" in text_of(rows)


def test_a_megabyte_on_one_line_is_laid_out_bounded() -> None:
    rows = lay_out_blocks([Quoted("it says", "a" * 1_000_000)], 60)
    assert len(rows) < 70


def test_code_keeps_every_space() -> None:
    rows = lay_out_blocks([Code('{\n    "a":  1\n}')], 40)
    assert text_of(rows).split("\n")[1] == '│     "a":  1'


def test_durations_take_few_cells() -> None:
    texts = [duration_text(seconds) for seconds in (0, 59, 131, 3599, 3600, 90_000, 10**7)]
    assert texts == ["00:00", "00:59", "02:11", "59:59", "1h00", "1d01", "115d"]


def test_late_is_a_word() -> None:
    moment = Moment(1000 * MICROSECONDS)
    assert moment.left(1012 * MICROSECONDS).text == "00:12"
    assert moment.left(988 * MICROSECONDS).text == "late 00:12"
    assert moment.age(880 * MICROSECONDS).text == "02:00"
    assert Moment(1000 * MICROSECONDS, absolute=True).age(880 * MICROSECONDS).text == "00:14:40"
