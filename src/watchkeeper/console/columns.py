"""Columns of a list: which fit, how wide, and in which order they give way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

GAP = 2
"""Blank cells between columns."""


@dataclass(frozen=True)
class Column:
    """One column. Columns that change often belong first: a line is re-sent from its left edge.

    `width` is what it likes to have and `least` what it can live with (cells); `grow` is its
    share of what is left over; the column with the biggest `priority` is dropped first.
    """

    key: str
    title: str
    width: int
    least: int | None = None
    grow: int = 0
    priority: int = 0
    align: Literal["left", "right"] = "left"
    where: Literal["end", "middle"] = "end"

    @property
    def narrowest(self) -> int:
        """The fewest cells it is drawn in."""
        return self.width if self.least is None else min(self.least, self.width)


@dataclass(frozen=True)
class Placed:
    """A column with its place on the line."""

    column: Column
    x: int
    width: int


def lay_out(columns: Sequence[Column], width: int) -> tuple[Placed, ...]:
    """Place the columns that fit into `width` cells; the first always stays."""
    kept = list(columns)
    while len(kept) > 1 and _least(kept) > width:
        kept.remove(max(kept[1:], key=lambda column: (column.priority, columns.index(column))))
    widths = {column.key: column.narrowest for column in kept}
    spare = max(0, width - _least(kept))
    for column in kept:
        more = min(spare, column.width - column.narrowest)
        widths[column.key] += more
        spare -= more
    shares = sum(column.grow for column in kept)
    rest = spare
    for column in kept:
        if column.grow:
            more = min(rest, -(-spare * column.grow // shares))
            widths[column.key] += more
            rest -= more
    placed, x = [], 0
    for column in kept:
        room = min(widths[column.key], max(0, width - x))
        placed.append(Placed(column, x, room))
        x += room + GAP
    return tuple(placed)


def _least(columns: Sequence[Column]) -> int:
    return sum(column.narrowest for column in columns) + GAP * (len(columns) - 1)
