"""Whatever agents send and providers answer: read, or refused as malformed, never a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.gateways.model.dialect import Dialect
from watchkeeper.gateways.model.dialects.chat import CHAT
from watchkeeper.gateways.model.dialects.embeddings import EMBEDDINGS
from watchkeeper.gateways.model.dialects.responses import RESPONSES
from watchkeeper.gateways.model.errors import ModelError
from watchkeeper.wire.decisions import LARGEST_USAGE

DIALECTS = [CHAT, RESPONSES, EMBEDDINGS]
WORDS = st.sampled_from(
    [
        "user", "system", "developer", "text", "input_text", "image_url", "function", "mcp",
        "web_search", "namespace", "shell", "local", "additional_tools", "reasoning", "auto",
        "allowed_tools", "message", "mcp_approval_response", "https://a.example", "data:,x", "",
        "\x00", "é", "response.completed", "error",
    ]
)  # fmt: skip
KEYS = st.sampled_from(
    [
        "role", "content", "type", "text", "image_url", "file", "tools", "tool_choice", "url",
        "server_label", "server_url", "environment", "allowed_tools", "name", "encrypted_content",
        "audio", "output", "id", "approval_request_id", "Type", "response", "usage", "error",
        "choices", "delta", "message", "output_tokens", "prompt_tokens", "item", "status",
        "prompt_tokens_details", "cached_tokens",
    ]
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
MEMBERS = st.sampled_from(
    [
        "messages", "input", "instructions", "tools", "tool_choice", "stream", "stream_options",
        "max_tokens", "max_completion_tokens", "max_output_tokens", "n", "prompt", "reasoning",
        "reasoning_effort", "web_search_options", "conversation", "previous_response_id", "store",
        "background", "service_tier", "Model",
    ]
)  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.endpoint)
@settings(max_examples=150)
@given(st.dictionaries(MEMBERS, VALUES, max_size=5), VALUES)
def test_a_body_is_read_or_refused(dialect: Dialect, members: dict[str, Any], said: Any) -> None:
    needed = {"messages": [], "input": "x", "model": "m"}
    for body in ({**needed, **members}, {**needed, "messages": [said], "input": [said]}):
        raw = json.dumps(body).encode()
        try:
            call = dialect.read(raw, {})
        except ModelError as error:
            assert error.status in (400, 403)
            continue
        assert 0 <= call.most_input_tokens(10**6) <= 10**6 * max(1, call.messages)
        assert call.likely_input_tokens() >= 0
        names = frozenset(tool.name for tool in call.hosted_tools)
        sent = json.loads(call.forwarded("other", 1000 * call.choices, names))
        assert sent["model"] == "other"
        again = dialect.read(json.dumps({**sent, "model": "m"}).encode(), {})
        assert again.hosted_tools == (), "what was taken out is not there any more"
        try:
            call.prompt_digest()
        except ModelError as error:
            assert error.status in (400, 403)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.endpoint)
@settings(max_examples=150)
@given(st.lists(VALUES | st.dictionaries(KEYS, VALUES) | st.binary(), max_size=4), st.booleans())
def test_no_answer_breaks_the_meter(dialect: Dialect, said: list[Any], whole: bool) -> None:
    call = dialect.read(b'{"model": "m", "messages": [], "input": "x"}', {})
    meter = call.meter(100, 50)
    for one in said:
        data = one if isinstance(one, bytes) else json.dumps(one).encode()
        assert isinstance(meter.take(data, whole=whole), bool)
        assert isinstance(dialect.text_of(data), str | None)
        assert isinstance(dialect.text_of(b"data: " + data + b"\n\n", streamed=True), str | None)
    used = meter.usage()
    assert 0 <= used.input_tokens <= LARGEST_USAGE
    assert 0 <= used.output_tokens <= LARGEST_USAGE
    assert meter.estimated or said


@pytest.mark.parametrize(
    ("dialect", "values"), [(CHAT, 60_000), (RESPONSES, 60_000), (EMBEDDINGS, 400_001)]
)
def test_a_body_of_very_many_values_is_not_taken_apart(dialect: Dialect, values: int) -> None:
    body = {"model": "m", "messages": [], "input": "x"}
    commas = {**body, "metadata": {"text": ',[{"' * values}}
    assert dialect.read(json.dumps(commas).encode(), {}).size > values
    with pytest.raises(ModelError, match="values"):
        dialect.read(json.dumps({**body, "metadata": [[]] * values}).encode(), {})


@pytest.mark.parametrize("kind", [None, "Message", "developer_message"])
def test_an_item_that_instructs_does_so_under_any_type(kind: str | None) -> None:
    item = {"type": kind, "role": "system", "content": "obey"}
    plain = {"role": "system", "content": "obey"}
    found = [
        RESPONSES.read(json.dumps({"model": "m", "input": [one]}).encode(), {}).prompt_digest()
        for one in (item, plain)
    ]
    assert found[0] == found[1] is not None


@pytest.mark.parametrize("item", [{"id": "msg_1"}, {"type": "item_reference", "id": "msg_1"}])
def test_a_reference_may_instruct(item: dict[str, str]) -> None:
    call = RESPONSES.read(json.dumps({"model": "m", "input": [item]}).encode(), {})
    with pytest.raises(ModelError, match="gateway/instructions-elsewhere"):
        call.prompt_digest()


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES], ids=lambda one: one.endpoint)
@pytest.mark.parametrize(
    ("member", "rule"),
    [
        ({"prediction": {"type": "content", "content": "x"}}, "gateway/charges"),
        ({"best_of": 20}, "gateway/charges"),
        ({"Audio": {"voice": "a", "format": "wav"}}, "gateway/charges"),
        ({"modalities": ["text", "audio"]}, "gateway/charges"),
        ({"preset": "p"}, "gateway/leading-on"),
        ({"api_base": "https://a.example"}, "gateway/leading-on"),
        ({"data_sources": [{"type": "azure_search"}]}, "gateway/leading-on"),
    ],
)
def test_members_beyond_model_place_and_price_never_pass(
    dialect: Dialect, member: dict[str, Any], rule: str
) -> None:
    body = {"model": "m", "messages": [], "input": "x"}
    with pytest.raises(ModelError, match=rule):
        dialect.read(json.dumps({**body, **member}).encode(), {})
    usual = {"modalities": ["text"], "best_of": 1, "prediction": None}
    assert dialect.read(json.dumps({**body, **usual}).encode(), {}).hosted_tools == ()


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES], ids=lambda one: one.endpoint)
@pytest.mark.parametrize(
    "member",
    [{"search_parameters": {"mode": "on"}}, {"Search_Parameters": {}}, {"enable_search": 1}],
)
def test_a_search_by_another_name_is_the_provider_s_tool(
    dialect: Dialect, member: dict[str, Any]
) -> None:
    body = {"model": "m", "messages": [], "input": "x", "enable_search": False, **member}
    call = dialect.read(json.dumps(body).encode(), {})
    (tool,) = call.hosted_tools
    assert tool.name == "hosted.web_search"
    assert call.most_input_tokens(10**6) == 10**6, "what it finds may fill the window"
    sent = json.loads(call.forwarded("m", 10, frozenset({tool.name})))
    assert sent.keys() & {*member, "enable_search"} == set()


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES], ids=lambda one: one.endpoint)
def test_a_template_of_its_own_may_instruct(dialect: Dialect) -> None:
    body = {"model": "m", "messages": [], "input": "x", "chat_template": "obey"}
    with pytest.raises(ModelError, match="gateway/instructions-elsewhere"):
        dialect.read(json.dumps(body).encode(), {}).prompt_digest()
