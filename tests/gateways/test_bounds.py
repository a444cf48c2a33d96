"""What a call is held to use at most: never less than any tokenizer makes of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.gateways.model.dialect import ModelCall
from watchkeeper.gateways.model.dialects.attachments import IMAGE_TOKENS
from watchkeeper.gateways.model.dialects.chat import CHAT
from watchkeeper.gateways.model.dialects.embeddings import EMBEDDINGS
from watchkeeper.gateways.model.dialects.responses import RESPONSES

WINDOW = 1_000_000
PICTURE = "data:image/png;base64," + base64.b64encode(bytes(3000)).decode()
HTTP = "https://pictures.example/one.png"


def chat(*content: Any, **more: Any) -> ModelCall:
    """Read a chat completion whose one message has these parts."""
    body = {"model": "m", "messages": [{"role": "user", "content": list(content)}], **more}
    return CHAT.read(json.dumps(body).encode(), {})


def response(*items: Any, **more: Any) -> ModelCall:
    """Read a response with these items as input."""
    return RESPONSES.read(json.dumps({"model": "m", "input": list(items), **more}).encode(), {})


def embedding(said: Any) -> ModelCall:
    """Read a request for embeddings."""
    return EMBEDDINGS.read(json.dumps({"model": "m", "input": said}).encode(), {})


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_text_is_a_token_a_byte_at_most(texts: list[str]) -> None:
    most = sum(len(text.encode()) for text in texts)
    parts = [{"type": "text", "text": text} for text in texts]
    items = [{"role": "user", "content": [{"type": "input_text", "text": t}]} for t in texts]
    for call in (chat(*parts), response(*items), embedding(texts)):
        assert most < call.most_input_tokens(WINDOW) <= WINDOW
        assert call.most_input_tokens(10) <= 10 * max(1, len(texts))
        assert call.cache_key() is not None


@pytest.mark.parametrize(
    "call",
    [
        chat({"type": "image_url", "image_url": {"url": HTTP}}),
        chat({"type": "image_url", "image_url": HTTP}),
        chat({"type": "image_url", "image_url": {"URL": PICTURE}}),
        chat({"type": "file", "file": {"file_id": "file-1"}}),
        chat({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}}),
        chat({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}),
        chat({"type": "video_url", "text": "", "video_url": {"url": HTTP}}),
        chat({"unknown": HTTP}),
        CHAT.read(
            b'{"model": "m", "messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}', {}
        ),
        chat({"type": "text", "text": "x"}, tools=[{"type": "web_search"}]),
        response({"role": "user", "content": [{"type": "input_image", "image_url": HTTP}]}),
        response({"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}),
        response({"role": "user", "content": [{"type": "input_file", "file_url": HTTP}]}),
        response({"role": "user", "content": [{"type": "input_file", "file_data": "JVBERi0="}]}),
        response({"type": "item_reference", "id": "msg_1"}),
        response({"id": "msg_1"}),
        response({"type": "reasoning", "id": "rs_1", "summary": []}),
        response({"type": "compaction", "encrypted_content": "x"}),
        response({"type": "image_generation_call", "id": "ig_1"}),
        response({"type": "web_search_call", "id": "ws_1"}),
        response({"type": "of_the_future"}),
        response(
            {"type": "computer_call_output", "call_id": "c",
             "output": {"type": "computer_screenshot", "image_url": HTTP}}
        ),
        response(
            {"type": "function_call_output", "call_id": "c",
             "output": [{"type": "input_image", "image_url": HTTP}]}
        ),
        response({"role": "user", "content": ["x"]}),
        response({"role": "user", "content": "x"}, previous_response_id="resp_1"),
        response({"role": "user", "content": "x"}, conversation={"id": "conv_1"}),
        response({"role": "user", "content": "x"}, prompt={"id": "pmpt_1"}),
    ],
)  # fmt: skip
def test_what_lies_elsewhere_may_fill_the_window(call: ModelCall) -> None:
    assert call.most_input_tokens(WINDOW) == WINDOW
    assert call.cache_key() is None, "what lies there may change"


@pytest.mark.parametrize(
    "call",
    [
        chat({"type": "image_url", "image_url": {"url": PICTURE}}),
        response({"role": "user", "content": [{"type": "input_image", "image_url": PICTURE}]}),
        response(
            {"role": "user",
             "content": [{"type": "input_image", "image_url": PICTURE, "file_id": None}]}
        ),
    ],
)  # fmt: skip
def test_a_picture_that_comes_along_is_no_text(call: ModelCall) -> None:
    assert len(PICTURE) + IMAGE_TOKENS < call.most_input_tokens(WINDOW) < WINDOW
    assert call.likely_input_tokens() < 2000
    assert call.cache_key() is not None


def test_what_comes_back_in_a_conversation_is_bounded_by_its_bytes() -> None:
    call = response(
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "some words"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc"},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "x"}]},
        {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "a", "stderr": ""}]},
        previous_response_id=None,
    )
    assert call.most_input_tokens(WINDOW) == call.size + 1024


@given(st.lists(st.lists(st.integers(0, 200_000), min_size=1), min_size=1, max_size=5))
def test_tokens_to_embed_are_bounded_too(tokens: list[list[int]]) -> None:
    call = embedding(tokens)
    assert call.most_input_tokens(WINDOW) >= sum(map(len, tokens))
    assert call.likely_input_tokens() == max(map(len, tokens))
    assert call.asked_output_tokens == 0
    one = embedding(tokens[0])
    assert one.messages == 1
    assert one.most_input_tokens(4) <= 4


def test_each_text_to_embed_has_a_window_of_its_own() -> None:
    call = embedding(["x" * 9000] * 3)
    assert call.most_input_tokens(8192) == 3 * 8192
    assert call.likely_input_tokens() == 3000


@given(st.integers(1, 100_000), st.integers(1, 128))
def test_the_ceiling_holds_for_all_choices_together(limit: int, choices: int) -> None:
    call = chat({"type": "text", "text": "x"}, max_completion_tokens=limit, n=choices)
    for ceiling in (limit * choices, choices, limit * choices // 2):
        if ceiling < choices:
            continue
        sent = json.loads(call.forwarded("gpt-1", ceiling))
        assert sent["max_completion_tokens"] * choices <= ceiling


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "max_tokens"),
        ("llama-3", "max_tokens"),
        ("o3-mini", "max_completion_tokens"),
        ("gpt-5.2", "max_completion_tokens"),
        ("openai/gpt-5", "max_completion_tokens"),
    ],
)
def test_the_ceiling_has_the_name_that_the_model_knows(model: str, name: str) -> None:
    assert json.loads(chat().forwarded(model, 7))[name] == 7
