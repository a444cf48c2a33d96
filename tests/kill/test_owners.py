"""Owners are told of a stop: by message or on their screens; else it is unconfirmed, and alarms."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.notices.test_plane import channel, person
from tests.rig.deadline import eventually, stays
from tests.rig.plane import Plane
from tests.rig.sinks import WebSink, web_sink
from tests.rig.world import POLICY, agent_document, world
from watchkeeper.api.callers import account_name

TEAMS = json.dumps({"role": {"name": "support", "members": ["grace", "bob"]}})
Make = Callable[..., Plane]


@pytest.fixture
def web() -> Iterator[WebSink]:
    with web_sink() as sink:
        yield sink


@pytest.fixture
def make(make_plane: Make, web: WebSink) -> Make:
    def begin(*documents: str, clock: str = "running") -> Plane:
        plane = make_plane(
            clock=clock, environ={"TELL_PAGER": web.url("p"), "TELL_BAD": "file://x"}
        )
        second = agent_document("porter", owner="support")
        plane.apply(*world(channel("pager"), TEAMS, second, *documents), finance__cedar=POLICY)
        return plane

    return begin


def kill(plane: Plane, kind: str = "agent", name: str = "porter") -> dict[str, Any]:
    body = {"target": {"kind": kind, "name": name}, "reason": "odd answers"}
    row: dict[str, Any] = plane.operator.post("/v1/locks", body)
    return row


def told(plane: Plane, lock: str) -> dict[str, dict[str, Any]]:
    """Return the receipts of the owners by role."""
    rows = plane.operator.get(f"/v1/locks/{lock}")["receipts"]
    return {row["party"]: row for row in rows if row["effect"] == "notify owner"}


def test_a_message_that_arrived_is_the_confirmation(make: Make, web: WebSink) -> None:
    plane = make(person("grace", "pager"))
    lock = kill(plane)["lock"]
    row = eventually(
        lambda: next(
            (one for one in told(plane, lock).values() if one["state"] == "acknowledged"), None
        ),
        "grace was told",
    )
    assert (row["party"], row["by"], row["detail"]) == (
        "role/support", "grace", "told grace by pager",
    )  # fmt: skip
    (body,) = web.bodies
    assert "stop on agent/porter" in body["message"]


def test_an_open_console_that_shows_it_is_the_confirmation(make: Make, web: WebSink) -> None:
    plane = make(person("grace", "pager"))
    web.status = 500  # no message arrives
    issued = plane.operator.post(
        "/v1/persons/tokens", {"person": "grace", "permission": "approver"}
    )
    http = plane.caller(issued["token"]).http
    with http.stream("GET", "/v1/events/stream", timeout=20) as feed:
        lines = feed.iter_lines()
        assert next(lines) == ": watching"
        lock = kill(plane)["lock"]
        assert any("lock.created" in line for line in lines)
        row = eventually(
            lambda: next(
                (one for one in told(plane, lock).values() if one["state"] == "acknowledged"), None
            ),
            "it was shown",
        )
    assert (row["by"], row["detail"]) == ("grace", "shown live to grace")


def test_a_message_that_was_given_up_is_sent_by_the_next_contact(make: Make, web: WebSink) -> None:
    plane = make(channel("bad"), person("grace", "bad", ("pager", 60)))
    lock = kill(plane)["lock"]
    row = eventually(
        lambda: next(
            (one for one in told(plane, lock).values() if one["state"] == "acknowledged"), None
        ),
        "grace was told after all",
    )
    assert row["detail"] == "told grace by pager"
    sent = plane.operator.get("/v1/deliveries", kind="notice")["rows"]
    assert sorted((one["target"], one["state"]) for one in sent) == [
        ("bad", "dead"), ("pager", "sent"),
    ]  # fmt: skip


def test_of_everything_each_person_gets_one_message(make: Make, web: WebSink) -> None:
    plane = make(person("grace", "pager"), person("edsger", "pager"))
    lock = kill(plane, "everything", "*")["lock"]
    # grace is in two of the roles; whoever runs the plane did it and knows
    eventually(
        lambda: all(one["state"] == "acknowledged" for one in told(plane, lock).values()),
        "all are told",
    )
    assert set(told(plane, lock)) == {"role/support", "role/finance-ops"}
    stays(lambda: len([one for one in web.bodies if "everything" in one["message"]]) == 1)


def test_nobody_to_be_told_is_unconfirmed_and_alarms_once(make: Make, web: WebSink) -> None:
    plane = make(person("boss", "pager", accounts=[account_name(os.getuid())]), clock="frozen")
    lock = kill(plane)["lock"]
    eventually(lambda: told(plane, lock)["role/support"]["attempts"] >= 1, "it was looked")
    assert told(plane, lock)["role/support"]["state"] == "attempted"
    for _ in range(14):
        plane.advance(2)
    row = eventually(
        lambda: next(
            (one for one in told(plane, lock).values() if one["state"] == "unconfirmed"), None
        ),
        "nobody was told",
    )
    assert "nobody of the role has a contact in force or a console open" in row["detail"]
    assert len(plane.events(type="lock.unconfirmed")) == 1
    eventually(
        lambda: any("agent/porter: not confirmed: notify" in one["message"] for one in web.bodies),
        "whoever runs the plane is told",
    )
    needs = {one["need"]: one for one in plane.operator.get("/v1/watch")["rows"]}
    assert needs[f"lock/{lock}"]["todo"] == "check by hand: notify owner (role/support)"
    # as soon as somebody of the role can be reached, it is told again
    plane.apply(person("bob", "pager"))

    def told_at_last() -> bool:
        plane.advance(900)
        return bool(told(plane, lock)["role/support"]["state"] == "acknowledged")

    eventually(told_at_last, "bob was told at last", every=0.5)
    said = [one["message"] for one in web.bodies]
    assert len([one for one in said if one.startswith("stop on agent/porter")]) == 1
    (confirmed,) = plane.events(type="lock.confirmed")
    assert confirmed["body"]["alarmed"] is True
    eventually(
        lambda: any("agent/porter: everybody who was told" in one["message"] for one in web.bodies),
        "whoever was alarmed is told of that",
    )
