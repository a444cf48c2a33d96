"""What a plane takes of agents' telemetry, over HTTP as exporters send it."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.cli.command import on
from tests.rig.agent import Agent
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.world import agent_document
from tests.telemetry.said import PROTOBUF, post, request, send, span
from watchkeeper.core.tracing import TraceContext
from watchkeeper.decide.telemetry.meter import MOST_OF_ONE
from watchkeeper.decide.telemetry.strangers import QUIET_SECONDS

TOOL: dict[str, Any] = {
    "gen_ai__operation__name": "execute_tool",
    "gen_ai__tool__name": "books_echo",
}


@pytest.fixture(scope="module")
def clerk(plane: Plane) -> Agent:
    return plane.enrol("clerk")


def now(plane: Plane) -> int:
    at: int = plane.operator.get("/v1/status")["now"]
    return at


def rows(plane: Plane, **wanted: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = plane.operator.get("/v1/spans", source="agent", **wanted)["rows"]
    return found


@pytest.mark.parametrize("zipped", [False, True])
def test_spans_are_kept_with_the_run_whose_token_they_come_with(
    plane: Plane, clerk: Agent, zipped: bool
) -> None:
    run, trace = clerk.open_run(), f"{2 + zipped:032x}"
    sent = request(
        span("invoke_agent clerk", 1, now(plane), trace=trace, gen_ai__agent__name="clerk"),
        span("execute_tool books_echo", 2, now(plane), trace=trace, parent=1, **TOOL),
    )
    assert post(plane, run.token, sent.SerializeToString(), zipped=zipped).status_code == 200
    shown = plane.operator.get(f"/v1/traces/{run.id}")["rows"]
    outer, inner = (row for row in shown if row["source"] == "agent")
    assert (inner["operation"], inner["subject"]) == ("execute_tool", "books_echo")
    assert (outer["span"], inner["parent"]) == (f"{1:016x}", f"{1:016x}")
    assert inner["depth"] == outer["depth"] + 1
    assert inner["attributes"]["gen_ai.tool.name"] == "books_echo"


def test_json_is_taken_with_ids_in_hex(plane: Plane, clerk: Agent) -> None:
    run, at = clerk.open_run(), now(plane)
    one = {
        "traceId": f"{9:032X}",
        "spanId": f"{9:016x}",
        "name": "chat small-fast",
        "kind": 3,
        "startTimeUnixNano": str(at * 1000),
        "endTimeUnixNano": str(at * 1000 + 5_000_000),
        "attributes": [
            {"key": "openinference.span.kind", "value": {"stringValue": "LLM"}},
            {"key": "llm.model_name", "value": {"stringValue": "small-fast"}},
            {"key": "llm.token_count.prompt", "value": {"intValue": "12"}},
        ],
        "status": {"code": 2, "message": "it broke"},
        "unheardOf": True,
    }
    bad = {**one, "spanId": "not hex"}
    sent = {"resourceSpans": [{"scopeSpans": [{"spans": [one, bad, 7]}]}]}
    answered = post(plane, run.token, json.dumps(sent).encode(), kind="application/json")
    assert answered.json() == {
        "partialSuccess": {"rejectedSpans": "2", "errorMessage": "some spans are malformed"}
    }
    (kept,) = rows(plane, run=run.id)
    assert (kept["operation"], kept["subject"], kept["took_ms"]) == ("chat", "small-fast", 5)
    assert (kept["status"], kept["error"]) == ("error", "it broke")
    assert kept["attributes"]["llm.token_count.prompt"] == 12
    assert kept["input_tokens"] == 0, "what agents say is in no sum"


def test_spans_of_an_agents_own_credential_are_joined_by_what_they_say(
    plane: Plane, clerk: Agent
) -> None:
    named, called = clerk.open_run(), clerk.open_run()
    at, traces = now(plane), [f"{number:032x}" for number in range(20, 24)]
    by_conversation = span("a", 1, at, trace=traces[0], gen_ai__conversation__id=named.id)
    by_attribute = span("b", 1, at, trace=traces[1], watchkeeper__run=named.id)
    unknown = span("c", 1, at, trace=traces[2])
    send(plane, clerk.credential, by_conversation, by_attribute, unknown)
    send(plane, clerk.credential, span("d", 1, at, trace=traces[3]), session__id=named.id)
    assert {row["name"] for row in rows(plane, run=named.id)} == {"a", "b", "d"}

    context = TraceContext(traces[2], f"{1:016x}")
    called.decide("books.echo", traceparent=context.text())
    plane.operator.get("/v1/spans")  # tells what was decided
    send(plane, clerk.credential, span("e", 2, at, trace=traces[2]))
    assert {row["name"] for row in rows(plane, run=called.id)} == {"c", "e"}, (
        "what came before is joined too"
    )


def test_nobody_joins_the_run_of_another(plane: Plane, clerk: Agent) -> None:
    plane.apply(agent_document("thief"))
    run = clerk.open_run()
    send(plane, clerk.credential, span("mine", 1, now(plane), trace=f"{40:032x}"),
         watchkeeper__run=run.id)  # fmt: skip
    thief = plane.enrol("thief")
    theirs = span("theirs", 1, now(plane), trace=f"{40:032x}", watchkeeper__run=run.id)
    send(plane, thief.credential, theirs)
    assert [row["name"] for row in rows(plane, run=run.id)] == ["mine"]
    (kept,) = rows(plane, agent="thief")
    assert kept["run"] is None
    assert plane.operator.get(f"/v1/traces/{run.id}")["rows"][0]["key"] == run.id


def test_a_run_sends_its_last_batch_after_it_is_closed(plane: Plane, clerk: Agent) -> None:
    run = clerk.open_run()
    run.close()
    assert send(plane, run.token, span("late", 1, now(plane), trace=f"{50:032x}")) == 0
    assert [row["name"] for row in rows(plane, run=run.id)] == ["late"]


@pytest.mark.parametrize(
    ("token", "kind", "body", "status"),
    [
        (None, PROTOBUF, b"", 401),
        ("wka_nobody", PROTOBUF, b"", 401),
        ("wkr_nobody", PROTOBUF, b"", 401),
        ("own", "text/plain", b"", 415),
        ("own", PROTOBUF, b"\x0a\xff\xff\xff\xff\x0f", 400),
        ("own", PROTOBUF, b"\xff" * 40, 400),
        ("own", "application/json", b"[" * 100_000, 400),
        ("own", "application/json", b'{"resourceSpans": [1]}', 400),
        ("own", PROTOBUF, request(*[span("x", 1, 1)] * 20_001).SerializeToString(), 413),
        ("own", PROTOBUF, bytes(4 * 1024 * 1024 + 1), 413),
    ],
)
def test_what_is_not_taken_is_refused(
    plane: Plane, clerk: Agent, token: str | None, kind: str, body: bytes, status: int
) -> None:
    token = clerk.credential if token == "own" else token
    assert post(plane, token, body, kind=kind).status_code == status


def test_what_unpacks_to_too_much_is_refused(plane: Plane, clerk: Agent) -> None:
    answered = post(plane, clerk.credential, bytes(64 * 1024 * 1024), zipped=True)
    assert answered.status_code == 413
    assert b"unpacks" in answered.content
    broken = post(plane, clerk.credential, b"", zipped=True)
    assert broken.status_code == 200
    headers = {
        "authorization": f"Bearer {clerk.credential}",
        "content-type": PROTOBUF,
        "content-encoding": "gzip",
    }
    answered = httpx.post(f"{plane.url}/v1/traces", content=b"no gzip", headers=headers)
    assert answered.status_code == 400


def test_one_span_that_is_none_spoils_no_other(plane: Plane, clerk: Agent) -> None:
    run, at = clerk.open_run(), now(plane)
    good = span("good", 1, at, trace=f"{60:032x}")
    no_trace = span("no trace", 2, at, trace="0" * 32)
    old = span("old", 3, at - 30 * 86_400 * 1_000_000, trace=f"{60:032x}")
    ahead = span("ahead", 4, at + 86_400 * 1_000_000, trace=f"{60:032x}")
    large = span("large", 5, at, trace=f"{60:032x}", said="x" * 300_000)
    assert send(plane, run.token, good, no_trace, old, ahead, large) == 4
    assert [row["name"] for row in rows(plane, run=run.id)] == ["good"]


def test_what_is_hostile_in_a_span_is_bounded_and_shown_safe(plane: Plane, clerk: Agent) -> None:
    run, at = clerk.open_run(), now(plane)
    deep: Any = "end"
    for _ in range(15):
        deep = {"in": deep}
    many = {f"own__{number}": number for number in range(500)}
    hostile = span("chat \x1b[31mred\u202e", 1, at, trace=f"{70:032x}", deep=deep, **many)
    hostile.attributes.add(key="\x1b]0;x\x07").value.string_value = "y"
    hostile.events.add(name="\x1b[2J", time_unix_nano=at * 1000)
    assert send(plane, run.token, hostile) == 0
    (kept,) = rows(plane, run=run.id)
    text = json.dumps(kept, ensure_ascii=False)
    assert "\\u001b" not in text
    assert "\u202e" not in text
    assert len(kept["attributes"]) <= 66
    assert kept["attributes"]["watchkeeper.attributes.left_out"] > 400
    assert [mark["name"] for mark in kept["marks"]] == ["event"]


def test_logs_and_metrics_are_taken_and_counted(plane: Plane, clerk: Agent) -> None:
    logs, metrics = ExportLogsServiceRequest(), ExportMetricsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add().event_name = "gen_ai.user.message"
    gauge = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="tokens").gauge
    gauge.data_points.add(as_int=3)
    gauge.data_points.add(as_int=4)
    for path, sent in (("/v1/logs", logs), ("/v1/metrics", metrics)):
        body = sent.SerializeToString()
        assert post(plane, clerk.credential, body, path=path).status_code == 200


LEVELS = {
    "full": ("logging: {trace_level: full}", "kept"),
    "metadata": ("logging: {trace_level: metadata}", "digests"),
    "off": ("logging: {trace_level: 'off'}", "nothing"),
    "zero": ("logging: {zero_retention: true}", "digests"),
}
SECRET = "wkcanary-7f3 tell nobody"


@pytest.mark.parametrize("level", LEVELS)
def test_contents_are_kept_as_the_contract_says(plane: Plane, level: str) -> None:
    logging, expected = LEVELS[level]
    name = f"teller-{level}"
    contract = agent_document(name)
    if level == "zero":
        # a provider that keeps nothing is another test's; the routing would be refused
        contract = contract.replace("  model_routing: {default: small-fast}\n", "")
    plane.apply(f"{contract}  {logging}\n")
    agent, trace = plane.enrol(name), f"{100 + len(level):032x}"
    said = span(
        "chat small-fast", 1, now(plane), trace=trace,
        gen_ai__operation__name="chat", gen_ai__request__model="small-fast",
        gen_ai__input__messages=SECRET, llm__input_messages__0__message__content=SECRET,
        input__value=SECRET, traceloop__entity__input=SECRET, gen_ai__prompt__0__content=SECRET,
        own=SECRET,
    )  # fmt: skip
    said.events.add(name="gen_ai.user.message", time_unix_nano=now(plane) * 1000).attributes.add(
        key="content"
    ).value.string_value = SECRET
    said.status.code, said.status.message = Status.STATUS_CODE_ERROR, SECRET
    send(plane, agent.credential, said)
    found = rows(plane, agent=name)
    assert (SECRET in json.dumps(found)) is (expected == "kept")
    if expected == "nothing":
        assert found == []
        return
    attributes = found[0]["attributes"]
    assert attributes["gen_ai.request.model"] == "small-fast"
    assert ("sha256:" in attributes.get("input.value", "")) is (expected == "digests")
    assert SECRET not in (plane.state / "plane.log").read_text()


def test_who_sends_with_a_token_of_nobody_is_shown_and_told_once(plane: Plane) -> None:
    def lists() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = plane.operator.get("/v1/telemetry")["strangers"]
        return found

    before = sum(row["requests"] for row in lists())
    for _ in range(3):
        assert post(plane, "wka_nobody", b"").status_code == 401
    (row,) = lists()
    assert (row["source"], row["requests"]) == ("127.0.0.1", before + 3)
    assert len(plane.events(type="telemetry.refused")) == 1
    needs = plane.operator.get("/v1/watch", limit=500)["rows"]
    (need,) = (one for one in needs if one["need"] == "telemetry/strangers")
    assert need["text"].startswith("telemetry comes from 127.0.0.1 with a token of nobody")
    shown = on(plane, "telemetry", "status").out
    assert f"{before + 3} requests came with a token of nobody:" in shown
    assert "127.0.0.1" in shown
    assert "0 of 32 requests in hand" in shown

    plane.advance(QUIET_SECONDS + 1)
    assert not [
        one for one in plane.operator.get("/v1/watch", limit=500)["rows"]
        if one["need"] == "telemetry/strangers"
    ]  # fmt: skip


def test_one_agent_leaves_room_for_others(plane: Plane, clerk: Agent) -> None:
    place = urlsplit(plane.url)
    head = (
        f"POST /v1/traces HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: {PROTOBUF}\r\n"
        f"Authorization: Bearer {clerk.credential}\r\nContent-Length: 10\r\n\r\n"
    )
    with ExitStack() as held:
        for _ in range(MOST_OF_ONE):
            one = held.enter_context(
                socket.create_connection((str(place.hostname), int(place.port or 0)))
            )
            one.sendall(head.encode())  # and no body yet

        def in_hand() -> int:
            shown: int = plane.operator.get("/v1/telemetry")["intake"]["in_hand"]
            return shown

        eventually(lambda: in_hand() == MOST_OF_ONE, "all of them are in hand")
        answered = post(plane, clerk.credential, b"")
        assert (answered.status_code, answered.headers["retry-after"]) == (429, "1")
        run = clerk.open_run()
        assert post(plane, run.token, b"").status_code == 429, "its runs are it"
        plane.apply(agent_document("other"))
        assert post(plane, plane.enrol("other").credential, b"").status_code == 200
    eventually(lambda: in_hand() == 0, "who hangs up is let go")
    intake = plane.operator.get("/v1/telemetry")["intake"]
    assert intake["turned_away"] >= 2
