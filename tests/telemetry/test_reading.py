"""What telemetry says, read from whatever an agent sends, and named whatever convention it has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.telemetry.said import request, span
from watchkeeper.core.errors import Invalid, TooLarge
from watchkeeper.gateways.otlp.reading import read_logs, read_points, read_spans
from watchkeeper.gateways.otlp.splitting import MOST_RECORDS, fields, split
from watchkeeper.traces.telemetry.model import Said
from watchkeeper.traces.telemetry.naming import is_same_tool, name

VALID = request(span("chat", 1, 10**15, a="b", n=1, deep={"x": [1, 2]})).SerializeToString()


def taken(body: bytes, *, as_json: bool) -> list[Said | None]:
    try:
        list(read_logs(body, json=as_json))
        list(read_points(body, json=as_json))
        return list(read_spans(body, json=as_json))
    except (Invalid, TooLarge):
        return []


@given(st.binary(max_size=200))
def test_whatever_bytes_come_they_are_read_or_refused(body: bytes) -> None:
    taken(body, as_json=False)


@given(st.integers(0, len(VALID) - 1), st.integers(0, 255))
def test_one_changed_byte_is_read_or_refused(place: int, byte: int) -> None:
    taken(VALID[:place] + bytes([byte]) + VALID[place + 1 :], as_json=False)


@given(st.integers(0, len(VALID) - 1))
def test_what_breaks_off_is_never_read_as_whole(place: int) -> None:
    assert not any(taken(VALID[:place], as_json=False))


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["traceId", "spanId", "attributes", "key", "value", "stringValue", "arrayValue",
             "values", "status", "code", "events", "links", "startTimeUnixNano", "kind"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(VALUES)
def test_whatever_json_comes_it_is_read_or_refused(value: Any) -> None:
    for within in ("spans", "scopeSpans", "resourceSpans"):
        taken(json.dumps({"resourceSpans": value}).encode(), as_json=True)
        value = [{within: value}]
    taken(json.dumps(value[0]).encode(), as_json=True)


def test_bodies_are_taken_apart_within_bounds() -> None:
    empty = b"\x12\x00"  # a span of two bytes, which makes an object of a hundred

    def body(spans: int) -> bytes:
        def length(of: bytes) -> bytes:
            size, found = len(of), b""
            while size > 127:
                found, size = found + bytes([size & 127 | 128]), size >> 7
            return found + bytes([size]) + of

        return b"\x0a" + length(b"\x12" + length(empty * spans))

    assert sum(len(group.records) for group in split(body(MOST_RECORDS))) == MOST_RECORDS
    with pytest.raises(TooLarge):
        list(split(body(MOST_RECORDS + 1)))
    with pytest.raises(TooLarge):
        list(split(b"\x0a\x00" * 3000))
    with pytest.raises(Invalid):
        list(fields(b"\x08" + b"\x80" * 20))


@pytest.mark.parametrize(
    ("spoken", "operation", "subject"),
    [
        ({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}, "chat", "m"),
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"}, "execute_tool", "t"),
        ({"openinference.span.kind": "LLM", "llm.model_name": "m"}, "chat", "m"),
        ({"openinference.span.kind": "TOOL", "tool.name": "t"}, "execute_tool", "t"),
        ({"openinference.span.kind": "AGENT", "agent.name": "a"}, "invoke_agent", "a"),
        ({"openinference.span.kind": "RETRIEVER"}, "retrieval", ""),
        ({"traceloop.span.kind": "tool", "traceloop.entity.name": "t"}, "execute_tool", "t"),
        ({"llm.request.type": "chat", "gen_ai.request.model": "m"}, "chat", "m"),
        ({"mcp.method.name": "tools/call", "gen_ai.tool.name": "t"}, "execute_tool", "t"),
        ({"gen_ai.operation.name": 7}, "work x", ""),
        ({}, "work x", ""),
    ],
)
def test_each_convention_is_understood(
    spoken: dict[str, Any], operation: str, subject: str
) -> None:
    named = name(Said("0" * 32, "0" * 16, None, "work x", 1, 2, spoken, {}))
    assert (named.operation, named.subject) == (operation, subject)


@pytest.mark.parametrize(
    ("reported", "decided", "same"),
    [
        ("books.echo", "books.echo", True),
        ("books_echo", "books.echo", True),
        ("mcp__watchkeeper__books_echo", "books.echo", True),
        ("Books-Echo", "books.echo", True),
        ("echo", "books.echo", True),
        ("books.echoes", "books.echo", False),
        ("my-echo", "books.echo", False),
    ],
)
def test_tools_are_the_same_by_any_spelling_of_their_name(
    reported: str, decided: str, same: bool
) -> None:
    assert is_same_tool(reported, decided) is same
