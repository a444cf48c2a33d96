"""What recorded calls and answers say of tools, in each protocol, and whatever else is in them."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.gateways.model.conversation import (
    ENDPOINTS,
    results_in,
    said_in,
    without_stream,
)
from watchkeeper.wire.models import Endpoint

ARGUMENTS = {"charge": "ch_1"}
TEXT = json.dumps(ARGUMENTS)
CHAT = {
    "messages": [
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": TEXT}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "then"},
    ]
}
RESPONSES = {
    "input": [
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": TEXT},
        {"type": "function_call_output", "call_id": "c1", "output": "then"},
    ]
}
MESSAGES = {
    "messages": [
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": ARGUMENTS}],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c1",
                    "is_error": True,
                    "content": [{"type": "text", "text": "then"}],
                }
            ],
        },
    ]
}


@pytest.mark.parametrize("body", [CHAT, RESPONSES, MESSAGES])
def test_a_result_is_found_with_its_call_and_replaced(body: dict[str, Any]) -> None:
    body = json.loads(json.dumps(body))
    (found,) = results_in(body)
    assert (found.name, found.arguments, found.text) == ("look", ARGUMENTS, "then")
    found.replace("now")
    assert '"now"' in json.dumps(body)
    assert '"then"' not in json.dumps(body)
    assert "is_error" not in json.dumps(body)
    assert results_in(body)[0].text == "now"


CALLED = f"look {json.dumps(ARGUMENTS, separators=(',', ':'))}"
WHOLE: dict[Endpoint, dict[str, Any]] = {
    "chat_completions": {
        "choices": [
            {
                "message": {
                    "content": "hi",
                    "tool_calls": [{"function": {"name": "look", "arguments": TEXT}}],
                }
            }
        ]
    },
    "responses": {
        "output": [
            {"type": "message", "content": [{"type": "output_text", "text": "hi"}]},
            {"type": "function_call", "name": "look", "arguments": TEXT},
        ]
    },
    "messages": {
        "content": [
            {"type": "text", "text": "hi"},
            {"type": "tool_use", "name": "look", "input": ARGUMENTS},
        ]
    },
}
STREAMED: dict[Endpoint, list[dict[str, Any]]] = {
    "chat_completions": [
        {"choices": [{"delta": {"content": "h"}}]},
        {"choices": [{"delta": {"content": "i"}}]},
        {"choices": [{"delta": {"tool_calls": [
            {"index": 0, "function": {"name": "look", "arguments": TEXT[:4]}}]}}]},
        {"choices": [{"delta": {"tool_calls": [
            {"index": 0, "function": {"arguments": TEXT[4:]}}]}}]},
    ],
    "responses": [
        {"type": "response.created"},
        {"type": "response.completed", "response": WHOLE["responses"]},
    ],
    "messages": [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"text": "hi"}},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "name": "look", "input": {}},
        },
        {"type": "content_block_delta", "index": 1, "delta": {"partial_json": TEXT[:4]}},
        {"type": "content_block_delta", "index": 1, "delta": {"partial_json": TEXT[4:]}},
    ],
}  # fmt: skip


@pytest.mark.parametrize("endpoint", sorted(ENDPOINTS))
def test_an_answer_says_the_same_whole_and_streamed(endpoint: Endpoint) -> None:
    for answer in (WHOLE[endpoint], STREAMED[endpoint]):
        found = said_in(endpoint, answer)
        assert found is not None
        assert (found.text, found.calls) == ("hi", (CALLED,))


def test_a_call_is_asked_for_whole() -> None:
    body = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
    assert without_stream(body) == {"model": "m"}


names = st.sampled_from(
    ["messages", "input", "content", "role", "type", "tool_calls", "function", "id", "name",
     "arguments", "output", "choices", "delta", "message", "index", "content_block", "response",
     "partial_json", "call_id"]
)  # fmt: skip
words = st.sampled_from(
    ["tool", "tool_use", "tool_result", "function_call", "function_call_output", "text",
     "response.completed", "", "{", "[1]"]
)  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
    max_leaves=25,
)


@given(st.dictionaries(names, anything, max_size=4), anything)
def test_whatever_was_recorded_is_read_or_passed_over(body: dict[str, Any], answer: Any) -> None:
    for one in results_in(body):
        assert isinstance(one.text, str)
        one.replace("now")
        assert one.text == "now"
    for endpoint in get_args(Endpoint):
        said_in(endpoint, answer)


@pytest.mark.parametrize("index", [[], {}, None, "x", 10**30])
def test_an_odd_index_is_one_of_its_own(index: Any) -> None:
    function = {"index": index, "function": {"name": "look", "arguments": "{}"}}
    found = said_in("chat_completions", [{"choices": [{"delta": {"tool_calls": [function]}}]}])
    assert found is not None
    assert found.calls == ("look {}",)
    block = {"index": index, "content_block": {"type": "text", "text": "hi"}}
    assert said_in("messages", [block]) is not None
