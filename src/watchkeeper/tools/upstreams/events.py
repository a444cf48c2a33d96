"""Server-sent events in bytes, as they arrive in pieces."""

from __future__ import annotations

import re

_BOUNDARY = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_USUAL_BOUNDARY = b"\n\n"
_USUAL = 2
"""Ends of lines in an event of one line."""


class EventTooLong(ValueError):
    """An event exceeds what is kept in memory."""


class EventSplitter:
    """Cuts a stream into whole events, each with its closing blank line, bytes unchanged."""

    def __init__(self, limit: int = 8 * 1024 * 1024) -> None:
        self._kept = bytearray()
        self._searched = 0
        self._limit = limit

    def feed(self, piece: bytes) -> list[bytes]:
        """Add a piece; return the events it completed. Raises `EventTooLong`."""
        events = []
        start = 0
        if self._kept:
            self._kept += piece
            # a boundary may straddle two pieces
            at = max(0, self._searched - 3)
            while found := _BOUNDARY.search(self._kept, at):
                events.append(bytes(self._kept[start : found.end()]))
                start = at = found.end()
            if start:
                del self._kept[:start]
        elif b"\r" not in piece:
            *whole, rest = piece.split(_USUAL_BOUNDARY)
            events = [event + _USUAL_BOUNDARY for event in whole]
            self._kept += rest
        else:
            while found := _BOUNDARY.search(piece, start):
                end = found.end()
                events.append(piece[start:end])
                start = end
            self._kept += piece[start:]
        self._searched = len(self._kept)
        if self._searched > self._limit:
            raise EventTooLong(f"an event is longer than {self._limit} bytes")
        return events

    def rest(self) -> bytes:
        """Return what arrived after the last whole event, and forget it."""
        rest = bytes(self._kept)
        self._kept.clear()
        self._searched = 0
        return rest


def data_in(stream: bytes) -> list[bytes]:
    """Return the data of each event of a stream that has ended; none if it broke off in one."""
    splitter = EventSplitter(limit=len(stream) + 1)
    found = [data for event in splitter.feed(stream) if (data := data_of(event))]
    return [] if splitter.rest().strip() else found


def data_of(event: bytes) -> bytes:
    """Return the data of one event: its data lines joined; empty for comments."""
    if event[:6] == b"data: " and event[-2:] == b"\n\n" and event.count(b"\n") == _USUAL:
        data = event[6:-2]
        if b"\r" not in data:
            return data
    lines = []
    for line in event.splitlines():
        if line.startswith(b"data:"):
            lines.append(line[6:] if line[5:6] == b" " else line[5:])
    return b"\n".join(lines)
