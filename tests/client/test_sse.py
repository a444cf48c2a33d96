"""The parser of the live feed gives the same messages however the bytes were cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.client.sse import LARGEST_MESSAGE, Message, Parser
from watchkeeper.core.errors import TooLarge

STREAM = (
    b": hello\r\n\r\n"
    b"id: 7\ndata: [1,\ndata: 2]\n\n"
    b"event: resync\r\nid: 9\r\ndata: {}\r\n\r\n"
    b"retry: 10\n\n"
    b"id\ndata:no space \xe2\x82\xac\r\r"
    b"data: never ended"
)
MESSAGES = [
    Message("message", "[1,\n2]", "7"),
    Message("resync", "{}", "9"),
    Message("message", "no space €", ""),
]


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=12))
def test_messages_do_not_depend_on_the_cuts(cuts: list[int]) -> None:
    """Any split of the stream, inside CRLF and inside characters, reads the same."""
    places = [0, *sorted(cuts), len(STREAM)]
    parser = Parser()
    received = [
        message for start, end in pairwise(places) for message in parser.feed(STREAM[start:end])
    ]
    assert received == MESSAGES


def test_a_message_without_end_is_refused() -> None:
    """A plane gone wrong cannot fill the console's memory."""
    parser = Parser()
    part = b"data: " + b"x" * (LARGEST_MESSAGE // 4)
    assert not [*parser.feed(part + b"\n"), *parser.feed(part + b"\n"), *parser.feed(part)]
    with pytest.raises(TooLarge):
        list(parser.feed(part + b"\n" + part))
