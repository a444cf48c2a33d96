"""What answers of Anthropic's protocol used, and their words."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.gateways.model.dialects.messages_meter import MessagesMeter, text_of


def meter(*events: dict[str, Any], most: tuple[int, int] = (1000, 500)) -> MessagesMeter:
    counting = MessagesMeter(*most)
    for event in events:
        assert counting.take(json.dumps(event).encode(), whole=False)
    return counting


START = {
    "type": "message_start",
    "message": {
        "type": "message",
        "content": [],
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 15},
            "output_tokens": 1,
        },
    },
}


def begin(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "content_block": {"type": kind, **members}}


def delta(**members: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "delta": members}


def end(output: int, **usage: Any) -> dict[str, Any]:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": output, **usage},
    }


STOP = {"type": "message_stop"}


def test_a_stream_is_counted_as_its_last_word_says() -> None:
    counting = meter(
        START,
        begin("text", text=""),
        {"type": "ping"},
        delta(type="text_delta", text="hi"),
        end(7),
        end(12),
        STOP,
    )
    used = counting.usage()
    assert (used.input_tokens, used.output_tokens) == (60, 12)
    assert (used.cache_read_tokens, used.cache_write_tokens) == (30, 20)
    assert used.cache_write_long_tokens == 15
    assert counting.done
    assert not counting.estimated
    assert counting.failure is None


def test_a_later_count_of_the_input_counts() -> None:
    used = meter(START, end(5, input_tokens=400, cache_read_input_tokens=31), STOP).usage()
    assert (used.input_tokens, used.cache_read_tokens) == (451, 31)


def test_rounds_that_the_sums_leave_out_are_counted() -> None:
    rounds = [
        {"type": "compaction", "input_tokens": 90, "output_tokens": 40},
        {"type": "message", "input_tokens": 10, "output_tokens": 12},
    ]
    used = meter(START, end(12, input_tokens=10, iterations=rounds), STOP).usage()
    assert (used.input_tokens, used.output_tokens) == (150, 52)


def test_a_stream_that_is_cut_counts_what_was_passed_on() -> None:
    call = begin("tool_use", name="pay", input={})
    counting = meter(
        START,
        begin("text", text=""),
        delta(type="text_delta", text="äb"),
        call,
        delta(type="input_json_delta", partial_json='{"a":1}'),
    )
    assert counting.estimated
    assert not counting.done
    assert counting.usage().input_tokens == 60
    assert counting.usage().output_tokens == 3 + len("pay") + len("{}") + len('{"a":1}')


def test_a_stream_that_is_cut_in_its_thoughts_counts_the_ceiling() -> None:
    counting = meter(START, begin("thinking", thinking=""), delta(type="signature_delta"))
    assert counting.usage().output_tokens == 500


def test_a_stream_without_any_usage_counts_from_above() -> None:
    counting = meter(begin("text", text=""), delta(type="text_delta", text="four"))
    assert (counting.usage().input_tokens, counting.usage().output_tokens) == (1000, 4)
    assert counting.estimated


def test_an_error_ends_a_stream() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    counting = meter(START, error)
    assert counting.done
    assert counting.failure == "overloaded_error"


def test_a_whole_answer_is_counted() -> None:
    counting = MessagesMeter(1000, 500)
    usage = {"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": None}
    body = {"type": "message", "content": [{"type": "text", "text": "hi"}], "usage": usage}
    assert counting.take(json.dumps(body).encode(), whole=True)
    assert (counting.usage().input_tokens, counting.usage().output_tokens) == (3, 5)
    assert not counting.estimated
    silent = MessagesMeter(1000, 500)
    silent.take(json.dumps({**body, "usage": None}).encode(), whole=True)
    assert (silent.usage().input_tokens, silent.usage().output_tokens) == (1000, 2)
    assert silent.estimated


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: json.dumps(text).encode()))
def test_no_bytes_make_a_meter_raise_or_count_below_zero(data: bytes) -> None:
    for whole in (True, False):
        counting = MessagesMeter(10, 10)
        counting.take(data, whole=whole)
        used = counting.usage()
        assert min(used.input_tokens, used.output_tokens) >= 0


@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_no_number_makes_a_meter_raise_or_count_below_zero(into: int, out: int) -> None:
    counting = MessagesMeter(10, 10)
    usage = {"input_tokens": into, "output_tokens": out, "cache_read_input_tokens": into}
    counting.take(json.dumps({"content": [], "usage": usage}).encode(), whole=True)
    assert counting.usage().input_tokens >= 0
    assert counting.usage().output_tokens >= 0


def stream(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: " + event["type"].encode() + b"\ndata: " + json.dumps(event).encode() + b"\n\n"
        for event in events
    )


def test_the_words_of_a_complete_answer_can_be_judged() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    whole = {"content": [thought, {"type": "text", "text": "yes"}]}
    assert text_of(json.dumps(whole).encode(), streamed=False) == "yes"
    calls = {"content": [{"type": "tool_use", "name": "x", "input": {}}]}
    assert text_of(json.dumps(calls).encode(), streamed=False) is None
    assert text_of(b"{", streamed=False) is None
    events = (START, begin("text", text=""), delta(type="text_delta", text="yes"), end(1))
    assert text_of(stream(*events, STOP), streamed=True) == "yes"
    assert text_of(stream(*events), streamed=True) is None
    used = (START, begin("tool_use", name="x"), end(1), STOP)
    assert text_of(stream(*used), streamed=True) is None
