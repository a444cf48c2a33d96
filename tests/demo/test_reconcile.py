"""The report finds what does not add up; it would be worth nothing if it could not."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.demo.reconcile import LEEWAY_US, Call, governed_names, reconcile
from watchkeeper.wire.plane import EventRow

REFUND = {"charge_id": "ch_0084", "amount_usd": 40, "reason": "broken"}
TOOL = "stripe.create_refund"


def event(type_: str, at: int, *, request: str | None = None, **body: Any) -> EventRow:
    return EventRow(
        sequence=at, at=at, type=type_, actor="a", subject="s", request=request, text="", body=body
    )


def permit(decision: str, at: int, until: int | None = None, tool: str = TOOL) -> list[EventRow]:
    found = [event("decision.permitted", at, decision=decision, kind="tool", name=tool)]
    if until is not None:
        found.append(event("outcome.recorded", until, decision=decision, name=tool))
    return found


def used_approval(request: str) -> list[EventRow]:
    return [
        event("request.approved", 1, request=request),
        event("grant.redeemed", 2, request=request),
    ]


def call(at: int, tool: str = TOOL, **changed: Any) -> Call:
    return Call(tool, {**REFUND, **changed}, at, True)


ASKED = {"req_1": {**REFUND, "tool": TOOL}}


def test_a_refund_with_its_used_approval_adds_up() -> None:
    books = reconcile(used_approval("req_1"), [], [call(5)], ASKED)
    assert books.refunds_without_approval == ()


def test_a_second_refund_on_one_approval_is_found() -> None:
    books = reconcile(used_approval("req_1"), [], [call(5), call(6)], ASKED)
    assert len(books.refunds_without_approval) == 1


def test_an_approval_that_was_not_used_or_differs_covers_nothing() -> None:
    approved_only = used_approval("req_1")[:1]
    assert reconcile(approved_only, [], [call(5)], ASKED).refunds_without_approval
    dearer = [call(5, amount_usd=41)]
    assert reconcile(used_approval("req_1"), [], dearer, ASKED).refunds_without_approval


def test_a_call_without_a_permit_is_found() -> None:
    second = 1_000_000
    events = permit("dec_1", second, 2 * second)
    assert not reconcile(events, [call(second + 5)], [], {}).calls_without_event
    assert reconcile(events, [call(9 * second)], [], {}).calls_without_event
    assert reconcile(events, [call(second, tool="x")], [], {}).calls_without_event
    both = [call(second + 5), call(second + 6)]
    assert len(reconcile(events, both, [], {}).calls_without_event) == 1


def test_a_call_whose_outcome_was_never_recorded_still_has_its_permit() -> None:
    assert not reconcile(permit("dec_1", 10), [call(9_000_000)], [], {}).calls_without_event


def test_a_preview_covers_one_reading_call_and_no_other() -> None:
    read = Call("stripe.lookup_charge", {"charge_id": "ch_0084"}, 2_000_000, True)
    events = [
        event("request.created", 1_000_000, request="req_1"),
        event("request.previewed", 3_000_000, request="req_1"),
    ]
    assert not reconcile(events, [read], [], ASKED).calls_without_event
    assert len(reconcile(events, [read, read], [], ASKED).calls_without_event) == 1
    assert reconcile(events, [call(2_000_000)], [], ASKED).calls_without_event


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=12))
def test_calls_inside_their_permits_always_add_up(spans: list[tuple[int, int]]) -> None:
    step = LEEWAY_US * 3
    events: list[EventRow] = []
    calls = []
    for number, (start, length) in enumerate(spans):
        events += permit(f"dec_{number}", start * step, (start + length) * step)
        calls.append(call((start + length // 2) * step))
    assert reconcile(events, calls, [], {}).calls_without_event == ()
    if calls:
        more = [*calls, calls[0]]
        assert len(reconcile(events, more, [], {}).calls_without_event) == 1


def test_servers_tools_are_known_by_their_governed_names() -> None:
    assert governed_names()["payments", "create_refund"] == TOOL
    assert governed_names()["documents", "send_summary"] == "mail.send_summary"
