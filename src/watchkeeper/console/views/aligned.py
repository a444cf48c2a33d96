"""Small tables inside a detail: columns as wide as their widest cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from watchkeeper.console.blocks import Block, Line
from watchkeeper.console.painting import Span
from watchkeeper.core.text import cell_width, fit

GAP = 2


def aligned(rows: Iterable[Sequence[Span]], *, indent: int = 0, widest: int = 40) -> list[Block]:
    """Return one line for each row; no column but the last is wider than `widest` cells."""
    held = [tuple(row) for row in rows]
    columns = max((len(row) for row in held), default=0)
    widths = [
        min(widest, max(cell_width(row[index].text) for row in held if index < len(row)))
        for index in range(columns)
    ]
    lines: list[Block] = []
    for row in held:
        spans = [Span(fit("", indent))] if indent else []
        for index, cell in enumerate(row):
            if index == len(row) - 1:
                spans.append(cell)
                continue
            spans.append(Span(fit(cell.text, widths[index]), cell.token))
            spans.append(Span(fit("", GAP)))
        lines.append(Line(spans))
    return lines
