"""The one table: a window of rows drawn line by line, each cell repainted only when it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from watchkeeper.console.blocks import Row
from watchkeeper.console.columns import GAP, Column, Placed, lay_out
from watchkeeper.console.painting import NOTHING, Ground, Palette, Span, draw, spaces, span
from watchkeeper.core.text import cell_width, cut, make_safe

MARGIN = 2
"""Cells left of the first column: the mark of the cursor, and the mark of a marked row."""


class Listed(Protocol):
    """What a table reads of a window."""

    @property
    def ids(self) -> Sequence[str]:
        """Rows in order."""
        ...

    @property
    def cursor(self) -> int:
        """Place of the cursor."""
        ...

    @property
    def gone(self) -> frozenset[str]:
        """Rows that are no longer listed."""
        ...

    marks: set[str]


class Line(tuple[str, bool, bool, bool, tuple[Span, ...]]):
    """What one line shows: id, under the cursor, marked, gone, and its cells."""

    __slots__ = ()


class WindowTable(Widget, inherit_bindings=False):
    """Draws the rows of a window from `top` on."""

    DEFAULT_CSS = "WindowTable { height: 1fr; width: 1fr; background: $background; }"
    can_focus = False

    def __init__(self, palette: Palette, **named: Any) -> None:
        super().__init__(**named)
        self.palette = palette
        self.top = 0
        self.placed: tuple[Placed, ...] = ()
        self.message: Row = ()
        self._columns: tuple[Column, ...] = ()
        self._listed: Listed | None = None
        self._cells: Callable[[int], Mapping[str, Span]] | None = None
        self._lines: list[Line | None] = []
        self._width = -1

    class Picked(Message):
        """A row was clicked; only with the mouse on."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    class Wheeled(Message):
        """The wheel was turned over the list; only with the mouse on."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def on_click(self, event: events.Click) -> None:
        """Pick a row."""
        self.post_message(self.Picked(self.top + event.y))

    def on_mouse_scroll_down(self) -> None:
        """Move down."""
        self.post_message(self.Wheeled(3))

    def on_mouse_scroll_up(self) -> None:
        """Move up."""
        self.post_message(self.Wheeled(-3))

    def show(
        self,
        columns: tuple[Column, ...],
        listed: Listed,
        cells: Callable[[int], Mapping[str, Span]],
    ) -> None:
        """Show another list; `cells` returns what the columns show of the row at a place."""
        self._columns, self._listed, self._cells = columns, listed, cells
        self._width = -1
        self.update_rows()

    def update_rows(self) -> None:
        """Look at every visible row again and repaint what differs from the screen."""
        width, height = self.size
        if self._listed is None or width <= 0 or height <= 0:
            return
        if width != self._width:
            self._width = width
            self.placed = lay_out(self._columns, width - MARGIN)
            self._lines = []
            self.refresh()
        new = [self._line(self.top + y) for y in range(height)]
        old, self._lines = self._lines, new
        regions = [
            region
            for y, line in enumerate(new)
            if (region := self._changed(y, old[y] if y < len(old) else None, line)) is not None
        ]
        if regions and old:
            self.refresh(*regions)

    def say(self, row: Row) -> None:
        """Show a line where the rows would be, for an empty list."""
        if row != self.message:
            self.message = row
            self.refresh(Region(0, 0, self.size.width, 2))

    def repaint(self, palette: Palette) -> None:
        """Take other colours."""
        self.palette = palette
        self.refresh()

    def heading(self) -> Row:
        """Return the titles of the columns, placed as the cells are."""
        parts: list[Span] = [spaces(MARGIN)]
        for place in self.placed:
            parts += self._fitted(place, span(place.column.title, "quiet"), place.column.title)
        return tuple(parts)

    def _line(self, index: int) -> Line | None:
        listed = self._listed
        if listed is None or self._cells is None or not 0 <= index < len(listed.ids):
            return None
        identity = listed.ids[index]
        cells = self._cells(index)
        return Line(
            (
                identity,
                index == listed.cursor,
                identity in listed.marks,
                identity in listed.gone,
                tuple(cells.get(place.column.key, NOTHING) for place in self.placed),
            )
        )

    def _changed(self, y: int, old: Line | None, new: Line | None) -> Region | None:
        if old == new:
            return None
        if old is None or new is None or old[:4] != new[:4]:
            return Region(0, y, self._width, 1)
        last = max(i for i, (was, now) in enumerate(zip(old[4], new[4], strict=True)) if was != now)
        place = self.placed[last]
        return Region(0, y, min(self._width, MARGIN + place.x + place.width), 1)

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        width = self.size.width
        line = self._lines[y] if y < len(self._lines) else None
        if line is None:
            if y == 1 and not any(self._lines):
                return draw((spaces(MARGIN), *self.message), width, self.palette)
            return draw((), width, self.palette)
        _, current, marked, gone, cells = line
        ground: Ground = "cursor" if current else "marked" if marked else "plain"
        parts = [
            span("▸" if current else " ", "accent"),
            span("●" if marked else " ", "warning"),
        ]
        for place, cell in zip(self.placed, cells, strict=True):
            shown = Span(cell.text, "quiet") if gone else cell
            parts += self._fitted(place, shown, cell.text)
        return draw(parts, width, self.palette, ground)

    def _fitted(self, place: Placed, cell: Span, text: str) -> list[Span]:
        short = cut(make_safe(text), place.width, place.column.where)
        space = place.width - cell_width(short)
        shown = Span(short, cell.token)
        pad, gap = spaces(space), spaces(GAP)
        return [pad, shown, gap] if place.column.align == "right" else [shown, pad, gap]
