"""Windows over spans, and the causal order of a run's."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.traces.entries import RUN
from watchkeeper.core.errors import Invalid
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import rows
from watchkeeper.traces.model import Link, Span
from watchkeeper.traces.reading import Wanted, in_causal_order, list_spans, spans_of_run


def span(key: str, start: int, parent: str | None = None, **more: Any) -> Span:
    fields: dict[str, Any] = {
        "kind": "action", "run": RUN, "trace": "t", "span": f"s-{key}", "agent": "clerk",
        "operation": "execute_tool", "subject": "books.refund", "end": start + 1,
        "parent": None if parent is None else f"s-{parent}",
    }  # fmt: skip
    return Span(key=key, start=start, **{**fields, **more})


def order(*found: Span) -> list[tuple[int, str]]:
    return [(depth, one.key) for depth, one in in_causal_order(found, RUN)]


def test_each_stands_below_what_caused_it_by_time() -> None:
    assert order(
        span(RUN, 1),
        span("b", 2, RUN),
        span("c", 3, RUN),
        span("under-b", 4, "b"),
        span("d", 5, RUN),
    ) == [(0, RUN), (1, "b"), (2, "under-b"), (1, "c"), (1, "d")]


def test_what_was_caused_elsewhere_stands_below_the_run() -> None:
    found = span(RUN, 2, "a-callers-span"), span("b", 3, "never-came"), span("early", 1)
    assert order(*found) == [(0, RUN), (1, "b"), (1, "early")]


def test_a_call_stands_below_what_the_agent_said_of_it() -> None:
    link = (Link("t", "s-b", "said"),)
    said = span("said", 2, "work", source="agent", links=link)
    work = span("work", 1, source="agent")
    assert order(span(RUN, 0), work, said, span("b", 3, RUN)) == [
        (0, RUN), (1, "work"), (2, "said"), (3, "b"),
    ]  # fmt: skip
    # what the plane knows caused it is more than what an agent says
    assert order(span(RUN, 0), work, said, span("above", 1, RUN), span("b", 3, "above")) == [
        (0, RUN), (1, "work"), (2, "said"), (1, "above"), (2, "b"),
    ]  # fmt: skip
    # an agent that says it was caused by what it caused
    odd = span("said", 2, "b", source="agent", links=link)
    assert {key for _, key in order(span(RUN, 0), odd, span("b", 3, RUN))} == {RUN, "said", "b"}


def test_spans_that_caused_each_other_are_shown_all_the_same() -> None:
    odd = span("a", 2, "b"), span("b", 3, "a"), span("self", 4, "self")
    assert order(span(RUN, 1), *odd) == [(0, RUN), (1, "self"), (1, "a"), (2, "b")]


def test_a_page_without_its_run_is_in_order_too() -> None:
    assert order(span("b", 3, RUN), span("c", 4, "b")) == [(0, "b"), (1, "c")]


def test_a_chain_of_any_length_is_walked() -> None:
    chain = [span("0", 0)] + [span(str(n), n, str(n - 1)) for n in range(1, 5000)]
    assert [depth for depth, _ in in_causal_order(chain, RUN)] == list(range(5000))


async def test_windows_are_filtered_and_paged(store: Store) -> None:
    found = [
        span("a", 1, agent="clerk", classes=("card", "email"), cost_micros=5),
        span("b", 2, agent="clerk", status="error", verdict="deny", version=2),
        span("c", 2, agent="other", run="run_2", subject="small", operation="chat"),
        span("d", 3, agent="clerk", source="agent", kind="reported"),
    ]

    def write(tx: Transaction) -> None:
        tx.silent("a test")
        rows.put(tx, found)

    await store.write(write)

    async def keys(wanted: Wanted, **more: Any) -> str:
        page, _ = await store.read(lambda tx: list_spans(tx, wanted, **more))
        return "".join(one.key for one in page)

    assert await keys(Wanted()) == "dcba"
    assert await keys(Wanted(), agents={"other"}) == "c"
    assert await keys(Wanted(agent="clerk", since=2)) == "db"
    assert await keys(Wanted(until=2)) == "a"
    assert await keys(Wanted(data="email")) == "a"
    assert await keys(Wanted(status="error", version=2, verdict="deny")) == "b"
    assert await keys(Wanted(operation="chat", subject="small", run="run_2")) == "c"
    assert await keys(Wanted(source="agent", kind="reported")) == "d"
    assert await keys(Wanted(cost_at_least=5)) == "a"
    walked, after = "", None
    while True:
        page, after = await store.read(partial(list_spans, after=after, limit=1))
        walked += page[0].key
        if after is None:
            break
    assert walked == "dcba"
    page, after = await store.read(lambda tx: spans_of_run(tx, RUN, limit=2))
    rest, end = await store.read(lambda tx: spans_of_run(tx, RUN, after=after, limit=2))
    assert ("".join(one.key for one in (*page, *rest)), end) == ("abd", None)
    for key in ("x", "1", "١.a", "9" * 30 + ".a"):
        with pytest.raises(Invalid):
            await store.read(partial(list_spans, after=key))
