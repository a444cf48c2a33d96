"""The clock of this machine, under people who set it."""

from __future__ import annotations

import time

import pytest

from watchkeeper.core.clock import MICROSECONDS, SystemClock


@pytest.mark.parametrize("day", [-86_400, 86_400])
def test_a11_a_clock_that_is_set_back_gives_nothing_a_second_time(
    monkeypatch: pytest.MonkeyPatch, day: int
) -> None:
    wall, steady = 10**18, 10**12
    monkeypatch.setattr(time, "time_ns", lambda: wall)
    monkeypatch.setattr(time, "monotonic_ns", lambda: steady)
    clock = SystemClock()
    granted = clock.now()
    wall += day * 10**9
    assert clock.now() == granted + max(day, 0) * MICROSECONDS
    wall += 300 * 10**9
    steady += 300 * 10**9
    assert clock.now() >= granted + 300 * MICROSECONDS
