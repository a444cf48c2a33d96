"""What needs a person now, in the order in which it does."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from tests.tools.pins.ground import Record, definition
from watchkeeper.api.needs import (
    from_agent,
    from_budget,
    from_no_coverage,
    from_quarantine,
    from_request,
    from_uncovered,
    from_upstream,
    rank,
)
from watchkeeper.api.stopped_needs import from_incident, from_lock
from watchkeeper.approvals.coverage import Uncovered
from watchkeeper.wire.agents import AgentRow
from watchkeeper.wire.budgets import BudgetRow
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.incidents import IncidentRow
from watchkeeper.wire.locks import LockRow, Receipt, Target
from watchkeeper.wire.plane import Need, UpstreamRow
from watchkeeper.wire.requests import RequestRow

NOW = 1_800_000_000_000_000
SECOND = 1_000_000


def request(name: str = "req_1", *, age: int = 0, left: int = 900, **more: Any) -> RequestRow:
    fields: dict[str, Any] = {
        "request": name,
        "state": "pending",
        "risk": "medium",
        "agent": "clerk",
        "run": "run_1",
        "tool": "books.create_refund",
        "asks": "refund charge ch_1",
        "role": "finance-ops",
        "level": 1,
        "levels": 2,
        "approvals": 0,
        "quorum": 1,
        "created_at": NOW - age * SECOND,
        "decide_by": NOW + left * SECOND,
        "digest": "sha256:0",
        "mine": True,
    }
    return RequestRow(**(fields | more))


def budget(**more: Any) -> BudgetRow:
    fields: dict[str, Any] = {
        "budget": "all/day/spend",
        "scope": "all",
        "measure": "spend",
        "period": "day",
        "period_key": "2027-01-15",
        "cap": 100,
        "topped_up": 0,
        "posted": 100,
        "held": 0,
        "state": "exhausted",
        "refused": 3,
    }
    return BudgetRow(**(fields | more))


def incident(severity: Any) -> IncidentRow:
    return IncidentRow(
        incident="inc_1", title="wrong refunds", severity=severity, state="open", owner="ada",
        targets=(), in_force=1, opened_at=NOW, opened_by="person/ada", since=NOW, sequence=1,
    )  # fmt: skip


def agent(**more: Any) -> AgentRow:
    fields: dict[str, Any] = {
        "name": "clerk",
        "owner": "finance-ops",
        "version": 1,
        "state": "working",
        "doing": "reads",
        "open_runs": 1,
        "calls_hour": 10,
        "denied_hour": 0,
        "held": 0,
        "spend_hour_micros": 0,
        "spend_day_micros": 0,
    }
    return AgentRow(**(fields | more))


def test_harm_comes_before_age() -> None:
    risky = from_request(request("req_a", risk="critical"), NOW)
    plain = from_request(request("req_b", risk="low"), NOW)
    assert rank([plain, risky])[0] is risky


def test_a_grave_incident_stands_above_what_would_do_less_harm() -> None:
    grave = from_incident(incident("high"), NOW, mine=True)
    due = from_request(request(age=800, left=1), NOW)
    lost = from_agent(agent(state="silent", health="lost"), NOW)
    assert lost is not None
    assert rank([lost, due, grave])[0] is grave


@given(
    st.lists(
        st.builds(
            Need,
            need=st.text(min_size=1, max_size=3),
            kind=st.just("agent"),
            subject=st.just("clerk"),
            score=st.integers(0, 400),
            risk=st.sampled_from(get_args(Risk)),
            text=st.just("it is lost"),
            todo=st.just("look"),
            due_at=st.none() | st.integers(NOW, NOW + 9),
            since=st.integers(NOW - 9, NOW),
        ),
        max_size=8,
    )
)
def test_needs_are_in_order_of_harm_then_urgency_then_what_is_due(needs: list[Need]) -> None:
    ranked = rank(needs)
    assert sorted(map(repr, ranked)) == sorted(map(repr, needs)), "none is lost"
    gravest_first = ["critical", "high", "medium", "low"]
    for above, below in pairwise(ranked):
        harms = [gravest_first.index(one.risk) for one in (above, below)]
        assert harms == sorted(harms)
        if above.risk == below.risk:
            assert above.score >= below.score
            if above.score == below.score:
                assert (above.due_at or above.since) <= (below.due_at or below.since)


def test_the_same_harm_is_ranked_by_time_left() -> None:
    late = from_request(request("req_a", age=800, left=100), NOW)
    fresh = from_request(request("req_b", age=10, left=890), NOW)
    assert rank([fresh, late]) == (late, fresh)


def test_money_doubles_harm_and_what_is_not_mine_sinks() -> None:
    plain = from_request(request(), NOW)
    large = from_request(request(amount_micros=4_000_000_000), NOW)
    others = from_request(request(mine=False, why_not="legal decides"), NOW)
    assert large.score == 2 * plain.score
    assert others.score < plain.score
    assert others.todo == "legal decides"


@given(st.integers(0, 3600), st.integers(-600, 3600), st.integers(0, 600))
def test_waiting_never_lowers_the_score(age: int, left: int, wait: int) -> None:
    row = request(age=age, left=left)
    assert from_request(row, NOW + wait * SECOND).score >= from_request(row, NOW).score


def test_a_budget_matters_once_it_refuses_or_soon_will() -> None:
    assert from_budget(budget(refused=0), NOW, mine=True) is None
    stopped = from_budget(budget(), NOW, mine=True)
    assert stopped is not None
    assert "refused 3 actions" in stopped.text
    soon = budget(state="warning", refused=0, exhausts_at=NOW + 600 * SECOND)
    running_out = from_budget(soon, NOW, mine=True)
    assert running_out is not None
    assert "10 min" in running_out.text
    far = budget(state="ok", refused=0, exhausts_at=NOW + 7200 * SECOND)
    assert from_budget(far, NOW, mine=True) is None


def test_an_unconfirmed_effect_makes_a_lock_press() -> None:
    def lock(state: Any, kind: Any = "everything") -> LockRow:
        receipt = Receipt(
            effect="stop run", party="runtime/graphs", state=state, detail="", at=NOW, after_ms=1
        )
        return LockRow(
            lock="lock_1",
            target=Target(kind=kind, name="*" if kind == "everything" else "books"),
            mode="stop",
            reason="drill",
            by="person/ada",
            epoch=1,
            created_at=NOW,
            receipts=(receipt,),
        )

    sure = from_lock(lock("acknowledged"), NOW, mine=True)
    unsure = from_lock(lock("unconfirmed"), NOW, mine=True)
    some = from_lock(lock("acknowledged", "tool"), NOW, mine=True)
    assert unsure.score > sure.score
    assert unsure.todo == "check by hand: stop run (runtime/graphs)"
    assert sure.score > some.score, "all work stands still"
    assert sure.risk == unsure.risk == "high"
    assert sure.text == "stop on everything by ada: drill"


def test_agents_and_upstreams_that_are_well_need_nobody() -> None:
    assert from_agent(agent(), NOW) is None
    assert from_agent(agent(state="silent"), NOW) is not None
    assert from_agent(agent(calls_hour=30, denied_hour=25), NOW) is not None
    up = UpstreamRow(name="books", kind="mcp-http", state="up")
    assert from_upstream(up, NOW) is None
    down = from_upstream(up.model_copy(update={"state": "down", "detail": "refused"}), NOW)
    assert down is not None
    assert down.text == "books does not answer: refused"


def test_a_changed_tool_presses_more_than_one_that_nobody_calls() -> None:
    record = Record("create_refund")
    record.hear(definition())
    record.hear(definition(description="Other."), definition("x\x1b[2J"), definition("y"))
    changed = record.pins.pop("create_refund")
    stops = from_quarantine(changed, ("books.refund",), mine=True)
    others = from_uncovered("books", list(record.pins.values()), mine=True)
    assert stops.text == (
        "books/create_refund was changed, which stops books.refund: "
        "it is not as it was pinned: description changed"
    )
    assert others.text == "books offers 2 tools that are new and without a contract"
    unknown = from_uncovered("books", [changed], mine=True)
    assert unknown.text == "books offers a tool that is new or changed and without a contract"
    assert stops.score > others.score
    assert from_quarantine(changed, (), mine=False).score < stops.score
    (strange, _) = sorted(record.pins.values(), key=lambda pin: pin.tool)
    assert "\x1b" not in from_quarantine(strange, (), mine=True).text


def test_who_is_on_it_is_said_and_nobody_on_call_comes_first() -> None:
    busy = from_request(request(acknowledged_by="person/ada", acknowledged_until=NOW), NOW)
    assert "ada is on it" in busy.text
    lost = Uncovered("req_1", "clerk", ("ops", "lead"), NOW, NOW + 60 * SECOND)
    alone = from_no_coverage([lost], mine=True)
    assert alone is not None
    assert "ops, lead: a request waits" in alone.text
    assert rank([busy, alone])[0] == alone
    assert from_no_coverage([], mine=True) is None
