"""Durations as people write and read them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.durations import duration_text, read_duration
from watchkeeper.core.errors import Invalid


@given(st.integers(-(10**12), 10**15))
def test_a_duration_is_one_or_two_units(microseconds: int) -> None:
    text = duration_text(microseconds)
    assert re.fullmatch(r"\d+ (s|m \d\d s|h \d\d m|d \d+ h)", text)
    units = re.findall(r"(\d+) ([smhd])", text)
    seconds = sum(read_duration(f"{number}{unit}") for number, unit in units)
    assert 0 <= abs(microseconds) // MICROSECONDS - seconds < 3600


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "\u0665m", "1234567s", "5mm", "+5m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is no time"):
        read_duration(text)
