"""A real plane tells people by a real web server: who, what, when, and what not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.agent import Run
from tests.rig.caller import Caller
from tests.rig.deadline import eventually, stays
from tests.rig.plane import Plane
from tests.rig.sinks import WebSink, web_sink
from tests.rig.world import POLICY, world

MINUTE = 60


@pytest.fixture
def web() -> Iterator[WebSink]:
    with web_sink() as sink:
        yield sink


def channel(name: str, *, private: bool = True, most: int = 30) -> str:
    return json.dumps(
        {
            "channel": {
                "name": name,
                "url": f"env:TELL_{name.upper()}",
                "allow_private": private,
                "most_per_hour": most,
            }
        }
    )


def person(name: str, *contacts: str | tuple[str, int], **more: Any) -> str:
    held = [(one, 0) if isinstance(one, str) else one for one in contacts]
    told = [{"channel": channel, "after_seconds": after} for channel, after in held]
    operates = [{"role": "approver"}]
    return json.dumps({"person": {"name": name, "operates": operates, "contacts": told, **more}})


Make = Callable[..., Plane]


@pytest.fixture
def make(make_plane: Make, web: WebSink) -> Make:
    def begin(*documents: str, **urls: str) -> Plane:
        environ = {f"TELL_{name.upper()}": url for name, url in urls.items()}
        plane = make_plane(clock="frozen", environ=environ)
        plane.apply(*world(*documents), finance__cedar=POLICY)
        return plane

    return begin


def ask(run: Run, charge: int = 1, dollars: int = 300) -> str:
    arguments = {"charge_id": f"ch_{charge}", "amount_usd": dollars, "reason": "asked"}
    answer = run.decide("books.create_refund", arguments)
    assert answer["verdict"] == "hold", answer
    return str(answer["request"])


def as_person(plane: Plane, name: str, role: str) -> Caller:
    issued = plane.operator.post("/v1/persons/tokens", {"person": name, "permission": role})
    return plane.caller(issued["token"])


def told(web: WebSink) -> list[tuple[str, str]]:
    return [
        (path, body["message"].partition("\n")[0])
        for path, body in zip(list(web.paths), list(web.bodies), strict=False)
    ]


def timeline(plane: Plane, request: str) -> list[str]:
    return [one["text"] for one in plane.operator.get(f"/v1/requests/{request}")["timeline"]]


def test_who_is_asked_is_told_at_once_with_the_command(make: Make, web: WebSink) -> None:
    plane = make(
        channel("pager"), person("grace", "pager"), person("edsger", "pager"), pager=web.url("p")
    )
    request = ask(plane.enrol("clerk").open_run())
    eventually(lambda: web.bodies, "grace is told")
    (body,) = web.bodies
    assert body["title"].startswith("[high] clerk: ")
    assert f"watchkeeper requests approve {request}" in body["message"]
    assert "asks finance-ops" in body["message"]
    eventually(lambda: "told grace by pager" in timeline(plane, request), "it is on record")
    assert not any("edsger" in line for line in timeline(plane, request)), "not asked yet"
    plane.advance(5 * MINUTE)
    eventually(lambda: "told edsger by pager" in timeline(plane, request), "the next level is told")
    assert any("still waits" in line or "escalated" in line for _, line in told(web)[1:])


def test_a_storm_is_one_message_more(make: Make, web: WebSink) -> None:
    plane = make(channel("pager"), person("grace", "pager"), pager=web.url())
    run = plane.enrol("clerk").open_run()
    first = ask(run)
    eventually(lambda: len(web.bodies) == 1, "the first is told at once")
    others = [ask(run, charge) for charge in range(2, 14)]
    stays(lambda: len(web.bodies) == 1, "the others are gathered")
    plane.advance(MINUTE)
    eventually(lambda: len(web.bodies) == 2, "one message for all of them")
    assert web.bodies[1]["message"].startswith("12 wait for you, 12 high: watchkeeper requests")
    for request in (first, *others):
        eventually(
            lambda request=request: "told grace by pager" in timeline(plane, request),  # type: ignore[misc]
            "each is on record as told",
        )
    stays(lambda: len(web.bodies) == 2, "and nothing more arrives")


def test_what_is_decided_meanwhile_is_not_told(make: Make, web: WebSink) -> None:
    plane = make(channel("pager"), person("grace", ("pager", 120)), pager=web.url())
    run = plane.enrol("clerk").open_run()
    request = ask(run)
    digest = plane.operator.get(f"/v1/requests/{request}")["digest"]
    plane.operator.post(f"/v1/requests/{request}/votes", {"verdict": "approve", "digest": digest})
    plane.advance(2 * MINUTE)
    (row,) = eventually(
        lambda: [
            row
            for row in plane.operator.get("/v1/deliveries", kind="notice")["rows"]
            if row["state"] == "discarded"
        ],
        "it is dropped",
    )
    assert row["recipient"] == "grace"
    assert not web.bodies
    assert not any("grace" in line and "told" in line for line in timeline(plane, request))


def test_a_second_contact_is_told_only_if_nobody_decides(make: Make, web: WebSink) -> None:
    plane = make(
        channel("chat"), channel("pager"), person("grace", "chat", ("pager", 60)),
        chat=web.url("chat"), pager=web.url("pager"),
    )  # fmt: skip
    ask(plane.enrol("clerk").open_run())
    eventually(lambda: web.paths == ["/chat"], "the first contact at once")
    plane.advance(MINUTE)
    eventually(lambda: web.paths[:2] == ["/chat", "/pager"], "the second later")


def test_whoever_is_on_it_is_not_told_again(make: Make, web: WebSink) -> None:
    plane = make(channel("pager"), person("grace", "pager"), pager=web.url())
    request = ask(plane.enrol("clerk").open_run())
    eventually(lambda: len(web.bodies) == 1, "grace is told")
    as_person(plane, "grace", "approver").post(f"/v1/requests/{request}/acknowledge", {})
    plane.advance(2 * MINUTE)
    stays(lambda: len(web.bodies) == 1, "no reminder for who is on it")


def test_a_channel_of_a_level_is_told_beside_people(make: Make, web: WebSink) -> None:
    escalation = json.dumps(
        {
            "escalation": {
                "name": "finance",
                "levels": [
                    {"role": "finance-ops", "after_seconds": 0},
                    {"channel": "room", "after_seconds": 60},
                ],
            }
        }
    )
    plane = make(channel("room"), room=web.url("room"))
    plane.apply(escalation)
    request = ask(plane.enrol("clerk").open_run())
    stays(lambda: not web.bodies, "nobody has a contact")
    plane.advance(MINUTE)
    eventually(lambda: web.paths == ["/room"], "the level's channel is told")
    eventually(lambda: "told channel room" in timeline(plane, request), "it is on record")


def test_a_kill_is_told_to_the_owner_but_not_to_who_did_it(make: Make, web: WebSink) -> None:
    plane = make(channel("pager"), pager=web.url())
    owner = plane.operator.get("/v1/me")["person"]
    plane.apply(person(owner, "pager"))
    responder = {"person": {"name": "ada", "operates": [{"role": "responder"}]}}
    plane.apply(json.dumps(responder))
    lock = {"target": {"kind": "agent", "name": "clerk"}, "mode": "stop", "reason": "it loops"}
    plane.operator.post("/v1/locks", lock)
    stays(lambda: not web.bodies, "they know it")
    as_person(plane, "ada", "responder").post("/v1/locks", lock)
    eventually(lambda: web.bodies, "the owner is told")
    assert web.bodies[0]["message"].startswith("stop on agent/clerk by person/ada: it loops")


def test_a_failure_is_tried_again_and_says_why(make: Make, web: WebSink) -> None:
    web.status = 503
    plane = make(channel("pager"), person("grace", "pager"), pager=web.url("planted-canary"))
    request = ask(plane.enrol("clerk").open_run())
    (line,) = eventually(
        lambda: [one for one in timeline(plane, request) if "could not tell grace" in one],
        "it is on record",
    )
    assert "503" in line
    web.status = 200
    plane.advance(20)
    eventually(lambda: "told grace by pager" in timeline(plane, request), "it is told then")
    plane.stop()
    assert "planted-canary" not in plane.output
    for file in plane.state.rglob("*"):
        if file.is_file():
            assert b"planted-canary" not in file.read_bytes(), file


def test_after_a_crash_while_it_was_sent_nobody_is_told_twice_by_itself(
    make: Make, web: WebSink
) -> None:
    go_on = threading.Event()
    web.before = lambda: (go_on.wait(20), None)[1]
    plane = make(channel("pager"), person("grace", "pager"), pager=web.url())
    request = ask(plane.enrol("clerk").open_run())
    eventually(lambda: web.bodies, "it is on its way")
    plane.kill()
    go_on.set()
    plane.restart()
    plane.advance(MINUTE)
    eventually(
        lambda: any("nobody knows whether" in one for one in timeline(plane, request)),
        "that nobody knows is shown",
    )
    stays(lambda: len(web.bodies) == 1, "it is not sent again by itself")
    (row,) = plane.operator.get("/v1/deliveries", kind="notice")["rows"]
    assert row["state"] == "unknown"
    plane.operator.post(f"/v1/deliveries/{row['delivery']}/redrive", {})
    eventually(lambda: len(web.bodies) == 2, "a person has it sent again")


def test_watch_says_whom_nobody_can_tell(make: Make, web: WebSink) -> None:
    plane = make(channel("pager"), channel("odd"), pager=web.url(), odd="syslog://planted-canary")
    plane.apply(person("grace", "pager"))
    texts = [row["text"] for row in plane.operator.get("/v1/watch")["rows"]]
    assert "nobody can be told: role finance-lead has no contact" in texts
    assert not any("role finance-ops" in text for text in texts)
    (odd,) = [text for text in texts if "channel odd" in text]
    assert "syslog:// is not taken" in odd
    assert "planted-canary" not in str(plane.operator.get("/v1/watch"))


def test_channels_are_listed_and_tried(make: Make, web: WebSink) -> None:
    plane = make(
        channel("pager"), channel("inside", private=False), channel("gone"),
        person("grace", "pager"), pager=web.url("planted-canary"), inside=web.url("planted-canary"),
    )  # fmt: skip
    found = plane.operator.post("/v1/channels/pager/test", {})
    assert found["told"], found
    assert "tested it" in web.bodies[0]["message"]
    assert len(web.bodies) == 1
    refused = plane.operator.post("/v1/channels/inside/test", {})
    assert not refused["told"]
    assert "allow_private" in refused["text"]
    missing = plane.operator.post("/v1/channels/gone/test", {})
    assert "TELL_GONE" in missing["text"]
    page = plane.operator.get("/v1/channels")
    rows = {row["name"]: row for row in page["rows"]}
    assert rows["pager"]["kind"] == "json"
    assert rows["pager"]["people"] == ["grace"]
    assert rows["pager"]["told_hour"] == 1
    assert rows["gone"]["trouble"]
    assert "planted-canary" not in json.dumps([page, found, refused, missing])
    assert [row["type"] for row in plane.events(type="channel.tested")][:1] == ["channel.tested"]


def test_a_plane_without_the_library_says_what_to_install(make_plane: Make, tmp_path: Path) -> None:
    without = tmp_path / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text("import sys\nsys.modules['apprise'] = None\n")
    environ = {"PYTHONPATH": str(without), "TELL_PAGER": "ntfys://ntfy.example/topic"}
    plane = make_plane(clock="frozen", environ=environ)
    plane.apply(*world(channel("pager"), person("grace", "pager")), finance__cedar=POLICY)
    needs = {row["text"]: row["todo"] for row in plane.operator.get("/v1/watch")["rows"]}
    (missing,) = [text for text in needs if "library is not installed" in text]
    assert "watchkeeper[notify]" in needs[missing]
    tried = plane.operator.post("/v1/channels/pager/test", {})
    assert not tried["told"]
    assert "watchkeeper[notify]" in tried["text"]
    request = ask(plane.enrol("clerk").open_run())
    eventually(
        lambda: any("library is not installed" in line for line in timeline(plane, request)),
        "the timeline says so",
    )
