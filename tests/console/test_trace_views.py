"""A run as a waterfall, two side by side, and answers: in words, whatever agents write."""

from __future__ import annotations

from typing import Any

from tests.console.samples import NOW, moment, read, seconds
from watchkeeper.console.panes.trace import step_of
from watchkeeper.console.views import answers, comparing, waterfall
from watchkeeper.console.views.waterfall import BAR, StepFile, Time
from watchkeeper.core.text import cell_width
from watchkeeper.wire.asking import (
    Compared,
    Comparison,
    Figures,
    Rest,
    RestedOn,
    Spike,
    SpikePart,
    Step,
    Touch,
    Touched,
    Toucher,
    Under,
)
from watchkeeper.wire.plane import EventRow
from watchkeeper.wire.traces import ContentRow, Contents, SpanLink, SpanMark, SpanRow

RUN = "run_01jd0000000000000000000001"
BEGAN = NOW - seconds(60)
HOSTILE = "\x1b[2J\x1b]0;approved\x07 \u202e[/red] ok"


def step(**changed: Any) -> SpanRow:
    fields: dict[str, Any] = {
        "key": "dec_01jd0000000000000000000002", "source": "plane", "kind": "action", "run": RUN,
        "trace": "0" * 32, "span": "1" * 16, "parent": None, "agent": "clerk", "version": 3,
        "operation": "execute_tool", "subject": "books.refund",
        "name": "execute_tool books.refund", "start": BEGAN, "end": BEGAN + seconds(6),
        "took_ms": 6000, "status": "ok", "verdict": "permit", "outcome": "succeeded",
        "rule": "policy/p", "error": None, "request": None, "sequence": 7, "principal": "user/ada",
        "attributes": {"gen_ai.tool.name": "books.refund"},
    }  # fmt: skip
    return SpanRow(**{**fields, **changed})


def cells(row: SpanRow, time: Time | None = None) -> dict[str, str]:
    found = waterfall.cells(row, time or Time(BEGAN, BEGAN + seconds(12)), moment())
    return {name: str(one.text) for name, one in found.items()}


def test_a_line_says_when_how_and_at_what_cost() -> None:
    links = (SpanLink(trace="t", span="s", relation="approval"),)
    row = step(start=BEGAN + seconds(3), end=BEGAN + seconds(6), depth=2, cost_micros=1_500_000,
               input_tokens=1000, output_tokens=204, links=links)  # fmt: skip
    assert cells(row) == {
        "at": "+3.000",
        "bar": "   ━━━",
        "took": "3.000",
        "step": "    books.refund →",
        "how": "✓ done",
        "cost": "$1.50",
        "tokens": "1,204",
        "why": "policy/p",
    }


def test_bars_stay_within_their_column_whatever_times_agents_tell() -> None:
    time = Time(BEGAN, BEGAN + seconds(12), live=True)
    for start in (-100, 0, 5, 12, 10**6):
        for took in (None, -5, 0, 1, 10**6):
            start_at = BEGAN + seconds(start)
            end = None if took is None else start_at + seconds(took)
            drawn = waterfall.bar(step(start=start_at, end=end), time, NOW)
            assert 0 < len(drawn) <= BAR, (start, took, drawn)
    assert waterfall.bar(step(end=BEGAN), time, NOW) == "│"
    assert waterfall.bar(step(end=None), time, NOW) == "━" * (BAR - 1) + "▸"
    assert waterfall.bar(step(), Time(), NOW)


def test_how_a_step_went_is_a_word_and_a_symbol() -> None:
    def how(**changed: Any) -> str:
        return waterfall.how(step(**changed)).text

    assert how(verdict="deny") == "✗ denied"
    assert how(verdict="hold", outcome=None) == "◐ held"
    assert how(outcome="running", end=None) == "● running"
    assert how(outcome="failed") == "✗ failed"
    assert how(kind="run", outcome="stopped", verdict=None) == "■ stopped"
    assert how(kind="run", outcome="running", verdict=None) == "● open"
    assert how(kind="approval", verdict="redeemed") == "● running"
    told = {"kind": "reported", "source": "agent", "verdict": None, "outcome": None}
    assert [how(**told, status=one) for one in ("unset", "ok", "error")] == [
        "· told", "✓ done", "✗ failed",
    ]  # fmt: skip


def test_what_a_waterfall_covers_grows_with_its_rows() -> None:
    first = Time().with_rows([step(end=BEGAN + 5)])
    assert first == Time(BEGAN, BEGAN + 5)
    later = first.with_rows([step(start=BEGAN + 9, end=None)])
    assert later == Time(BEGAN, BEGAN + 9, live=True)
    assert later.until(NOW) == NOW
    assert first.until(NOW) == BEGAN + 5
    assert Time().with_rows([]) == Time()


def test_a_filter_finds_every_word_of_a_line() -> None:
    row = step(verdict="deny", error="no such charge", classes=("email",))
    assert waterfall.matches(row, "denied refund")
    assert waterfall.matches(row, "POLICY/p email charge")
    assert not waterfall.matches(row, "denied other")


def test_the_detail_of_a_step_tells_decision_use_links_and_contents() -> None:
    kept = Contents(
        key="dec_1", run=RUN, agent="clerk", name="x",
        rows=(
            ContentRow(part="input", kind="json", text=HOSTILE, digest="sha256:7f", size=9, at=1),
            ContentRow(part="output", kind="text", text=None, digest="sha256:8a", size=20, at=1,
                       left_out="zero retention"),
        ),
    )  # fmt: skip
    row = step(
        request="req_1",
        error=HOSTILE,
        classes=("email",),
        links=(SpanLink(trace="t", span="abcd", relation="approval"),),
        marks=(SpanMark(at=NOW, name="outcome.recorded", text=HOSTILE),),
        attributes={"gen_ai.tool.name": HOSTILE},
    )
    text = read(waterfall.blocks(row, StepFile(kept), moment()))
    for said in (
        "permitted", "policy/p", "user/ada", "req_1  (o opens it)", "7 of the ledger  (e opens it)",
        "6.000 s", "email", "ran or waits under this approval", "not kept: zero retention",
        "sha256:8a", "Whoever may read in the team of clerk", "outcome.recorded",
        "gen_ai.tool.name",
    ):  # fmt: skip
        assert said in text, said
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[/red]" in text
    assert "reading …" in read(waterfall.blocks(row, None, moment()))
    assert "purged" in read(waterfall.blocks(row, StepFile(no_contents="purged"), moment()))
    told = step(source="agent", kind="reported", verdict=None, sequence=None)
    assert "the plane did not see it" in read(waterfall.blocks(told, StepFile(), moment()))


def test_an_entry_and_a_request_lead_to_their_step() -> None:
    entry = EventRow(
        sequence=1, at=NOW, type="decision.denied", actor="agent/clerk", subject="decision/dec_1",
        agent="clerk", run=RUN, request=None, text="x", body={}, leaf_hash="", chain_hash="",
    )  # fmt: skip
    assert step_of(entry) == f"{RUN}:dec_1"
    asked = entry.model_copy(update={"subject": "request/req_1", "request": "req_1"})
    assert step_of(asked) == f"{RUN}:req_1"
    assert step_of(entry.model_copy(update={"subject": f"run/{RUN}"})) == f"{RUN}:{RUN}"
    assert step_of(entry.model_copy(update={"run": None})) is None
    assert step_of(None) is None


def figures(**changed: Any) -> Figures:
    fields: dict[str, Any] = {
        "run": RUN, "agent": "clerk", "version": 3, "outcome": "succeeded", "started": NOW,
        "took_ms": 6000, "cost_micros": 10_000, "tokens": 12, "calls": 4, "refusals": 1, "steps": 9,
    }  # fmt: skip
    return Figures(**{**fields, **changed})


def compared(change: Any, **more: Any) -> Compared:
    one = Step(key="dec_1", name="execute_tool x", verdict="permit", outcome="succeeded",
               rule="policy/p", took_ms=12, cost_micros=0, tokens=0)  # fmt: skip
    sides = {"a": None if change == "only_b" else one, "b": None if change == "only_a" else one}
    return Compared(change=change, **{**sides, **more})


def test_two_runs_are_told_with_what_is_the_same_folded() -> None:
    denied = compared("only_b").b
    assert denied is not None
    denied = denied.model_copy(update={"verdict": "deny", "outcome": None, "name": HOSTILE})
    rows = (
        *[compared("same")] * 6,
        compared("changed", differs=("outcome", "cost")),
        compared("only_a"),
        compared("only_b", b=denied),
    )
    found = Comparison(a=figures(), b=figures(outcome="running", took_ms=None), rows=rows,
                       missing=("one still runs",))  # fmt: skip
    text = read(comparing.blocks(found), 150)
    for said in (
        "clerk version 3", "● open", "6 steps the same, 3 not", "… 4 more the same",
        "differs in outcome, cost", "− only A", "+ only B", "✗ denied  by policy/p",
        "one still runs",
    ):  # fmt: skip
        assert said in text, said
    assert "\x1b" not in text


LIMITS: dict[str, Any] = {
    "since": NOW - seconds(86_400), "until": NOW, "counted": "what was counted",
    "missing": ("what is missing",),
}  # fmt: skip


def test_answers_say_what_they_counted_and_what_is_missing() -> None:
    part = SpikePart(agent="clerk", version=3, what="large", before=1_000_000, during=5_000_000,
                     rise=4_000_000, share=0.8, calls_before=3, calls=9, runs=2)  # fmt: skip
    spike = Spike(**LIMITS, measure="cost", by="model", before_since=1, before=1_000_000,
                  during=6_000_000, rows=(part,), left_out=2)  # fmt: skip
    told = read(answers.spike_blocks(spike, moment()))
    for said in ("cost rose: $1.00", "clerk version 3  large", "+$4.00", "80% of the rise",
                 "calls 3 > 9, 2 runs", "2 more add less"):  # fmt: skip
        assert said in told, said

    touch = Touch(key="dec_01jd0000000000000000000002", run=RUN, name=HOSTILE, at=NOW)
    toucher = Toucher(agent="clerk", versions=(2, 3), actions=5, runs=2, first=NOW - 9, last=NOW,
                      examples=(touch,))  # fmt: skip
    touched = read(
        answers.touched_blocks(Touched(**LIMITS, data="email", rows=(toucher,)), moment())
    )
    assert "clerk version 2, 3" in touched
    assert "5 actions in 2 runs" in touched
    assert "\x1b" not in touched
    none = read(answers.touched_blocks(Touched(**LIMITS, data="iban", rows=()), moment()))
    assert "No agent is known" in none

    rest = Rest(basis="approval", key="req_1", run=RUN, agent="clerk", name=HOSTILE, at=NOW,
                outcome="redeemed", rule=None, source="agent", by="person/ada",
                digests={"call": "sha256:" + "7" * 64})  # fmt: skip
    under = Under(run=RUN, agent="clerk", version=3, principal="user/bob", contract="sha256:5",
                  epoch=4, rules=("policy/p",))  # fmt: skip
    rested = read(
        answers.rested_on_blocks(
            RestedOn(**LIMITS, key="dec_1", run=RUN, name="x", runs=(under, under),
                     policies={"base": "sha256:6"}, rows=(rest,)),
            moment(),
        ),
        100,
    )  # fmt: skip
    for said in (
        "The run above", "clerk, version 3", "user/bob", "number 4", "policy/p", "base",
        "approval (the agent's word)", "by person/ada", "call sha256:777777777777",
    ):  # fmt: skip
        assert said in rested, said
    for answer in (told, touched, none, rested):
        assert "what was counted" in answer
        assert "what is missing" in answer
        assert all(cell_width(line) <= 100 for line in answer.split("\n"))
