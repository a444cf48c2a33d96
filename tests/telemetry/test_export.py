"""The plane's spans, as a receiver of OTLP gets them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.cli.command import on
from tests.rig.agent import Agent
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.receiver import Received, Receiver, Say
from tests.rig.world import POLICY, world
from watchkeeper.decide.telemetry.sent import HOLDS_SECONDS

HEADERS = "x-api-key=k%20ey-7fc1,x-tenant=books"


@pytest.fixture(scope="module")
def collector() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def exporting(tmp_path_factory: pytest.TempPathFactory, collector: Receiver) -> Iterator[Plane]:
    environ = {
        "WATCHKEEPER_OTLP_URL": collector.url.rstrip("/"),
        "WATCHKEEPER_OTLP_HEADERS": "env:OTLP_SECRET",
        "OTLP_SECRET": HEADERS,
    }
    running = Plane(tmp_path_factory.mktemp("export"), clock="frozen", environ=environ).start()
    try:
        running.apply(*world(), policy__cedar=POLICY)
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def clerk(exporting: Plane) -> Agent:
    return exporting.enrol("clerk")


def decoded(received: Received) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(gzip.decompress(received.body))
    return [span for one in request.resource_spans for two in one.scope_spans for span in two.spans]


def attribute(span: Span, name: str) -> Any:
    for one in span.attributes:
        if one.key == name:
            return getattr(one.value, str(one.value.WhichOneof("value")))
    return None


def sent_of(collector: Receiver, run: str) -> list[Span]:
    found = [span for one in list(collector.received) for span in decoded(one)]
    return [span for span in found if attribute(span, "watchkeeper.run") == run]


def state(plane: Plane) -> dict[str, Any]:
    export: dict[str, Any] = plane.operator.get("/v1/telemetry")["export"]
    return export


def _has_left(collector: Receiver, count: int) -> bool:
    return len(collector.answers) == count


def closed(plane: Plane, agent: Agent) -> str:
    run = agent.open_run()
    plane.advance(1)
    run.close()
    return run.id


def needs(plane: Plane) -> set[str]:
    return {need["need"] for need in plane.operator.get("/v1/watch", limit=500)["rows"]}


def test_every_span_of_a_run_is_sent_once_when_it_has_ended(
    exporting: Plane, clerk: Agent, collector: Receiver
) -> None:
    run = clerk.open_run(on_behalf_of="user/ada")
    looked = run.decide("books.echo")["decision"]
    exporting.advance(1)
    run.settle(looked, usage={"cost_micros": 1200})
    run.decide("books.unknown")
    lasting = run.decide("books.echo")["decision"]
    eventually(lambda: len(sent_of(collector, run.id)) == 2, "what has ended is sent")
    exporting.advance(1)
    run.settle(lasting)
    run.close()
    eventually(lambda: len(sent_of(collector, run.id)) == 4, "all is sent")
    assert state(exporting)["state"] == "up"

    rows = {row["span"]: row for row in exporting.operator.get(f"/v1/traces/{run.id}")["rows"]}
    spans = sent_of(collector, run.id)
    assert {span.span_id.hex() for span in spans} == set(rows)
    for span in spans:
        row = rows[span.span_id.hex()]
        assert span.trace_id.hex() == row["trace"]
        assert span.parent_span_id.hex() == (row["parent"] or "")
        assert span.name == row["name"]
        assert (span.start_time_unix_nano, span.end_time_unix_nano) == (
            row["start"] * 1000,
            row["end"] * 1000,
        )
        assert attribute(span, "gen_ai.agent.name") == "clerk"
        assert attribute(span, "watchkeeper.rule") == row["rule"]
    (denied,) = (span for span in spans if attribute(span, "watchkeeper.verdict") == "deny")
    assert denied.status.code == 2
    assert attribute(denied, "error.type") == "denied"
    received = collector.received[0]
    assert received.path.endswith("/v1/traces")
    assert received.headers["x-api-key"] == "k ey-7fc1"
    assert received.headers["x-tenant"] == "books"
    group = ExportTraceServiceRequest.FromString(gzip.decompress(received.body)).resource_spans[0]
    named = {one.key: one.value.string_value for one in group.resource.attributes}
    assert named["service.name"] == "watchkeeper"


def test_what_cannot_be_sent_now_is_sent_later(
    exporting: Plane, clerk: Agent, collector: Receiver
) -> None:
    collector.answers.extend([Say(503), Say(429, {"retry-after": "40"}), Say(401)])
    before = state(exporting)
    run = closed(exporting, clerk)
    for left in (2, 1):
        eventually(partial(_has_left, collector, left), "it is tried")
        exporting.advance(60)
    eventually(lambda: "HTTP 401" in state(exporting)["problem"], "it is tried again")
    assert ": down, " in on(exporting, "telemetry", "status").out
    assert "telemetry/export" in needs(exporting)
    exporting.advance(60)
    eventually(lambda: state(exporting)["state"] == "up", "it is taken at last")
    assert len(sent_of(collector, run)) == 4, "it was tried four times"
    after = state(exporting)
    assert (after["lost"], after["sent"] - before["sent"]) == (before["lost"], 1)
    assert "telemetry/export" not in needs(exporting)


def test_what_is_never_taken_is_counted_as_lost(
    exporting: Plane, clerk: Agent, collector: Receiver
) -> None:
    before = state(exporting)
    collector.answers.append(Say(400))
    closed(exporting, clerk)
    eventually(lambda: state(exporting)["lost"] == before["lost"] + 1, "it is given up")
    assert "refuses a batch for good: HTTP 400" in state(exporting)["problem"]
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 1
    partial.partial_success.error_message = "no room\x1b[2J"
    collector.answers.append(Say(200, {}, partial.SerializeToString()))
    closed(exporting, clerk)
    eventually(lambda: state(exporting)["refused"] == 1, "the receiver refuses one")
    assert "no room␛[2J" in state(exporting)["problem"]


def test_it_goes_on_where_it_was_when_it_was_killed(
    exporting: Plane, clerk: Agent, collector: Receiver
) -> None:
    collector.hold()
    seen = len(collector.received)
    run = closed(exporting, clerk)
    eventually(lambda: len(collector.received) > seen, "it is sent")
    exporting.kill()
    collector.release()
    exporting.restart()
    exporting.advance(HOLDS_SECONDS + 1)  # another plane might still be at it
    eventually(lambda: len(sent_of(collector, run)) >= 2, "it is sent again")
    assert {span.span_id.hex() for span in sent_of(collector, run)} == {
        exporting.operator.get(f"/v1/traces/{run}")["rows"][0]["span"]
    }


def test_settings_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    plane = Plane(tmp_path, environ={"WATCHKEEPER_OTLP_URL": "ftp://x"})
    with pytest.raises(AssertionError, match="OTLP_URL"):
        plane.start(seconds=20)
