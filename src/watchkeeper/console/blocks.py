"""What details and dialogs are written in: blocks of meaning, laid out in cells.

Every block takes text as it comes and makes it safe itself. Other people's words stand behind
a gutter that is drawn on each line, whatever the words hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from watchkeeper.console.painting import Span, Token, span
from watchkeeper.core.text import (
    MARKS_PER_BASE,
    Safe,
    cell_width,
    cut,
    fit,
    has_hidden,
    make_safe,
)

Row = tuple[Span, ...]
LABEL_CELLS = 13
GUTTER = "▌ "
RULE = "│ "
QUOTED_LINES = 60
CODE_LINES = 4000
LARGEST_TEXT = 400_000
"""Characters of one block that are laid out; more is counted and not drawn."""


class Block(Protocol):
    """One thing to read."""

    def rows(self, width: int) -> Iterator[Row]:
        """Yield its lines, each at most `width` cells."""
        ...


def lay_out_blocks(blocks: Iterable[Block], width: int) -> list[Row]:
    """Return all lines of `blocks`; never two blank ones in a row, none at the ends."""
    lines: list[Row] = []
    for block in blocks:
        for row in block.rows(max(width, 8)):
            if row or (lines and lines[-1]):
                lines.append(row)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def wrap(text: str, width: int) -> Iterator[Safe]:
    """Yield safe lines of at most `width` cells, broken between words where possible."""
    for paragraph in _paragraphs(text):
        start = 0
        while True:
            head = _leading(paragraph, start, width)
            end = start + len(head)
            if end < len(paragraph) and paragraph[end] != " ":
                space = head.rfind(" ")
                if space > 0 and head[:space].strip():
                    head = head[:space]
                    end = start + space
            yield make_safe(head)
            start = end + 1 if end < len(paragraph) and paragraph[end] == " " else end
            if start >= len(paragraph):
                break


def _pieces(text: str, width: int) -> Iterator[Safe]:
    """Yield lines cut exactly at `width` cells, keeping every space."""
    for paragraph in _paragraphs(text):
        start = 0
        while True:
            head = _leading(paragraph, start, width)
            yield make_safe(head)
            start += len(head)
            if start >= len(paragraph):
                break


def _paragraphs(text: str) -> Iterator[str]:
    """Yield safe paragraphs; each is made safe only when it is reached."""
    for paragraph in text[:LARGEST_TEXT].replace("\r\n", "\n").split("\n"):
        yield make_safe(paragraph)


def _leading(text: str, start: int, width: int) -> str:
    """Return what fits into `width` cells from `start` on: one character at least."""
    window = text[start : start + width * (2 + MARKS_PER_BASE)]
    if window.isascii():
        return window[:width]
    used = 0
    for index, character in enumerate(window):
        used += cell_width(character)
        if used > width:
            return window[: max(1, index)]
    return window


@dataclass(frozen=True)
class Blank:
    """An empty line."""

    def rows(self, width: int) -> Iterator[Row]:
        """Yield it."""
        yield ()


@dataclass(frozen=True)
class Title:
    """The head of a section, with a blank line before."""

    text: object

    def rows(self, width: int) -> Iterator[Row]:
        """Yield the blank line and the head with its rule."""
        words = cut(make_safe(self.text), width)
        left = width - cell_width(words) - 1
        yield ()
        yield Span(words, "accent"), span(" " + "─" * left if left > 1 else "", "rule")


@dataclass(frozen=True)
class Line:
    """Spans on one line; what does not fit is cut."""

    spans: Sequence[Span]

    def rows(self, width: int) -> Iterator[Row]:
        """Yield it."""
        yield tuple(self.spans)


@dataclass(frozen=True)
class Prose:
    """Our own sentences, wrapped."""

    text: object
    token: Token = "text"

    def rows(self, width: int) -> Iterator[Row]:
        """Yield its lines."""
        for line in wrap(str(self.text), width):
            yield (Span(line, self.token),)


@dataclass(frozen=True)
class Fact:
    """A label and its value; a long value continues under itself."""

    label: object
    value: Span | str
    token: Token = "text"

    def rows(self, width: int) -> Iterator[Row]:
        """Yield its lines."""
        value = self.value if isinstance(self.value, Span) else None
        text = value.text if value is not None else make_safe(self.value, keep_newlines=True)
        token = value.token if value is not None else self.token
        label_width = min(LABEL_CELLS, width // 3)
        label = Span(fit(make_safe(self.label), label_width), "quiet")
        blank = span(" " * label_width)
        for number, line in enumerate(wrap(text, width - label_width)):
            yield label if number == 0 else blank, Span(line, token)


@dataclass(frozen=True)
class Quoted:
    """Words that we do not answer for: named, behind a gutter, bounded in length."""

    label: object
    text: object
    most: int = QUOTED_LINES

    def rows(self, width: int) -> Iterator[Row]:
        """Yield the label, the badge if anything is hidden in the words, and the words."""
        gutter = span(GUTTER, "warning")
        yield gutter, Span(cut(make_safe(self.label), width - 2), "warning")
        raw = self.text if isinstance(self.text, str) else make_safe(self.text, keep_newlines=True)
        if has_hidden(raw[:LARGEST_TEXT]):
            yield gutter, span("! contains hidden characters, written out below", "warning")
        for number, line in enumerate(wrap(raw, width - 2)):
            if number >= self.most:
                lines = raw.count("\n") + 1
                words = f"… goes on: {len(raw):,} characters in {lines:,} lines, {_mark(raw)}"
                yield gutter, Span(cut(make_safe(words), width - 2), "quiet")
                return
            yield gutter, Span(line)


@dataclass(frozen=True)
class Code:
    """Text exactly as it is, every space kept, behind a thin gutter."""

    text: object
    most: int = CODE_LINES

    def rows(self, width: int) -> Iterator[Row]:
        """Yield its lines."""
        gutter = span(RULE, "rule")
        raw = self.text if isinstance(self.text, str) else make_safe(self.text, keep_newlines=True)
        if has_hidden(raw[:LARGEST_TEXT]):
            yield gutter, span("! contains hidden characters, written out below", "warning")
        for number, line in enumerate(_pieces(raw, width - 2)):
            if number >= self.most:
                words = f"… goes on: {len(raw):,} characters, {_mark(raw)}"
                yield gutter, Span(cut(make_safe(words), width - 2), "quiet")
                return
            yield gutter, Span(line)


@dataclass(frozen=True)
class Diff:
    """Fields with what they are and would become; `source` says how that is known."""

    changes: Sequence[tuple[object, object | None, object | None, object]]

    def rows(self, width: int) -> Iterator[Row]:
        """Yield one line for each change that fits on one, else three."""
        for name, before, after, source in self.changes:
            field = make_safe(name, limit=200)
            was = make_safe(before, limit=4000) if before is not None else make_safe("nothing")
            will = make_safe(after, limit=4000) if after is not None else make_safe("nothing")
            said = make_safe(source, limit=80)
            short = (field, was, "→", will, said)
            if sum(cell_width(part) for part in short) + 9 <= width:
                yield (
                    Span(fit(field, min(LABEL_CELLS, width // 3) - 1)
                         if cell_width(field) < LABEL_CELLS else field, "quiet"),
                    span(" "), Span(was), span(" → ", "quiet"), Span(will, "strong"),
                    span("  "), Span(said, "quiet"),
                )  # fmt: skip
                continue
            yield Span(field, "quiet"), span("  "), Span(said, "quiet")
            for sign, value, strong in (("− ", was, False), ("+ ", will, True)):
                for number, line in enumerate(wrap(value, width - 4)):
                    head = sign if number == 0 else "  "
                    yield span(f"  {head}", "quiet"), Span(line, "strong" if strong else "text")


def _mark(text: str) -> str:
    """Return the beginning of the digest of a whole text, to compare what is not shown."""
    return f"sha256 {sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def text_of(rows: Iterable[Row]) -> str:
    """Return lines without their meanings, for copying and for tests."""
    return "\n".join("".join(part.text for part in row).rstrip() for row in rows)
