"""Columns share the width, give way by priority, and never overlap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.console.columns import GAP, Column, lay_out

COLUMNS = (
    Column("left", "LEFT", 8),
    Column("asks", "ASKS", 30, least=12, grow=3),
    Column("object", "OBJECT", 20, least=8, grow=1, priority=2),
    Column("id", "ID", 12, priority=5),
)


def keys(width: int) -> list[str]:
    return [place.column.key for place in lay_out(COLUMNS, width)]


def test_the_least_important_goes_first() -> None:
    assert keys(100) == ["left", "asks", "object", "id"]
    assert keys(36) == ["left", "asks", "object"]
    assert keys(24) == ["left", "asks"]
    assert keys(5) == ["left"]


def test_what_is_left_over_is_shared_by_weight() -> None:
    widths = {place.column.key: place.width for place in lay_out(COLUMNS, 120)}
    assert widths["left"] == 8
    assert widths["id"] == 12
    assert widths["asks"] - 30 > 2 * (widths["object"] - 20) > 0


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3), st.integers(0, 9)),
        min_size=1,
        max_size=10,
    ),
    st.integers(1, 300),
)
def test_columns_fit_and_stand_apart(shapes: list[tuple[int, int, int, int]], width: int) -> None:
    columns = [
        Column(str(i), str(i), wide, least=least, grow=grow, priority=priority)
        for i, (wide, least, grow, priority) in enumerate(shapes)
    ]
    placed = lay_out(columns, width)
    end = 0
    for place in placed:
        assert place.x >= end
        assert place.width >= min(place.column.narrowest, width)
        end = place.x + place.width + GAP
    assert end - GAP <= width
    if any(column.grow for column in columns) and len(placed) == len(columns):
        assert end - GAP == width
