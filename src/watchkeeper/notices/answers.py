"""What services answer, read up to a bound: the library would read an answer without end.

It makes a session of `requests` for each call, and gives no way to say how much to read.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from typing import Any

LARGEST_ANSWER = 256 * 1024
_PIECE = 16 * 1024  # what is compressed grows a thousandfold at most: by pieces
_installing = threading.Lock()


def bound_answers() -> None:
    """Let every session from now on stop reading an answer where it gets too long."""
    sessions: Any = importlib.import_module("requests.sessions")
    with _installing:
        if not hasattr(sessions.HTTPAdapter, "largest_answer"):
            sessions.HTTPAdapter = _bounded(sessions.HTTPAdapter)


def _bounded(adapter: Any) -> Any:
    class BoundedAdapter(adapter):  # type: ignore[misc]
        """Hands out answers that end at the bound; their status counts as it is."""

        largest_answer = LARGEST_ANSWER

        def build_response(self, request: Any, answer: Any) -> Any:
            """Return the answer to a request, of which nothing is read yet."""
            pieces = answer.stream

            def stream(_amount: int, decode_content: bool | None = None) -> Iterator[bytes]:
                room = LARGEST_ANSWER
                for piece in pieces(_PIECE, decode_content=decode_content):
                    yield piece[:room]
                    room -= len(piece)
                    if room <= 0:
                        answer.close()
                        return

            answer.stream = stream
            return super().build_response(request, answer)

    return BoundedAdapter
