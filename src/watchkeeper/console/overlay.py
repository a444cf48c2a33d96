"""What lies over the list for a moment: dialogs, long texts, the palette."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from watchkeeper.console.blocks import Block, Row, lay_out_blocks
from watchkeeper.console.painting import Span, Token, spaces, span
from watchkeeper.core.text import cell_width, cut, make_safe

Result = TypeVar("Result")


class Frame(NamedTuple):
    """Where an overlay stands on the screen, what it shows, and its caret."""

    x: int
    y: int
    width: int
    rows: list[Row]
    caret: tuple[int, int] | None = None


class Overlay(Generic[Result]):
    """Takes all keys while it is open; its `result` ends it."""

    def __init__(self) -> None:
        self.result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    def finish(self, value: Result) -> None:
        """Close with an answer; further ones are ignored."""
        if not self.result.done():
            self.result.set_result(value)

    def take_key(self, key: str, character: str | None, now: float) -> None:
        """Take a key; `now` is in seconds of a steady clock."""
        raise AssertionError("an overlay takes keys")

    def take_paste(self, text: str, now: float) -> None:
        """Take pasted text; most overlays have no use for it."""

    def frame(self, width: int, height: int) -> Frame:
        """Draw itself for a screen of this size."""
        raise AssertionError("an overlay draws itself")


def boxed(title: str, rows: Sequence[Row], width: int, footer: str = "") -> list[Row]:
    """Put a border around rows that are `width - 4` cells wide."""
    head = cut(make_safe(title), width - 6)
    foot = cut(make_safe(footer), width - 6)
    lines: list[Row] = [_edge("┌", head, "┐", width, "strong")]
    for row in rows:
        lines.append((span("│ ", "rule"), *_filled(row, width - 4), span(" │", "rule")))
    lines.append(_edge("└", foot, "┘", width, "quiet"))
    return lines


def _edge(left: str, words: str, right: str, width: int, token: Token) -> Row:
    if not words:
        return (span(left + "─" * (width - 2) + right, "rule"),)
    line = "─" * (width - 5 - cell_width(words))
    return (
        span(f"{left}─ ", "rule"),
        Span(make_safe(words), token),
        span(f" {line}{right}", "rule"),
    )


def _filled(row: Row, cells: int) -> list[Span]:
    used, parts = 0, []
    for part in row:
        short = cut(part.text, cells - used)
        if short:
            parts.append(Span(short, part.token))
            used += cell_width(short)
    return [*parts, spaces(cells - used)]


@dataclass
class Scroll:
    """A place in a text that is longer than its window."""

    top: int = 0
    lines: int = 0
    height: int = 1

    @property
    def last(self) -> int:
        """The lowest top that still fills the window."""
        return max(0, self.lines - self.height)

    @property
    def at_end(self) -> bool:
        """Whether the last line is in the window."""
        return self.top >= self.last

    def fit(self, lines: int, height: int) -> None:
        """Take the size of the text and of the window."""
        self.lines, self.height = lines, max(1, height)
        self.top = min(self.top, self.last)

    def take_key(self, key: str) -> bool:
        """Scroll by a key; tell whether it was one."""
        steps: dict[str, int | str] = {
            "j": 1, "down": 1, "k": -1, "up": -1, "ctrl+d": "half", "ctrl+u": "-half",
            "pagedown": "page", "ctrl+f": "page", "space": "page", "pageup": "-page",
            "ctrl+b": "-page", "g": "first", "home": "first", "G": "last", "end": "last",
        }  # fmt: skip
        if key not in steps:
            return False
        self.move(steps[key])
        return True

    def move(self, step: int | str) -> None:
        """Scroll by lines, or by page, half, to first or last; a minus goes up."""
        page = max(1, self.height - 1)
        sizes = {"page": page, "half": self.height // 2, "first": -self.lines, "last": self.lines}
        if isinstance(step, str):
            size = sizes[step.removeprefix("-")]
            step = -size if step.startswith("-") else size
        self.top = max(0, min(self.top + step, self.last))

    @property
    def words(self) -> str:
        """Where the window is, in words; nothing when all is shown."""
        if self.lines <= self.height:
            return ""
        return f"{self.top + 1}-{min(self.top + self.height, self.lines)}/{self.lines}"


class TextView(Overlay[None]):
    """A text over the whole screen."""

    def __init__(self, title: str, body: Sequence[Block] | Callable[[], Sequence[Block]]) -> None:
        super().__init__()
        self.title = title
        self._body = body
        self.scroll = Scroll()

    def take_key(self, key: str, character: str | None, now: float) -> None:
        """Scroll or close."""
        if key in ("escape", "q", "enter", "backspace", "question_mark"):
            self.finish(None)
        else:
            self.scroll.take_key(key)

    def frame(self, width: int, height: int) -> Frame:
        """Fill the screen below the header, which always says where and who one is."""
        blocks = self._body() if callable(self._body) else self._body
        lines = lay_out_blocks(blocks, width - 4)
        room = max(1, height - 3)
        self.scroll.fit(len(lines), room)
        shown = lines[self.scroll.top : self.scroll.top + room]
        shown += [()] * (room - len(shown))
        footer = f"{self.scroll.words}  q close  j k scroll".strip()
        return Frame(0, 1, width, boxed(self.title, shown, width, footer))
