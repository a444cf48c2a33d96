"""Small tables inside a detail: columns as wide as their widest cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from watchkeeper.console.blocks import Row, wrap
from watchkeeper.console.painting import Span
from watchkeeper.core.text import cell_width, fit

GAP = 2
WIDEST = 40
LEAST_REST = 26
"""With fewer cells left for the last column, it is written below instead of beside."""


@dataclass(frozen=True)
class Aligned:
    """Rows in columns; the last column wraps under itself, so nothing of it is lost."""

    lines: Sequence[Sequence[Span]]
    right: tuple[int, ...] = ()
    """Columns whose text stands at their right edge."""

    def rows(self, width: int) -> Iterator[Row]:
        """Yield the lines of the table."""
        widths = self._widths()
        for line in self.lines:
            spans: list[Span] = []
            used = 0
            for index, cell in enumerate(line[:-1]):
                cells = min(widths[index], max(0, width - used))
                align: Literal["left", "right"] = "right" if index in self.right else "left"
                spans.append(Span(fit(cell.text, cells, align=align), cell.token))
                gap = min(GAP, width - used - cells)
                spans.append(Span(fit("", gap)))
                used += cells + gap
            if line:
                yield from self._with_last(spans, used, line[-1], width)

    def _with_last(self, spans: list[Span], used: int, last: Span, width: int) -> Iterator[Row]:
        beside = width - used
        if not last.text or cell_width(last.text) <= beside or beside >= LEAST_REST:
            start = used
        else:
            yield tuple(spans)
            spans, start = [Span(fit("", 2 * GAP))], 2 * GAP
        for number, text in enumerate(wrap(last.text, max(1, width - start))):
            lead = spans if number == 0 else [Span(fit("", start))]
            yield (*lead, Span(text, last.token))

    def _widths(self) -> list[int]:
        columns = max((len(line) for line in self.lines), default=0)
        return [
            min(
                WIDEST,
                max(
                    (cell_width(line[index].text) for line in self.lines if index < len(line) - 1),
                    default=0,
                ),
            )
            for index in range(columns)
        ]


def aligned(rows: Iterable[Sequence[Span]], *, right: tuple[int, ...] = ()) -> list[Aligned]:
    """Return a table as the blocks of a detail; no rows, no blocks."""
    held = [tuple(row) for row in rows]
    return [Aligned(held, right)] if held else []
