"""Incidents and drills on a real plane: by team, through the command line, and after a crash."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.cli.command import Ended, watchkeeper
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.world import POLICY, agent_document, world
from tests.runtimes.agent_server import AgentServer
from watchkeeper.cli.exits import OK, UNCONFIRMED

Make = Callable[..., Plane]
PEOPLE = """
person: {name: fin, operates: [{role: responder, teams: [finance-ops]}]}
---
person: {name: lex, operates: [{role: responder, teams: [legal]}]}
---
person: {name: eye, operates: [{role: viewer}]}
"""
HOSTILE = "\x1b]0;owned\x07\x1b[2J# <b>\u202e|\nmore"


def stop(plane: Plane, kind: str, name: str, **more: Any) -> dict[str, Any]:
    body = {"target": {"kind": kind, "name": name}, "reason": "wrong refunds", **more}
    made: dict[str, Any] = plane.operator.post("/v1/locks", body)
    return made


def test_an_incident_is_its_teams_and_the_kill_says_which_it_is(plane: Plane) -> None:
    plane.apply(*world(), agent_document("scribe", owner="legal"), PEOPLE, policy__cedar=POLICY)
    made = stop(plane, "agent", "clerk")
    incident = made["incident"]
    (traces,) = [one for one in made["receipts"] if one["effect"] == "preserve traces"]
    assert traces["by"] == f"incident/{incident}"
    assert traces["detail"] == "incident opened: 1 agent held"
    asked = [
        {"person": "fin", "permission": "responder"},
        {"person": "lex", "permission": "responder"},
        {"person": "eye", "permission": "viewer"},
    ]
    fin, lex, eye = (plane.operator.post("/v1/persons/tokens", one)["token"] for one in asked)
    with httpx.Client(base_url=plane.url, trust_env=False) as http:

        def status(token: str, path: str, body: object = None) -> int:
            headers = {"authorization": f"Bearer {token}"}
            if body is None:
                return http.get(path, headers=headers).status_code
            return http.post(path, headers=headers, json=body).status_code

        one = f"/v1/incidents/{incident}"
        for path in (one, f"{one}/timeline", f"{one}/report"):
            assert [status(who, path) for who in (fin, lex, eye)] == [200, 403, 200]
        note = {"text": "on it"}
        assert [status(who, f"{one}/notes", note) for who in (fin, lex, eye)] == [200, 403, 403]
        reason = {"reason": "over"}
        assert [status(who, f"{one}/close", reason) for who in (lex, eye, fin)] == [403, 403, 200]
        assert status(fin, f"{one}/close", reason) == 409
        assert status(fin, f"{one}/reopen", reason) == 200
        # of what is another team's nobody makes their own
        paused = stop(plane, "agent", "scribe", mode="pause")["lock"]
        join = {"lock": paused, "reason": "curious"}
        assert [status(who, f"{one}/join", join) for who in (fin, lex)] == [403, 403]
        target = {"kind": "agent", "name": "scribe"}
        named = {"target": target, "mode": "pause", "reason": "mine", "incident": incident}
        assert status(lex, "/v1/locks", named) == 200
        assert plane.operator.get(one)["team"] == "finance-ops"
        # a lock of another team widens it to what neither answers for alone
        assert stop(plane, "everything", "*")["incident"] == incident
        assert [status(who, one) for who in (fin, lex, eye)] == [403, 403, 200]
        drill = {"target": {"kind": "agent", "name": "clerk"}, "reason": "practice"}
        assert [status(who, "/v1/drills", drill) for who in (fin, lex, eye)] == [200, 403, 403]

        def listed(token: str) -> list[str]:
            rows = http.get("/v1/incidents", headers={"authorization": f"Bearer {token}"}).json()
            return [row["incident"] for row in rows["rows"]]

        assert [listed(who) for who in (fin, lex, eye)] == [[], [], [incident]]
        # a drill is its team's, too
        (held,) = plane.operator.get("/v1/drills")["rows"]
        wide = {"target": {"kind": "everything", "name": "*"}, "reason": "practice"}
        all_of_it = plane.operator.post("/v1/drills", wide)["drill"]

        def drills(token: str) -> tuple[list[str], int]:
            page = http.get("/v1/drills", headers={"authorization": f"Bearer {token}"}).json()
            return [row["drill"] for row in page["rows"]], page["total"]

        assert drills(fin) == ([held["drill"]], 1)
        assert drills(lex) == ([], 0)
        assert drills(eye) == ([all_of_it, held["drill"]], 2)
        shown = [f"/v1/drills/{one}" for one in (held["drill"], all_of_it)]
        assert [[status(who, path) for who in (fin, lex, eye)] for path in shown] == [
            [200, 403, 200], [403, 403, 200],
        ]  # fmt: skip


def test_what_people_note_is_text_wherever_it_is_shown(plane: Plane) -> None:
    plane.apply(*world(), policy__cedar=POLICY)
    incident = stop(plane, "agent", "clerk", reason=HOSTILE)["incident"]
    at = ("--state", str(plane.state))

    def run(*words: str) -> Ended:
        return watchkeeper(plane.directory, *words, *at)

    changed = ("--title", HOSTILE, "--owner", HOSTILE, "--severity", "critical")
    assert run("incidents", "note", incident, HOSTILE, *changed).code == 0
    (need,) = [one for one in plane.operator.get("/v1/watch")["rows"] if one["kind"] == "incident"]
    assert (need["subject"], need["risk"]) == (incident, "critical")
    for words in (
        ("list",), ("show", incident), ("show", incident, "--timeline"), ("report", incident),
        ("report", incident, "--json"),
    ):  # fmt: skip
        shown = run("incidents", *words)
        assert shown.code == 0
        assert not set("\x1b\x07\u202e") & set(shown.out + shown.err), words
    shown = run("incidents", "report", incident)
    assert [line for line in shown.out.splitlines() if line.startswith("# ")][1:] == []
    # a secret is kept of nobody's words
    key = "sk-ant-api03-" + "a1B2" * 20
    plane.operator.post(f"/v1/incidents/{incident}/notes", {"text": f"they used {key}"})
    assert key not in json.dumps(plane.operator.get(f"/v1/incidents/{incident}"))
    assert run("incidents", "close", incident, "--reason", "over").code == 0
    assert run("incidents", "close", incident, "--reason", "over").code == 4
    assert run("incidents", "list").out.strip() == "No incident is open."


def test_a_note_that_was_acknowledged_is_there_after_a_crash(make_plane: Make) -> None:
    plane = make_plane()
    plane.apply(*world(), policy__cedar=POLICY)
    incident = stop(plane, "agent", "clerk")["incident"]
    acknowledged: list[str] = []

    def write() -> None:
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=str(plane.socket)), base_url="http://plane"
        ) as http:
            for number in range(10_000):
                try:
                    sent = http.post(f"/v1/incidents/{incident}/notes", json={"text": f"n{number}"})
                except httpx.HTTPError:
                    return
                if sent.status_code == httpx.codes.OK:
                    acknowledged.append(f"n{number}")

    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: len(acknowledged) >= 10, "some notes are acknowledged")
    plane.kill()
    writer.join()
    plane.restart()
    found = plane.operator.get(f"/v1/incidents/{incident}")
    noted = [one["text"] for one in found["noted"]]
    assert noted[: len(acknowledged)] == acknowledged[-200:]
    assert len(noted) - len(acknowledged) in (0, 1)  # one that nobody was told of may be there
    assert found["notes"] == len(noted)
    assert plane.operator.get("/v1/audit/verification")["ok"]


def test_a_drill_asks_runtimes_whether_they_answer_and_tells_them_nothing(
    make_plane: Make,
) -> None:
    with AgentServer() as server:
        here = {
            "kind": "langgraph", "allow_private": True,
            "agents": [{"id": "refund", "agent": "clerk"}],
        }  # fmt: skip
        there = {"name": "there", "url": server.url, **here}
        gone = {"name": "gone", "url": "http://127.0.0.1:9", **here}
        documents = [json.dumps({"runtime": one}) for one in (there, gone)]
        plane = make_plane()
        plane.apply(*world(*documents), policy__cedar=POLICY)
        run = plane.enrol("clerk").open_run()
        began = server.begin(ours=run.id)
        body = {"target": {"kind": "agent", "name": "clerk"}, "reason": "practice"}
        report = plane.operator.post("/v1/drills", body)["report"]
        rows = {one["party"]: one for one in report["effects"] if one["effect"] == "stop run"}
        assert (rows["runtime/there"]["reachable"], rows["runtime/gone"]["reachable"]) == (
            True, False,
        )  # fmt: skip
        assert "does not answer" in rows["runtime/gone"]["detail"]
        assert any(one.startswith("runtime/gone") for one in report["findings"])
        assert server.runs[server.thread_of(began)][0]["status"] == "running"
        assert plane.operator.get("/v1/locks")["rows"] == []
        assert plane.operator.get("/v1/incidents")["rows"] == []
        assert [event["type"] for event in plane.events(type="drill.held")] == ["drill.held"]
        said = watchkeeper(plane.directory, "drills", "list", "--state", str(plane.state))
        assert "agent clerk" in said.out
        state = ("--state", str(plane.state), "--reason", "odd", "--json")
        assert watchkeeper(plane.directory, "drill", "runtime/gone", *state).code == UNCONFIRMED
        well = watchkeeper(plane.directory, "kill", "tool/books.echo", "--yes", *state)
        assert well.code == OK, well.err
        with ThreadPoolExecutor(1) as waiting:
            words = ("kill", "runtime/gone", "--yes", *state)
            killing = waiting.submit(watchkeeper, plane.directory, *words)
            eventually(lambda: len(plane.operator.get("/v1/locks")["rows"]) == 2, "it is in force")
            plane.advance(30)
            killed = killing.result()
        assert (killed.code, killed.json()["target"]["name"]) == (UNCONFIRMED, "gone")
