"""The live feed: every event exactly once and in order, across any break."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.rig.plane import Plane
from watchkeeper.api.events import MOST_AT_ONCE

SEEN = list[int]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("feed")).start()
    yield running
    running.close()


def make_events(plane: Plane, count: int) -> int:
    for _ in range(count):
        plane.operator.post("/v1/persons/tokens", {"person": "ada"})
    head: int = plane.operator.get("/v1/status")["sequence"]
    return head


def messages(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if fields:
                yield fields
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def read(plane: Plane, after: int, until: int, *, most: int = 10_000) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    headers = {"last-event-id": str(after)}
    with plane.operator.http.stream("GET", "/v1/events/stream", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for message in messages(answer.iter_lines()):
            batch = json.loads(message["data"])
            assert 0 < len(batch) <= MOST_AT_ONCE
            assert int(message["id"]) == batch[-1]["sequence"]
            found += batch
            if found[-1]["sequence"] >= until or len(found) >= most:
                return found
    raise AssertionError(f"the feed ended at {found[-1]['sequence'] if found else after}")


@pytest.mark.parametrize("how", ["revoked", "document"])
def test_the_feed_ends_with_the_token(plane: Plane, how: str) -> None:
    plane.apply(f"person: {{name: {how}, operates: [{{role: viewer}}]}}")
    asked = {"person": how}
    issued = plane.operator.post("/v1/persons/tokens", asked)
    stream = plane.caller(issued["token"]).http.stream("GET", "/v1/events/stream")
    with stream as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": watching"
        if how == "revoked":
            plane.operator.post("/v1/persons/tokens/revoke", {"id": issued["id"]})
        else:
            plane.apply(f"person: {{name: {how}, operates: []}}")
        # it ends of itself; a feed that went on would never
        assert not any(line.startswith("data") for line in lines)


def test_a_reader_that_breaks_off_again_and_again_misses_and_repeats_nothing(plane: Plane) -> None:
    start = plane.operator.get("/v1/status")["sequence"]
    head = make_events(plane, 120)
    chance = random.Random(7)
    seen: SEEN = []
    position = start
    while position < head:
        batch = read(plane, position, head, most=chance.randint(1, 50))
        seen += [event["sequence"] for event in batch]
        position = seen[-1]
    assert seen == list(range(start + 1, head + 1))


def test_the_feed_goes_on_live_and_says_it_in_words(plane: Plane) -> None:
    head = plane.operator.get("/v1/status")["sequence"]
    with plane.operator.http.stream("GET", "/v1/events/stream") as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith(":")
        make_events(plane, 1)
        (event,) = json.loads(next(messages(lines))["data"])
    assert event["sequence"] == head + 1
    me = plane.operator.get("/v1/status")["me"]["person"]
    assert event["text"] == f"person/{me} issued a viewer token for person/ada"
    assert "body" not in event


def test_the_feed_goes_on_after_a_kill(plane: Plane) -> None:
    before = make_events(plane, 3)
    plane.kill()
    plane.restart()
    head = make_events(plane, 2)
    assert [e["sequence"] for e in read(plane, before - 1, head)] == list(range(before, head + 1))


def test_a_reader_of_another_ledger_is_told_to_read_again(plane: Plane) -> None:
    head = plane.operator.get("/v1/status")["sequence"]
    headers = {"last-event-id": str(head + 1000)}
    with plane.operator.http.stream("GET", "/v1/events/stream", headers=headers) as answer:
        message = next(messages(answer.iter_lines()))
    assert message["event"] == "resync"
    assert int(message["id"]) == head


def test_a_position_that_is_no_number_is_refused(plane: Plane) -> None:
    plane.operator.problem("GET", "/v1/events/stream?after=soon", status=400)


def test_pages_run_through_the_ledger_both_ways(plane: Plane) -> None:
    head = make_events(plane, 30)
    forward: SEEN = []
    after = 0
    while True:
        page = plane.operator.get("/v1/events", after=after, limit=7)
        forward += [row["sequence"] for row in page["rows"]]
        if len(page["rows"]) < 7:
            break
        after = forward[-1]
    assert forward == list(range(1, head + 1))
    newest = plane.operator.get("/v1/events", limit=5)["rows"]
    assert [row["sequence"] for row in newest] == list(range(head, head - 5, -1))
    older = plane.operator.get("/v1/events", limit=5, before=newest[-1]["sequence"])["rows"]
    assert older[0]["sequence"] == newest[-1]["sequence"] - 1


def test_a_filter_looks_through_text(plane: Plane) -> None:
    plane.operator.post("/v1/persons/tokens", {"person": "needle"})
    make_events(plane, 20)
    rows = plane.operator.get("/v1/events", filter="NEEDLE")["rows"]
    assert [row["subject"] for row in rows] == ["person/needle"]
    typed = plane.operator.get("/v1/events", type="plane.")["rows"]
    assert {row["type"] for row in typed} == {"plane.started"}
