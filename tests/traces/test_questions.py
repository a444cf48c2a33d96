"""Questions about what happened: who made something rise, who touched what."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Select, text

from tests.traces.entries import RUN
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import resting, rows, saved, spikes, touching
from watchkeeper.traces.keeping import HOUR_US, leave_out
from watchkeeper.traces.missing import missing_of
from watchkeeper.traces.model import Link, Span
from watchkeeper.traces.reading import Wanted
from watchkeeper.wire.asking import GroupBy, QuestionOrder


def action(key: str, start: int, **more: Any) -> Span:
    fields: dict[str, Any] = {
        "kind": "action", "run": RUN, "trace": "t", "span": f"s-{key}", "parent": None,
        "agent": "clerk", "version": 1, "operation": "execute_tool", "subject": "books.refund",
        "end": start + 1, "status": "ok", "verdict": "permit", "outcome": "succeeded",
    }  # fmt: skip
    return Span(key=key, start=start, **{**fields, **more})


async def keep(store: Store, *found: Span) -> None:
    def write(tx: Transaction) -> None:
        tx.silent("a test")
        rows.put(tx, found)

    await store.write(write)


async def spike(store: Store, measure: Any, by: Any = "version", **more: Any) -> spikes.Found:
    agents = more.pop("agents", None)
    asked = spikes.Asked(measure, by, **{"since": 100, "until": 200, **more})
    return await store.scan(lambda tx: spikes.read(tx, asked, agents))


def parts(found: spikes.Found) -> list[tuple[Any, ...]]:
    return [(one.agent, one.version, one.what, one.before, one.during) for one in found.parts]


async def test_what_rose_is_put_down_to_versions_models_tools_and_rules(store: Store) -> None:
    refused = {"verdict": "deny", "status": "error", "outcome": None, "cost_micros": 0}
    model = {"operation": "chat", "subject": "large"}
    await keep(
        store,
        action("too-early", -1, cost_micros=9),
        action("a", 0, cost_micros=10),
        action("b", 99, cost_micros=5, run="run_2"),
        action("c", 100, cost_micros=100, version=2, **model),
        action("d", 150, cost_micros=20, version=2, run="run_2"),
        action("e", 160, cost_micros=3, agent="other", status="error", outcome="failed"),
        action("f", 170, version=2, rule="policy/p", **refused),
        action("g", 199, version=2, rule="policy/p", subject="books.x", **refused),
        action("refusal_1", 180, kind="run", operation="invoke_agent", version=None,
               rule="lock/l", **{**refused, "run": None}),
        action("late", 200, cost_micros=9),
        action("clerk/t/1", 150, cost_micros=9, source="agent", kind="reported"),
    )  # fmt: skip
    cost = await spike(store, "cost")
    assert (cost.before, cost.during, cost.left_out) == (15, 123, 0)
    assert parts(cost) == [
        ("clerk", 2, None, 0, 120), ("other", 1, None, 0, 3), ("clerk", 1, None, 15, 0),
    ]  # fmt: skip
    first, second, third = cost.parts
    assert (first.rise, round(first.share or 0, 2), first.runs) == (120, 0.98, 2)
    assert (first.calls_before, first.calls, second.runs) == (0, 2, 1)
    assert (third.rise, third.share) == (-15, None)
    assert parts(await spike(store, "cost", "model")) == [("clerk", 2, "large", 0, 100)]
    assert ("clerk", 2, "books.refund", 0, 20) in parts(await spike(store, "cost", "tool"))
    assert parts(await spike(store, "errors"))[0] == ("other", 1, None, 0, 1)
    refusals = await spike(store, "refusals", "rule")
    assert parts(refusals)[:2] == [
        ("clerk", 2, "policy/p", 0, 2), ("clerk", None, "lock/l", 0, 1),
    ]  # fmt: skip
    assert [one.during for one in (await spike(store, "calls")).parts] == [2, 1, 0]
    assert parts(await spike(store, "cost", agents={"other"})) == [("other", 1, None, 0, 3)]
    assert parts(await spike(store, "cost", agent="other")) == [("other", 1, None, 0, 3)]
    assert await spike(store, "cost", since=5000, until=5100) == spikes.Found(0, 0, (), 0)


async def test_of_many_parts_those_that_add_most_are_shown(store: Store) -> None:
    many = [action(f"k{n}", 150, subject=f"tool-{n}") for n in range(spikes.MOST_PARTS + 7)]
    await keep(store, *many, action("more", 151, subject="tool-3"))
    found = await spike(store, "calls", "tool")
    assert (found.during, len(found.parts), found.left_out) == (len(many) + 1, len(many) - 7, 7)
    assert found.parts[0].what == "tool-3"


async def test_who_touched_a_class_of_data_is_counted_with_examples(store: Store) -> None:
    held = {"classes": ("card", "email")}
    await keep(
        store,
        *(action(f"d{n}", 100 + n, **held, version=1 + n % 2) for n in range(5)),
        action("o", 150, agent="other", run="run_2", classes=("email",)),
        action("no", 150, agent="third", classes=("card",)),
        action("old", 99, agent="third", **held),
        action("plain", 150, agent="third"),
    )

    async def ask(**more: Any) -> Any:
        return await store.scan(
            lambda tx: touching.read(tx, "email", **{"since": 100, "until": 200, **more})
        )

    clerk, other = await ask()
    assert (clerk.agent, clerk.versions, clerk.actions) == ("clerk", (1, 2), 5)
    assert (clerk.first, clerk.last) == (100, 104)
    assert [one.key for one in clerk.examples] == ["d4", "d3", "d2"]
    assert [(one.key, one.run, one.name) for one in other.examples] == [
        ("o", "run_2", "execute_tool books.refund")
    ]
    assert [one.agent for one in await ask(agents={"other"})] == ["other"]
    assert await ask(since=1000, until=2000) == ()


async def test_what_is_not_kept_is_said(store: Store) -> None:
    async def missing(since: int, until: int) -> str:
        return " ".join(await store.read(lambda tx: missing_of(tx, since, until)))

    assert "no step of any run is kept" in await missing(0, 100)
    await keep(store, action("a", HOUR_US))
    assert await missing(HOUR_US, HOUR_US + 5) == ""
    assert "before 1970-01-01T01:00:00Z" in await missing(0, HOUR_US)

    def drop(tx: Transaction) -> None:
        tx.silent("a test")
        leave_out(tx, [action("gone", HOUR_US + 7)])

    await store.write(drop)
    assert "1 call that went well" in await missing(HOUR_US, HOUR_US + 5)
    assert await missing(3 * HOUR_US, 4 * HOUR_US) == ""


def told(run: str, before: int, *found: Span) -> resting.Looked:
    return resting.Looked(run, before, found, left_out=False)


def test_an_output_rests_on_what_had_ended_before_it() -> None:
    asked = action("asked", 100)
    own = action(RUN, 0, kind="run", operation="invoke_agent", end=None)
    found = told(
        RUN,
        100,
        own,
        action("result", 10, attributes={"watchkeeper.result_digest": "sha256:r"}),
        action("answer", 20, operation="chat", subject="large"),
        action("unended", 90, end=None),
        action("too-late", 90, end=101),
        action("refused", 30, verdict="deny", end=30),
        action("req_1", 40, kind="approval", verdict="redeemed", principal="person/ada"),
        action("req_2", 41, kind="approval", verdict="denied"),
        action("run_child", 50, kind="run", run="run_child", operation="invoke_agent"),
        action("clerk/t/1", 60, kind="reported", source="agent", operation="search_memory"),
        action("clerk/t/2", 61, kind="reported", source="agent", operation="retrieval"),
        action("clerk/t/3", 62, kind="reported", source="agent", operation="chain"),
        action("clerk/t/4", 63, kind="reported", source="agent",
               links=(Link("t", "s-result", "said"),)),
        asked,
    )  # fmt: skip
    above = told("run_0", 0, action("before", -9, run="run_0"), action("during", -3, end=7))
    rests = resting.rests(asked, (found, above))
    assert [(one.basis, one.key) for one in rests] == [
        ("retrieval", "clerk/t/2"),
        ("memory", "clerk/t/1"),
        ("delegation", "run_child"),
        ("approval", "req_1"),
        ("model", "answer"),
        ("tool", "result"),
        ("tool", "before"),
    ]
    by_key = {one.key: one for one in rests}
    assert by_key["result"].digests == {"result": "sha256:r"}
    assert (by_key["req_1"].by, by_key["req_1"].outcome) == ("person/ada", "redeemed")
    assert resting.rules_of([action("x", 1, rule="b"), action("y", 1, rule="a"), own]) == ("a", "b")


_MANY = """
INSERT INTO spans (key, source, kind, run, trace, span, agent, version, operation, subject, start,
  "end", status, verdict, outcome, cost_micros, input_tokens, output_tokens, calls, refusals,
  classes)
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :most)
SELECT 'k' || i, 'plane', 'action', 'run_' || (i / 10), 't' || (i / 10), 's' || i,
  'agent-' || (i % 7), 1 + i / 60000, 'chat', 'model-' || (i % 3), i * 1000, i * 1000 + 5,
  'ok', 'permit', 'succeeded', i % 50, 1, 1, 0, 0, CASE WHEN i % 100 = 0 THEN 'email' END
FROM n
"""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_questions_look_at_their_period_only(store: Store) -> None:
    def fill(tx: Transaction) -> None:
        tx.silent("a test")
        tx.connection.execute(text(_MANY), {"most": 100_000})

    await store.write(fill)

    def plan(tx: Transaction, query: Select[Any]) -> str:
        words = str(query.compile(dialect=tx.connection.dialect,
                                  compile_kwargs={"literal_binds": True}))  # fmt: skip
        found = tx.connection.execute(text("EXPLAIN QUERY PLAN " + words.replace(":", r"\:")))
        return "\n".join(row[3] for row in found)

    def check(tx: Transaction) -> None:
        asked = spikes.Asked("cost", "model", 50_000_000, 60_000_000)
        period = "USING INDEX spans_by_start (start>? AND start<?)"
        assert period in plan(tx, spikes.query(asked, None))
        one = spikes.Asked("cost", "tool", 50_000_000, 60_000_000, "agent-1")
        assert "INDEX spans_by_agent (agent=? AND start>? AND" in plan(tx, spikes.query(one, None))
        data = "INDEX spans_with_data (start>? AND start<?)"
        assert data in plan(tx, touching.counts("email", 0, 90_000_000))
        assert data in plan(tx, touching.examples("email", 0, 90_000_000))
        for query in (resting.begun("run_7", 10**9), resting.opened("t7", "run_7", 10**9)):
            assert "SCAN" not in plan(tx, query), plan(tx, query)

    await store.scan(check)


async def test_what_a_document_asks_is_listed_or_counted_in_groups(store: Store) -> None:
    hour = 3_600_000_000
    await keep(
        store,
        action("a", 0, cost_micros=50),
        action("b", hour - 1, cost_micros=7, verdict="deny", status="error", rule="r"),
        action("c", hour, subject="large", status="error", end=hour + 90_000),
        action(RUN, 0, kind="run", operation="invoke_agent", cost_micros=57),
    )

    def groups(*by: GroupBy, order: QuestionOrder = "steps", limit: int = 10) -> Any:
        asked = saved.Query(Wanted(source="plane"), by, order, limit)
        return store.scan(lambda tx: saved.read_groups(tx, asked, None))

    found, more = await groups("hour", "kind", order="cost")
    assert not more
    assert [(one.values, one.steps, one.cost_micros) for one in found] == [
        (("1970-01-01T00:00:00Z", "action"), 2, 57),
        (("1970-01-01T00:00:00Z", "run"), 1, 0),
        (("1970-01-01T01:00:00Z", "action"), 1, 0),
    ]
    assert [(one.errors, one.refusals) for one in found] == [(0, 1), (0, 0), (1, 0)]
    (slow,), more = await groups("subject", "version", order="slowest", limit=1)
    assert (slow.values[0], slow.longest_ms, more) == ("large", 90, True)

    asked = saved.Query(Wanted(kind="action"), (), "cost", 2)
    steps, more = await store.scan(lambda tx: saved.read_steps(tx, asked, None))
    assert ([step.key for step in steps], more) == (["a", "b"], True)
    hidden = await store.scan(lambda tx: saved.read_steps(tx, asked, frozenset()))
    assert hidden == ([], False)
