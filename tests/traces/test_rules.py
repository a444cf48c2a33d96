"""What the ledger's entries are as spans."""

from __future__ import annotations

from typing import Any

import pytest

from tests.traces.entries import (
    CALLER,
    DECISION,
    REQUEST,
    RUN,
    about,
    as_events,
    asked,
    closed,
    decided,
    ended,
    entry,
    opened,
)
from watchkeeper.core.tracing import TraceContext, read_traceparent, span_of, trace_of
from watchkeeper.traces.attributes import attributes_of
from watchkeeper.traces.exporting import ended_in
from watchkeeper.traces.model import MOST_MARKS, Link, Span
from watchkeeper.traces.service import Ahead, tell


def spans_of(*entries: dict[str, Any]) -> dict[str, Span]:
    return {span.key: span for span in tell(Ahead(0, as_events(list(entries)), {})).changed}


def test_a_run_is_an_invocation_of_its_agent_and_sums_up_what_it_used() -> None:
    found = spans_of(
        opened(),
        decided(kind="model", name="small", decision="dec_a"),
        ended("dec_a", kind="model", name="small"),
        decided("denied", "dec_b"),
        decided(decision="dec_c"),
        ended("dec_c"),
        closed(),
    )
    run = found[RUN]
    assert run.name == "invoke_agent clerk"
    assert (run.trace, run.span, run.parent) == (trace_of(RUN), span_of(RUN), None)
    assert (run.start, run.end, run.status, run.outcome) == (
        1_000_000,
        7_000_000,
        "ok",
        "succeeded",
    )
    assert (run.calls, run.refusals, run.cost_micros, run.input_tokens) == (2, 1, 400, 20)
    assert run.principal == "user/ada"
    assert {found[key].parent for key in ("dec_a", "dec_b", "dec_c")} == {run.span}
    assert [found[key].name for key in ("dec_a", "dec_c")] == [
        "chat small",
        "execute_tool books.refund",
    ]


def test_a_call_takes_from_permit_to_outcome_and_keeps_who_answered() -> None:
    call = spans_of(
        opened(),
        decided(kind="model", name="small", classes_in="email"),
        ended(provider="local", provider_model="small-1", classes_out="card", first_token_ms=90),
    )[DECISION]
    assert (call.start, call.end) == (2_000_000, 3_000_000)
    assert (call.verdict, call.outcome, call.status) == ("permit", "succeeded", "ok")
    assert call.classes == ("card", "email")
    told = attributes_of(call)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.request.model"] == "small"
    assert told["gen_ai.response.model"] == "small-1"
    assert told["gen_ai.provider.name"] == "local"
    assert told["gen_ai.usage.output_tokens"] == 5
    assert told["watchkeeper.rule"] == "policy/p"
    assert told["gen_ai.response.time_to_first_chunk"] == 0.09
    assert told["watchkeeper.cost_usd"] == 0.0002


def test_an_answer_is_called_what_its_provider_calls_it() -> None:
    said = {"id": "chatcmpl-7", "model": "small-1-2026", "finish_reasons": ["stop"]}
    call = spans_of(
        opened(),
        decided(kind="model", name="small"),
        ended(provider="local", provider_model="small-1", response=said, reasoning_tokens=3),
    )[DECISION]
    told = attributes_of(call)
    assert told["gen_ai.response.id"] == "chatcmpl-7"
    assert told["gen_ai.response.model"] == "small-1-2026"
    assert told["gen_ai.response.finish_reasons"] == ["stop"]
    assert told["gen_ai.usage.reasoning.output_tokens"] == 3


def test_a_tool_that_retrieves_is_told_with_its_source() -> None:
    call = spans_of(opened(), decided(name="docs.search", source="handbook"), ended())[DECISION]
    assert call.name == "retrieval docs.search"
    told = attributes_of(call)
    assert told["gen_ai.operation.name"] == "retrieval"
    assert told["gen_ai.data_source.id"] == "handbook"
    assert (told["gen_ai.tool.name"], told["gen_ai.tool.call.id"]) == ("docs.search", DECISION)


def test_what_somebody_asked_is_a_moment_below_the_run_and_above_what_comes_of_it() -> None:
    said = entry("run.asked", "prompt/ask_1", digest="sha256:0", size=3)
    below = TraceContext(trace_of(RUN), span_of("ask_1")).text()
    entries = [opened(), said, decided(traceparent=below)]
    found = spans_of(*entries)
    prompt = found["ask_1"]
    assert (prompt.name, prompt.kind, prompt.parent) == ("user_request", "prompt", span_of(RUN))
    assert (prompt.start, prompt.end, prompt.principal) == (2_000_000, 2_000_000, "user/ada")
    assert found[DECISION].parent == prompt.span
    assert found[RUN].marks == ()
    assert "ask_1" in [span.key for span in ended_in(as_events(entries), found)]


@pytest.mark.parametrize(("endpoint", "operation"), [("embeddings", "embeddings"), (None, "chat")])
def test_an_embedding_is_no_chat(endpoint: str | None, operation: str) -> None:
    more = {} if endpoint is None else {"endpoint": endpoint}
    assert spans_of(decided(kind="model", name="m", **more))[DECISION].operation == operation


def test_an_approval_stands_below_what_was_held_and_what_then_ran_links_to_it() -> None:
    found = spans_of(
        opened(),
        asked(),
        decided("held", request=REQUEST),
        about("vote.cast", text="grace approves as ops"),
        about("request.approved", by="grace"),
        decided(decision="dec_2", request=REQUEST, approved_by=["grace"]),
        about("grant.redeemed"),
        ended("dec_2"),
    )
    held, approval, ran = found[DECISION], found[REQUEST], found["dec_2"]
    assert (held.verdict, held.status, held.start) == ("hold", "unset", held.end)
    assert approval.parent == held.span
    assert approval.name == "approval refund $5"
    assert (approval.start, approval.end, approval.status) == (2_000_000, 5_000_000, "ok")
    assert (approval.verdict, approval.principal) == ("redeemed", "grace")
    assert approval.links == (Link(held.trace, held.span, "held"),)
    assert [mark.name for mark in approval.marks] == [
        "vote.cast", "request.approved", "grant.redeemed",
    ]  # fmt: skip
    assert Link(approval.trace, approval.span, "approval") in ran.links
    assert attributes_of(ran)["watchkeeper.approved_by"] == ["grace"]
    assert found[RUN].refusals == 0


@pytest.mark.parametrize("how", ["denied", "expired", "cancelled", "superseded"])
def test_an_approval_that_was_not_given_is_an_error(how: str) -> None:
    approval = spans_of(asked(), decided("held", request=REQUEST), about(f"request.{how}"))[REQUEST]
    assert (approval.verdict, approval.status) == (how, "error")


def test_an_approval_taken_back_later_ended_when_it_was_given() -> None:
    approval = spans_of(asked(), about("request.approved", by="grace"), about("request.revoked"))[
        REQUEST
    ]
    assert (approval.end, approval.verdict, approval.status) == (2_000_000, "revoked", "error")


def test_a_call_with_trace_context_belongs_to_its_callers_trace_with_its_approval() -> None:
    context = read_traceparent(CALLER)
    assert context is not None
    found = spans_of(opened(), asked(), decided("held", request=REQUEST, traceparent=CALLER))
    held, approval = found[DECISION], found[REQUEST]
    assert (held.trace, held.parent) == context
    assert (approval.trace, approval.parent) == (context.trace, held.span)
    assert approval.links == (Link(context.trace, held.span, "held"),)
    assert found[RUN].trace == trace_of(RUN)


def test_a_run_opened_with_trace_context_has_its_own_trace_and_links_to_the_caller() -> None:
    context = read_traceparent(CALLER)
    assert context is not None
    found = spans_of(opened(traceparent=CALLER), decided())
    assert found[RUN].links == (Link(*context, "caller"),)
    assert {span.trace for span in found.values()} == {trace_of(RUN)}


def test_a_late_report_replaces_what_was_presumed() -> None:
    found = spans_of(
        opened(),
        decided(),
        ended(status="unknown", error="nobody reported how it ended"),
        ended(cost_micros=700),
    )
    assert (found[DECISION].outcome, found[DECISION].error) == ("succeeded", None)
    assert found[RUN].cost_micros == 700


def test_a_person_who_settles_an_unknown_outcome_has_the_last_word() -> None:
    said = entry("outcome.reconciled", f"decision/{DECISION}", status="failed", text="not done")
    call = spans_of(opened(), decided(), ended(status="unknown"), said)[DECISION]
    assert (call.outcome, call.status, call.marks[-1].text) == ("failed", "error", "not done")


def test_a_stopped_run_ends_when_it_is_stopped() -> None:
    stopped = entry("run.stopped", f"run/{RUN}", lock="lock_1", reason="a drill")
    run = spans_of(opened(), stopped)[RUN]
    assert (run.end, run.outcome, run.rule, run.error) == (
        2_000_000, "stopped", "lock/lock_1", "a drill",
    )  # fmt: skip
    again = spans_of(opened(), stopped, closed(outcome="stopped"))[RUN]
    assert (again.end, again.outcome, again.status) == (3_000_000, "stopped", "error")


def test_a_run_that_was_refused_is_told_too() -> None:
    refused = entry(
        "run.refused", "agent/clerk", run=None, rule="lock/1", reason="locked", goal="x"
    )
    (span,) = spans_of(refused).values()
    assert (span.status, span.verdict, span.run, span.rule) == ("error", "deny", None, "lock/1")


def test_what_else_happens_is_marked_on_what_it_happened_to() -> None:
    found = spans_of(
        opened(),
        decided(),
        entry("hold.extended", f"decision/{DECISION}", more={"retries": 1}),
        entry("budget.warned", "budget/b", text="80 % used"),
        entry("run.token_renewed", f"run/{RUN}", expires_at=1),
    )
    assert [mark.name for mark in found[DECISION].marks] == ["hold.extended"]
    assert [(mark.name, mark.text) for mark in found[RUN].marks] == [("budget.warned", "80 % used")]


def test_marks_are_bounded_and_keep_the_first_and_the_newest() -> None:
    many = [entry("budget.warned", "budget/b", text=str(number)) for number in range(200)]
    marks = spans_of(opened(), *many)[RUN].marks
    assert len(marks) == MOST_MARKS
    assert (marks[0].text, marks[-1].text) == ("0", "199")


def test_a_child_run_stands_below_the_run_that_opened_it() -> None:
    child = opened("run_2", parent=RUN)
    grandchild = opened("run_3", parent="run_2", root=RUN)
    found = spans_of(opened(), child, grandchild)
    assert {span.trace for span in found.values()} == {trace_of(RUN)}
    assert (found["run_2"].parent, found["run_3"].parent) == (found[RUN].span, span_of("run_2"))


@pytest.mark.parametrize(
    "text",
    [
        "", "00", CALLER.upper(), CALLER.replace("-", "_"), CALLER + "-00", "ff" + CALLER[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        CALLER + "\n", "٠٠" + CALLER[2:], 7, None, CALLER[:-1], "01" + CALLER[2:] + "-" + "a" * 999,
    ],
)  # fmt: skip
def test_what_is_no_trace_context_is_passed_over(text: object) -> None:
    assert read_traceparent(text) is None


def test_a_later_version_of_trace_context_is_read_as_far_as_it_is_known() -> None:
    assert read_traceparent("01" + CALLER[2:] + "-more") == read_traceparent(CALLER)
