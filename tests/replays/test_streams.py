"""Recorded answers as streams: whatever was recorded, each event is one event."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.gateways.model.dialects.anthropic import ANTHROPIC
from watchkeeper.gateways.model.dialects.openai import OPENAI
from watchkeeper.gateways.replay.streams import recorded_answer
from watchkeeper.traces.contents import Content

DIALECTS = [one for surface in (OPENAI, ANTHROPIC) for one in surface.dialects]
ROW = cast("Any", SimpleNamespace(
    decision="dec_1", at=1_700_000_000_000_000, name="small-fast", model=None,
    input_tokens=3, output_tokens=2,
))  # fmt: skip


def content(text: str, kind: str = "json") -> Content:
    return Content("dec_1", "output", "run_1", "clerk", 0, kind, text, "sha256:0", len(text))


def events_in(body: bytes) -> list[Any]:
    """Read a stream as clients do: fields by line, an empty line after each event."""
    found = []
    for block in body.decode().split("\n\n"):
        data = [line.removeprefix("data: ") for line in block.split("\n") if line[:5] == "data:"]
        if data and data != ["[DONE]"]:
            found.append(json.loads("\n".join(data)))
    return found


odd = st.text(st.sampled_from("a\n\r :\u2028\x00")) | st.integers(0, 9) | st.none()


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.endpoint)
@given(st.lists(st.dictionaries(st.sampled_from(["type", "data"]), odd, max_size=2), max_size=4))
def test_events_come_as_they_were_recorded(dialect: Any, events: list[dict[str, Any]]) -> None:
    body, kind = recorded_answer(dialect, ROW, content(json.dumps(events)), counts=False)
    assert kind == b"text/event-stream"
    assert events_in(body) == events


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.endpoint)
@given(st.text(min_size=1))
def test_words_of_a_stream_come_as_one_again(dialect: Any, words: str) -> None:
    body, _ = recorded_answer(dialect, ROW, content(words, "text"), counts=True)
    if dialect.endpoint in ("chat_completions", "messages"):
        assert dialect.text_of(body, streamed=True) == words
    assert events_in(body)
