"""Server-sent events: from bytes to messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from watchkeeper.core.errors import TooLarge

LARGEST_MESSAGE = 8 * 1024 * 1024


@dataclass(frozen=True)
class Message:
    """One message of a stream; `id` is the last one that the stream named."""

    event: str
    data: str
    id: str | None


class Parser:
    """Takes bytes as they arrive, however they were cut, and gives whole messages.

    Raises :class:`TooLarge` when one message exceeds `LARGEST_MESSAGE` bytes.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._event = ""
        self._id: str | None = None
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Yield the messages that `chunk` completes."""
        buffer = self._rest + chunk
        # a lone CR at the end may be half of CRLF: it waits for the next chunk
        ended = buffer.endswith(b"\r")
        lines = (buffer[:-1] if ended else buffer).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *whole, rest = lines.split(b"\n")
        self._rest = rest + (b"\r" if ended else b"")
        for line in whole:
            message = self._take(line)
            if message is not None:
                yield message
        self._check(len(self._rest))

    def _take(self, line: bytes) -> Message | None:
        if not line:
            return self._finish()
        self._check(len(line))
        self._size += len(line)
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _finish(self) -> Message | None:
        data, event = self._data, self._event
        self._data, self._event, self._size = [], "", 0
        if not data and not event:
            return None
        return Message(event or "message", "\n".join(data), self._id)

    def _check(self, more: int) -> None:
        if self._size + more > LARGEST_MESSAGE:
            raise TooLarge("the plane's feed sent a message beyond all bounds")
