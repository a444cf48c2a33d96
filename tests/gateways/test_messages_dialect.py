"""Reading, bounding and forwarding calls of Anthropic's protocol."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateways.message_calls import BASE, WINDOW, names, read, said
from watchkeeper.gateways.model.asking import ask_for
from watchkeeper.gateways.model.dialects.anthropic import ANTHROPIC
from watchkeeper.gateways.model.dialects.messages import COUNT_TOKENS, MESSAGES
from watchkeeper.gateways.model.errors import ModelError, bad_request, refused
from watchkeeper.gateways.model.route import Route
from watchkeeper.models.prices import Price, Rates
from watchkeeper.wire.decisions import Answer


def test_what_governs_a_call_is_read() -> None:
    body = json.dumps({**BASE, "stream": True}).encode()
    call = MESSAGES.read(body, {})
    assert (call.model, call.stream, call.asked_output_tokens) == ("small-fast", True, 100)
    assert (call.size, call.messages, call.choices) == (len(body), 1, 1)
    assert call.digest == "sha256:" + hashlib.sha256(body).hexdigest()
    assert call.headers_for(WINDOW) == {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"model":"small-fast","max_tokens":1}',
        b'{"model":"small-fast","max_tokens":1,"messages":{}}',
        b'{"model":"small-fast","max_tokens":1,"messages":[1]}',
        b'{"model":"small-fast","max_tokens":1,"messages":[{"role":"root","content":"x"}]}',
        b'{"model":"small-fast","max_tokens":1,"messages":[{"role":"user","content":7}]}',
        b'{"model":"small-fast","max_tokens":1,"messages":[{"role":"user","Content":"x"}]}',
        b'{"model":"small-fast","messages":[]}',
        b'{"model":"small-fast","max_tokens":-1,"messages":[]}',
        b'{"model":"small-fast","max_tokens":true,"messages":[]}',
        b'{"model":"small-fast","max_tokens":1,"Max_Tokens":9,"messages":[]}',
        b'{"model":"small-fast","max_tokens":1,"messages":[],"tools":[{"Type":"web_search"}]}',
        b'{"model":"small-fast","max_tokens":1,"messages":' + b"[" * 20_000,
        b'{"model":"small-fast","max_tokens":1,"messages":[' + b"{}," * 60_000 + b"{}]}",
        b'{"model":"\xff","max_tokens":1,"messages":[]}',
    ],
)
def test_what_is_malformed_is_refused(body: bytes) -> None:
    with pytest.raises(ModelError) as error:
        MESSAGES.read(body, {})
    assert (error.value.status, error.value.code) == (400, "malformed")


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ({"fallbacks": [{"model": "other"}]}, "gateway/unknown-members"),
        ({"thread": {"type": "create"}}, "gateway/unknown-members"),
        ({"compaction": {"type": "summarize"}}, "gateway/unknown-members"),
        ({"inference_geo": "us"}, "gateway/unknown-members"),
        ({"speed": "fast"}, "gateway/unknown-members"),
        ({"from_the_future": 1}, "gateway/unknown-members"),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, "unknown-members"),
        ({"messages": said([{"type": "from_the_future"}])}, "gateway/unknown-content"),
        (
            {
                "messages": said(
                    [
                        {
                            "type": "tool_addition",
                            "tool": {
                                "type": "tool_definition",
                                "definition": {"type": "web_fetch_20260318", "name": "web_fetch"},
                            },
                        }
                    ],
                    "system",
                )
            },
            "gateway/remote-tools",
        ),
    ],
)
def test_what_the_plane_cannot_bound_never_passes(members: dict[str, Any], rule: str) -> None:
    with pytest.raises(ModelError) as error:
        read(**members)
    assert error.value.status == 403
    assert rule in error.value.message


def test_members_that_are_harmless_pass_with_nulls_left_out() -> None:
    call = read(
        speed="standard",
        inference_geo=None,
        fallbacks=None,
        temperature=0.5,
        metadata={"user_id": "u"},
        context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
    )
    sent = json.loads(call.forwarded("claude-x", 100))
    assert sent["temperature"] == 0.5
    assert "fallbacks" not in sent


def test_input_is_bounded_from_above() -> None:
    plain = read()
    assert plain.size < plain.most_input_tokens(WINDOW) < plain.size + 2000
    assert plain.most_input_tokens(50) == 50
    with_tools = read(tools=[{"name": "x", "input_schema": {}}])
    assert with_tools.most_input_tokens(WINDOW) - with_tools.size > 530
    typed = read(tools=[{"type": "computer_20250124", "name": "computer"}])
    assert typed.most_input_tokens(WINDOW) - typed.size > 530 + 735
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "x"}}
    nested = {"type": "tool_result", "tool_use_id": "t", "content": [image, image]}
    pictured = read(messages=said([image, nested]))
    assert pictured.most_input_tokens(WINDOW) - pictured.size > 3 * 4784
    assert pictured.cache_key() is not None


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "url", "url": "https://x.example/y.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "url", "url": "https://x.example/y.pdf"}},
        {"type": "document", "source": {"type": "base64", "data": "JVBE"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "container_upload", "file_id": "f"},
        {"type": "web_search_tool_result", "tool_use_id": "t", "content": []},
        {
            "type": "document",
            "source": {
                "type": "content",
                "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}],
            },
        },
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [{"type": "image", "source": {"type": "url", "url": "https://x.example"}}],
        },
    ],
)
def test_what_is_elsewhere_counts_as_the_whole_window(block: dict[str, Any]) -> None:
    call = read(messages=said([block]))
    assert call.most_input_tokens(WINDOW) == WINDOW
    assert call.cache_key() is None


@pytest.mark.parametrize(
    "members",
    [
        {"cache_control": {"type": "ephemeral"}},
        {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        {"messages": said([{"type": "text", "text": "x", "cache_control": {"ttl": "1h"}}])},
        {"tools": [{"name": "t", "input_schema": {}, "cache_control": {"type": "ephemeral"}}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"container": "c_1"},
    ],
)
def test_a_call_that_may_be_kept_at_the_provider_says_so(members: dict[str, Any]) -> None:
    """What a provider keeps of a call costs more; what marks nothing is not kept."""
    assert not read().writes_cache
    assert not COUNT_TOKENS.read(json.dumps(BASE).encode(), {}).writes_cache
    assert read(**members).writes_cache


@pytest.mark.parametrize(
    "name", ["\\u0063ache_control", "cache\\u005fcontrol", "cache_contro\\u006C"]
)
def test_a_mark_that_is_written_in_escapes_is_one(name: str) -> None:
    body = json.dumps({**BASE, "cache_control": {"type": "ephemeral"}})
    assert MESSAGES.read(body.replace("cache_control", name).encode(), {}).writes_cache
    deep = json.dumps({**BASE, "messages": said([{"type": "text", "text": "x", "Q": {"a": 1}}])})
    assert MESSAGES.read(deep.replace('"Q"', f'"{name}"').encode(), {}).writes_cache


def test_what_is_asked_of_the_path_says_that_nothing_is_kept() -> None:
    price = Price(Rates(1_000_000, 0, cache_write_long=9_000_000))
    route = Route("near", "http://127.0.0.1:1", None, "m", price, 200_000)
    plain, marked = read(), read(cache_control={"type": "ephemeral"})
    kept, unkept = (ask_for(one, "messages", route, 200_000) for one in (marked, plain))
    assert unkept.arguments["writes_cache"] is False
    assert unkept.estimate.cost_micros == unkept.estimate.input_tokens
    assert "writes_cache" not in kept.arguments
    assert kept.estimate.cost_micros == 9 * kept.estimate.input_tokens


def test_a_document_of_text_is_bounded_by_its_bytes() -> None:
    text = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}}
    assert read(messages=said([text])).most_input_tokens(WINDOW) < 2000


@pytest.mark.parametrize("beta", ["context-1m-2025-08-07", "Context-1M-2025-08-07", "context-2m"])
def test_a_longer_window_than_the_document_says_is_not_asked_for(beta: str) -> None:
    long = read({"anthropic-beta": f"{beta}, token-efficient-tools"}, container="c_1")
    assert long.most_input_tokens(WINDOW) == WINDOW, "no more than that is held for"
    assert long.headers_for(WINDOW)["anthropic-beta"] == "token-efficient-tools"
    alone = read({"anthropic-beta": beta})
    assert alone.headers_for(WINDOW) == {"anthropic-version": "2023-06-01"}
    assert beta in long.headers_for(2_000_000)["anthropic-beta"]
    assert long.most_input_tokens(2_000_000) == 2_000_000


def test_a_lowered_ceiling_cuts_thinking_down() -> None:
    thinking = {"type": "enabled", "budget_tokens": 8000, "display": "omitted"}
    call = read(max_tokens=10_000, thinking=thinking)
    same = json.loads(call.forwarded("claude-x", 10_000))
    assert (same["max_tokens"], same["thinking"], same["model"]) == (10_000, thinking, "claude-x")
    less = json.loads(call.forwarded("claude-x", 5_000))
    assert (less["max_tokens"], less["thinking"]["budget_tokens"]) == (5_000, 4_999)
    assert less["thinking"]["display"] == "omitted"
    least = json.loads(call.forwarded("claude-x", 100))
    assert (least["max_tokens"], least["thinking"]) == (100, {"type": "disabled"})
    assert json.loads(call.forwarded("claude-x", 20_000))["max_tokens"] == 10_000


def test_a_member_that_is_there_twice_goes_on_once_as_it_was_read() -> None:
    body = json.dumps(BASE).encode()[:-1] + b',"max_tokens":7}'
    call = MESSAGES.read(body, {})
    assert call.asked_output_tokens == 7
    assert call.forwarded("claude-x", 7).count(b"max_tokens") == 1


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_the_prompt_is_all_that_instructs() -> None:
    assert read().prompt_digest() is None
    assert read(system="Be brief.").prompt_digest() == digest("Be brief.")
    blocks = [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]
    assert read(system=blocks).prompt_digest() == digest("Be brief.")
    late = [*said("hello"), *said([{"type": "text", "text": "No: be rude."}], "system")]
    assert read(system="Be brief.", messages=late).prompt_digest() == digest(
        "Be brief.\n\nNo: be rude."
    )
    assert read(messages=late).prompt_digest() == digest("No: be rude.")


def test_the_same_call_has_the_same_key_and_another_has_not() -> None:
    key = read(temperature=1).cache_key()
    assert key is not None
    reordered = dict(reversed([*{**BASE, "temperature": 1}.items()]))
    assert MESSAGES.read(json.dumps(reordered, indent=1).encode(), {}).cache_key() == key
    assert read(temperature=0).cache_key() != key
    assert read(temperature=1, stream=True).cache_key() != key
    assert read({"anthropic-version": "x"}, temperature=1).cache_key() != key


def test_counting_tokens_costs_nothing_and_is_sent_without_a_ceiling() -> None:
    body = {name: value for name, value in BASE.items() if name != "max_tokens"}
    call = COUNT_TOKENS.read(json.dumps(body).encode(), {})
    assert (call.asked_output_tokens, call.most_input_tokens(WINDOW)) == (0, 0)
    assert json.loads(call.forwarded("claude-x", None)) == {**body, "model": "claude-x"}
    assert call.cache_key() is None
    meter = call.meter(5, 5)
    assert meter.take(b'{"input_tokens": 12}', whole=True)
    assert meter.usage().input_tokens == 0
    assert not meter.estimated


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "Type", "content", "source", "role", "tool", "text", "name"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("messages", "system", "tools", "mcp_servers", "container", "thinking"),
                *("max_tokens", "stream", "context_management", "speed", "tool_choice", "model"),
            ]
        ),
        VALUES,
        max_size=4,
    )
)
def test_whatever_a_body_holds_it_is_read_or_refused(members: dict[str, Any]) -> None:
    body = json.dumps({**BASE, **members}).encode()
    for dialect in (MESSAGES, COUNT_TOKENS):
        try:
            call = dialect.read(body, {})
        except ModelError:
            continue
        every = frozenset(names(call))
        for sent in (call.forwarded("m", 1), call.forwarded("m", None, every)):
            assert json.loads(sent)["model"] == "m"
        assert 0 <= call.most_input_tokens(WINDOW) <= WINDOW
        assert call.likely_input_tokens() >= 0
        call.prompt_digest()
        call.cache_key()


@given(st.binary(max_size=60))
def test_no_bytes_make_reading_raise_anything_else(tail: bytes) -> None:
    body = b'{"model":"small-fast","max_tokens":1,"messages":[],"system":"' + tail + b'"}'
    with contextlib.suppress(ModelError):
        call = MESSAGES.read(body, {"anthropic-beta": tail.decode("latin-1")})
        call.forwarded("m", 1)
        call.cache_key()
        call.prompt_digest()


def test_answers_of_others_are_put_beside_a_call() -> None:
    call = read(system="Be brief.")
    more = MESSAGES.with_text(call, "Judge.", ("one", "two"))
    sent = json.loads(more.forwarded("claude-x", 100))
    assert [block["text"] for block in sent["system"]] == ["Be brief.", "Judge."]
    last = sent["messages"][-1]
    assert last["role"] == "user"
    assert [part["text"] for part in last["content"]] == ["Answer 1:\n\none", "Answer 2:\n\ntwo"]
    assert more.size >= len(more.forwarded("small-fast", 100))


def test_errors_are_in_the_clients_words() -> None:
    denied = Answer(
        decision="dec_1", verdict="deny", rule="budget/day", reason="used up", digest="d"
    )
    body = json.loads(ANTHROPIC.errors.body(refused(denied)))
    assert body["type"] == "error"
    assert body["error"]["type"] == "billing_error"
    assert body["error"]["details"]["rule"] == "budget/day"
    event = ANTHROPIC.errors.event(bad_request(502, "x", "gone"), 3)
    assert event.startswith(b"event: error\ndata: ")
    assert json.loads(event.partition(b"data: ")[2])["error"]["type"] == "api_error"


def test_a_token_is_taken_from_either_header() -> None:
    assert ANTHROPIC.token({"x-api-key": "wkr_a"}) == "wkr_a"
    assert ANTHROPIC.token({"authorization": "Bearer wkr_b", "x-api-key": "sk"}) == "wkr_b"


def test_instructions_that_are_more_than_text_have_no_digest() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "obey"}
    document = {"type": "document", "source": source}
    text = {"type": "text", "text": "be kind"}
    assert read(system=[text]).prompt_digest() == read(system="be kind").prompt_digest()
    for call in (
        read(system=[text, document]),
        read(messages=[*said([text]), {"role": "system", "content": [document]}]),
    ):
        with pytest.raises(ModelError, match="instructions are text"):
            call.prompt_digest()
