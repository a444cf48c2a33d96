"""Calls that agents report and no gateway saw, and agents that nobody knows."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.cli.command import on
from tests.rig.agent import Agent, Run
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.world import agent_document
from tests.telemetry.said import send, span
from watchkeeper.core.tracing import TraceContext
from watchkeeper.decide.telemetry.bypass import GRACE_SECONDS


@pytest.fixture
def agent(plane: Plane, request: pytest.FixtureRequest) -> Agent:
    name = request.node.name.replace("_", "-").strip("]").replace("[", ".")[-60:].lstrip("-")
    plane.apply(agent_document(name))
    return plane.enrol(name)


def tool(number: int, at: int, name: str = "books_echo", **more: Any) -> Span:
    more = {"gen_ai__operation__name": "execute_tool", "gen_ai__tool__name": name, **more}
    return span(f"execute_tool {name}", number, at, **more)


def chat(number: int, at: int, model: str, **more: Any) -> Span:
    more = {"gen_ai__operation__name": "chat", "gen_ai__request__model": model, **more}
    return span(f"chat {model}", number, at, **more)


def now(plane: Plane) -> int:
    at: int = plane.operator.get("/v1/status")["now"]
    return at


def found(plane: Plane, agent: Agent) -> list[dict[str, Any]]:
    """Wait until all that was reported is looked for; return what was found."""
    plane.operator.get("/v1/spans")  # tells what was decided
    plane.advance(GRACE_SECONDS + 1)

    def waiting() -> int:
        shown: dict[str, int] = plane.operator.get("/v1/telemetry")
        return shown["waiting"]

    eventually(lambda: waiting() == 0, "every reported call is looked for")
    page = plane.operator.get("/v1/telemetry/findings", agent=agent.name)
    return [row for row in page["rows"] if row["kind"] == "bypass"]


def test_a_tool_that_no_gateway_saw_is_an_event_once_and_a_need(plane: Plane, agent: Agent) -> None:
    run, at = agent.open_run(), now(plane)
    assert run.decide("books.echo")["verdict"] == "permit"
    send(plane, run.token, tool(1, at), tool(2, at, "shell"), tool(3, at, "shell"))
    (row,) = found(plane, agent)
    assert (row["subject"], row["count"], row["run"]) == ("shell", 2, run.id)
    events = plane.events(type="telemetry.bypassed", agent=agent.name)
    assert [event["body"]["reported"] for event in events] == ["shell"]
    need = next(
        need for need in plane.operator.get("/v1/watch", limit=500)["rows"]
        if need["need"] == f"telemetry/bypass/{agent.name}"
    )  # fmt: skip
    assert "shell that no gateway saw (2 calls)" in need["text"]

    listed = on(plane, "telemetry", "findings", "--agent", agent.name).out
    assert row["finding"] in listed
    on(plane, "telemetry", "dismiss", row["finding"], "--reason", "a script of ours")
    assert found(plane, agent) == []
    again = plane.operator.problem(
        "POST", f"/v1/telemetry/findings/{row['finding']}/dismiss", {"reason": "x"}, status=409
    )
    assert again["code"] == "dismissed"
    assert "a script of ours" in on(plane, "telemetry", "findings", "--dismissed").out
    send(plane, run.token, tool(4, now(plane), "shell"))
    (row,) = found(plane, agent)
    assert (row["count"], row["dismissed_at"]) == (3, None)
    assert len(plane.events(type="telemetry.bypassed", agent=agent.name)) == 2


def test_each_decision_answers_for_one_call(plane: Plane, agent: Agent) -> None:
    run, at = agent.open_run(), now(plane)
    run.decide("books.echo")
    run.decide("books.unknown")  # denied, and seen
    once, denied = tool(1, at), tool(2, at, "mcp__books__unknown")
    send(plane, run.token, once, tool(3, at), denied)
    send(plane, run.token, once)  # the same span again is the same call
    (row,) = found(plane, agent)
    assert (row["subject"], row["count"]) == ("books_echo", 1)


def test_one_call_that_is_reported_by_two_instrumentations_is_one(
    plane: Plane, agent: Agent
) -> None:
    run, at = agent.open_run(), now(plane)
    run.decide("books.echo")
    inner = span("tools/call echo", 3, at, parent=2, mcp__method__name="tools/call",
                 gen_ai__tool__name="echo")  # fmt: skip
    send(plane, run.token, inner, span("POST", 2, at, parent=1))
    send(plane, run.token, tool(1, at))
    assert found(plane, agent) == []


def test_models_are_held_against_what_was_asked_for_and_what_answered(
    plane: Plane, agent: Agent
) -> None:
    run, at = agent.open_run(), now(plane)
    run.decide("small-fast", kind="model")
    send(plane, run.token, chat(1, at, "small-fast"), chat(2, at, "elsewhere-large"))
    assert [row["subject"] for row in found(plane, agent)] == ["elsewhere-large"]


def test_one_answer_that_two_instrumentations_report_is_one(plane: Plane, agent: Agent) -> None:
    run, at = agent.open_run(), now(plane)
    run.decide("small-fast", kind="model")
    answer = {"gen_ai__response__id": "msg_1"}
    whole = chat(1, at, "small-fast", trace=f"{0xB1:032x}", took=9_000, **answer)
    inner = chat(2, at + 1_000, "small-fast", trace=f"{0xB2:032x}", took=7_000, **answer)
    send(plane, run.token, whole, inner)
    assert found(plane, agent) == []
    again = chat(3, at, "small-fast", took=9_000, gen_ai__response__id="msg_2")
    later = chat(4, at + 60_000, "small-fast", **answer)
    send(plane, run.token, again, later)
    assert [row["count"] for row in found(plane, agent)] == [2]


def test_a_call_is_found_by_time_and_name_where_its_run_is_not_known(
    plane: Plane, agent: Agent
) -> None:
    run, at = agent.open_run(), now(plane)
    run.decide("books.echo")
    trace = f"{0xABC:032x}"
    send(plane, agent.credential, tool(1, at, trace=trace))
    long_ago = tool(2, at - 3_600_000_000, trace=f"{0xABD:032x}")
    send(plane, agent.credential, long_ago)
    assert [row["trace"] for row in found(plane, agent)] == [f"{0xABD:032x}"]
    (kept,) = plane.operator.get("/v1/spans", source="agent", run=run.id)["rows"]
    assert kept["trace"] == trace, "the call brought its trace into the run"
    assert kept["links"][0]["relation"] == "said"


def test_the_runs_of_others_answer_for_nothing(plane: Plane, agent: Agent) -> None:
    other, run, at = agent.open_run(), agent.open_run(), now(plane)
    context = TraceContext(f"{0xDEF:032x}", f"{9:016x}")
    other.decide("books.echo", traceparent=context.text())
    send(plane, run.token, tool(1, at, trace=f"{0xDE0:032x}"))
    assert [row["run"] for row in found(plane, agent)] == [run.id]


@pytest.mark.parametrize("named", ["decision", "other"])
def test_a_call_says_by_which_decision_it_was_permitted(
    plane: Plane, agent: Agent, named: str
) -> None:
    run, at = agent.open_run(), now(plane)
    decision = run.decide("books.echo")["decision"]
    call = decision if named == "decision" else "dec_none"
    # by another name, which nothing else would tell
    send(plane, run.token, tool(1, at, "repeat", gen_ai__tool__call__id=call))
    assert (found(plane, agent) == []) is (named == "decision")


def test_subjects_are_bounded(plane: Plane, agent: Agent) -> None:
    run, at = agent.open_run(), now(plane)
    send(plane, run.token, *(tool(n, at, f"tool-{n}") for n in range(1, 31)))
    rows = found(plane, agent)
    assert len(rows) == 21
    assert sum(row["count"] for row in rows) == 30
    assert "(others)" in {row["subject"] for row in rows}
    assert len(plane.events(type="telemetry.bypassed", agent=agent.name)) == 21


def test_an_agent_that_no_contract_names_is_shown(plane: Plane, agent: Agent) -> None:
    run: Run = agent.open_run()
    mine = span("invoke_agent", 1, now(plane), gen_ai__agent__name=agent.name)
    known = span("invoke_agent", 2, now(plane), gen_ai__agent__name="clerk")
    rogue = span("invoke_agent", 3, now(plane), gen_ai__agent__name="ghost\x1b[2J")
    send(plane, run.token, mine, known, rogue, rogue)
    (row,) = plane.operator.get("/v1/telemetry/findings", agent=agent.name)["rows"]
    assert (row["kind"], row["subject"], row["count"]) == ("unknown_agent", "ghost␛[2J", 1)
    (event,) = plane.events(type="telemetry.agent_unknown")
    assert event["text"] == f"ghost␛[2J works with the credentials of {agent.name}, " + (
        "and no contract names it"
    )
    needs = {need["need"] for need in plane.operator.get("/v1/watch", limit=500)["rows"]}
    assert f"telemetry/unknown_agent/{agent.name}" in needs


def test_the_status_says_what_came_in(plane: Plane, agent: Agent) -> None:
    send(plane, agent.credential, span("x", 1, now(plane)), span("y", 2, 1))
    told = on(plane, "telemetry", "status").out
    (line,) = (line for line in told.splitlines() if line.startswith(agent.name))
    assert line.split()[1:4] == ["1", "0", "1"]
    assert "no otlp_url is set" in told
