"""Widgets that are lines of spans and repaint only what changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from watchkeeper.console.blocks import Row
from watchkeeper.console.painting import Ground, Palette, draw


class Painted(Widget, inherit_bindings=False):
    """Shows rows of spans from the top; `show` repaints the lines that differ."""

    DEFAULT_CSS = "Painted { height: 1; width: 1fr; background: $background; }"
    can_focus = False

    def __init__(self, palette: Palette, *, ground: Ground = "plain", **named: Any) -> None:
        super().__init__(**named)
        self.palette = palette
        self.ground: Ground = ground
        self.rows: list[tuple[Ground, Row]] = []

    def show(self, rows: Sequence[Row], grounds: Sequence[Ground] = ()) -> None:
        """Show rows, each on its ground, and repaint the lines that changed."""
        new = [
            (grounds[index] if index < len(grounds) else self.ground, row)
            for index, row in enumerate(rows)
        ]
        old, self.rows = self.rows, new
        width = self.size.width
        regions = [
            Region(0, y, width, 1)
            for y in range(min(self.size.height, max(len(old), len(new))))
            if (old[y] if y < len(old) else None) != (new[y] if y < len(new) else None)
        ]
        if regions:
            self.refresh(*regions)

    def repaint(self, palette: Palette) -> None:
        """Take other colours."""
        self.palette = palette
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        ground, row = self.rows[y] if y < len(self.rows) else (self.ground, ())
        return draw(row, self.size.width, self.palette, ground)
