"""Moments written as people read them."""

from __future__ import annotations

from watchkeeper.core.wall import read_moment, wall_clock


def moment(text: str) -> int:
    """Return a time in microseconds, of UTC unless it carries an offset."""
    return read_moment(text, wall_clock("UTC"))
