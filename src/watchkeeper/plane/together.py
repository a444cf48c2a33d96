"""A transport that sends the head of an answer together with what follows it."""

from __future__ import annotations

import asyncio
from typing import Any

_HEAD = b"HTTP/1."


class Together(asyncio.Transport):
    """Keeps a head back until more is written, at the longest until the loop's next turn.

    The server writes head and body apart, and a call of the system for each costs as much as
    many checks of a call.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._turn: asyncio.Handle | None = None
        """Set while a head is kept back."""

    def write(self, data: Any) -> None:
        """Send data, after the head that was kept back; keep a head back."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
            data = self._head + data
        elif data.startswith(_HEAD):
            self._head = data
            self._turn = self._loop.call_soon(self.flush)
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Send the head that was kept back, if any."""
        if self._turn is not None:
            self.write(b"")

    def close(self) -> None:
        """Close once everything is sent."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what is not sent is lost."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Tell whether it is closed, or will be."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Take nothing more from the other end for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on taking."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows, as asyncio names it."""
        return self._transport.get_extra_info(name, default)
