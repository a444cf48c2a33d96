"""Whatever anybody wrote, a report as HTML, Markdown or CSV has it as text and nothing more."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser

import hypothesis.strategies as st
import pytest
from hypothesis import given
from markdown_it import MarkdownIt

from watchkeeper.core.text import make_safe
from watchkeeper.decide.reports.pages import POLICY, as_html
from watchkeeper.decide.reports.texts import LONGEST_CELL, as_csv, as_markdown
from watchkeeper.wire.reports import Cell, Report, ReportSection, ReportSource

HOSTILE = (
    "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1+1", "'=1",
    'a";=1', "a,=1", "a;=1", "a\n=1", "\u202e=1", "a|b", "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>', "[x](http://evil)", "![x](y)", "`x`", "**x**", "\\|x",
    "www.evil.com", "https://evil.com", "m@evil.com", "$x$", "~~x~~", "&lt;", "</style><b>",
    "--><b>", "{{7*7}}", "\x00\x1b[31m", "# no note", "",
)  # fmt: skip
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40))
TAGS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li", "table",
    "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "scope", "class"}


def report(*rows: tuple[Cell, ...], title: str = "Access", note: str = "nothing") -> Report:
    columns = tuple(f"c{place}" for place in range(len(rows[0]) if rows else 1))
    section = ReportSection(title=title, says=note, columns=columns, rows=rows, total=len(rows))
    return Report(
        kind="access", title=title, since=0, until=10**15, over=True, produced_at=10**15,
        produced_by=note, teams=(note,), plane=note, program=note, counted=note,
        source=ReportSource(first=1, last=9, entries=9, counted=2), missing=(note,),
        sections=(section,),
    )  # fmt: skip


class Page(HTMLParser):
    """What a browser would find: tags, attributes, and the text of each cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.cells: list[str] = []
        self._inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._inside = tag == "td"
        if self._inside:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.cells[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), TEXTS)
def test_html_holds_texts_and_only_the_tags_of_the_page(
    rows: list[tuple[str, str]], words: str
) -> None:
    page = Page(as_html(report(*rows, title=words, note=words)))
    assert page.tags <= TAGS
    assert page.attributes <= ATTRIBUTES
    safe = [make_safe(cell, limit=LONGEST_CELL) for row in rows for cell in row]
    assert page.cells == safe


def test_html_needs_nothing_else_and_forbids_itself_the_rest() -> None:
    text = as_html(report(("a", 1)))
    assert f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">' in text
    assert POLICY.startswith("default-src 'none'")
    for word in ("<script", "src=", "href=", "url(", "@import", "http:", "https:", "<link"):
        assert word not in text, word
    assert "@media print" in text


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), TEXTS)
def test_no_cell_is_a_formula_whatever_separates_cells(
    rows: list[tuple[str, str]], words: str
) -> None:
    text = as_csv(report(*rows, title=words, note=words))
    for separator in (",", ";", "\t"):
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            for cell in row:
                assert not cell.strip().startswith(("=", "+", "-", "@", "＝")), (separator, row)
    lines = text.split("\r\n")
    assert "\n" not in "".join(lines)
    table = [line for line in lines if line and not line.startswith("#")]
    assert len(table) == len(rows) + 1
    assert {len(line) for line in csv.reader(table)} == {3}


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), TEXTS)
def test_markdown_stays_headings_notes_and_one_table_of_text(
    rows: list[tuple[str, str]], words: str
) -> None:
    text = as_markdown(report(*rows, title=words, note=words))
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert [token.type for token in tokens].count("table_open") == 1
    assert [token.type for token in tokens].count("tr_open") == len(rows) + 1
    inside = [token for token in tokens if token.type == "inline"]
    kinds = {part.type for token in inside for part in token.children or ()}
    assert kinds <= {"text", "text_special"}
    for raw in ("www.evil", "://evil", "m@evil"):
        assert raw not in text


def test_numbers_stay_numbers_and_what_there_is_not_is_empty() -> None:
    made = report(("a", 1_234_567, None), ("b", -5, 7))
    assert '"Access","a",1234567,""\r\n' in as_csv(made)
    assert "| a | 1,234,567 |  |" in as_markdown(made)
    assert '<td class="n">1,234,567</td><td class="n"></td>' in as_html(made)


@pytest.mark.parametrize("write", [as_html, as_markdown, as_csv])
def test_what_was_left_out_is_said(write: object) -> None:
    assert callable(write)
    made = report(("a",))
    sections = (made.sections[0].model_copy(update={"total": 12}),)
    assert "11 rows more" in write(made.model_copy(update={"sections": sections}))


@pytest.mark.parametrize(
    ("anchored", "said"),
    [
        (0, "None of its entries is anchored outside"),
        (4, "None of its entries is anchored outside"),
        (7, "Its last 2 entries are not anchored outside"),
        (9, "All of it is anchored outside."),
        (50, "All of it is anchored outside."),
    ],
)
def test_the_tail_that_no_anchor_has_is_always_stated(anchored: int, said: str) -> None:
    source = ReportSource(
        first=5, last=9, entries=5, counted=2, origin="o", checkpoint=3, size=11, root="ab",
        signed_at=0, anchored=anchored,
    )  # fmt: skip
    made = report(("a",)).model_copy(update={"source": source})
    for text in (as_html(made), as_csv(made), as_markdown(made)):
        assert said in text
        assert "checkpoint 3 of o, signed 1970-01-01T00:00:00Z over 11 entries" in text
    alone = made.model_copy(update={"source": ReportSource(first=1, last=1, entries=1)})
    assert "no signed checkpoint yet" in as_markdown(alone)
    assert "the ledger has no entry of the period" in as_markdown(
        made.model_copy(update={"source": ReportSource()})
    )
