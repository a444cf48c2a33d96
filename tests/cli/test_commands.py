"""The plain twin of the console: what a script or a screen reader does with it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Ended, on, watchkeeper
from tests.rig.agent import Run
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.process import Child, clean_environment
from tests.rig.world import POLICY, budget_document, world
from watchkeeper.cli import exits
from watchkeeper.core.text import has_hidden

LARGE = {"charge_id": "ch_1", "amount_usd": 300}
SMALL = {"charge_id": "ch_1", "amount_usd": 5}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("cli")).start()
    running.apply(*world(), budget_document("day", "all", tool_calls=1000), policy__cedar=POLICY)
    yield running
    running.close()


@pytest.fixture
def run(plane: Plane) -> Run:
    return plane.enrol("clerk").open_run()


def done(ended: Ended) -> Ended:
    assert ended.code == exits.OK, ended.err
    assert "Traceback" not in ended.err
    return ended


@pytest.mark.parametrize(
    "words",
    ["status", "watch", "agents", "agents clerk", "runs", "decisions", "requests list",
     "budgets list", "budgets show all/day/tool_calls", "locks list", "events", "audit verify"],
)  # fmt: skip
def test_every_list_and_show_speaks_plainly_and_in_json(plane: Plane, run: Run, words: str) -> None:
    run.decide("books.create_refund", SMALL)
    plain = done(on(plane, *words.split()))
    assert plain.out.strip()
    assert "\x1b" not in plain.out
    parsed = done(on(plane, *words.split(), "--json")).json()
    assert isinstance(parsed, dict)


def test_a_decision_that_is_listed_can_be_explained(plane: Plane, run: Run) -> None:
    decided = run.decide("books.create_refund", SMALL)["decision"]
    assert decided in done(on(plane, "decisions")).out
    assert "contract" in done(on(plane, "policy", "explain", decided)).out
    assert plane.url in done(on(plane, "status")).out, "where agents reach it"


def test_json_is_ascii_whatever_an_agent_wrote(plane: Plane) -> None:
    hostile = "\x9b2J\x9d0;owned\x9c \u202egnp.exe \u200b\U000e0041\x7f \x1b]52;c;AA\x07 é"
    plane.enrol("clerk").open_run(goal=hostile)
    for words in (["runs"], ["events"]):
        printed = done(on(plane, *words, "--json"))
        assert printed.out.replace("\n", "").isascii()
        assert printed.out.replace("\n", "").isprintable()
        assert repr(hostile)[1:-1] in str(printed.json())


def test_a_request_is_read_and_approved_once(plane: Plane, run: Run) -> None:
    request = run.decide("books.create_refund", LARGE)["request"]
    listed = done(on(plane, "requests", "list", "--json")).json()
    assert request in [row["request"] for row in listed["rows"]]
    shown = done(on(plane, "requests", "show", request)).out
    assert "$300.00" in shown
    assert "policy/refund-over-200" in shown
    assert '"amount_usd":300' in shown
    digest = done(on(plane, "requests", "show", request, "--json")).json()["digest"]
    stale = on(plane, "requests", "approve", request, "--digest", "sha256:00", "--reason", "x")
    assert stale.code == exits.CONFLICT
    approved = on(
        plane, "requests", "approve", request, "--digest", digest, "--reason", "paid twice"
    )
    assert done(approved).out == f"{request} is approved.\n"
    again = on(plane, "requests", "deny", request, "--reason", "too late")
    assert again.code == exits.CONFLICT
    assert "try:" in again.err
    assert run.decide("books.create_refund", LARGE)["verdict"] == "permit"


def test_a_request_is_escalated_and_denied(plane: Plane, run: Run) -> None:
    request = run.decide("books.create_refund", LARGE)["request"]
    assert "finance-lead (level 2 of 2)" in done(on(plane, "requests", "escalate", request)).out
    done(on(plane, "requests", "deny", request, "--reason", "no"))
    assert run.decide("books.create_refund", LARGE)["verdict"] == "deny"


def test_somebody_is_on_a_request(plane: Plane, run: Run) -> None:
    request = run.decide("books.create_refund", LARGE)["request"]
    said = done(on(plane, "requests", "acknowledge", request, "--for", "60")).out
    assert f"{request} waits for you until" in said
    shown = done(on(plane, "requests", "show", request)).out
    assert "is on it: nobody else is asked until" in shown
    assert "level 2 of 2" in done(on(plane, "requests", "escalate", request)).out
    done(on(plane, "requests", "deny", request, "--reason", "no"))
    assert on(plane, "requests", "acknowledge", request).code == exits.CONFLICT


def test_what_does_not_exist_has_its_code(plane: Plane) -> None:
    for words in ("requests show req_x", "agents nobody", "runs run_x", "locks show lock_x"):
        assert on(plane, *words.split()).code == exits.NOT_FOUND, words
    assert on(plane, "budgets", "show", "team/nobody/day/spend").code == exits.NOT_FOUND


def test_kill_shows_receipts_and_lift_ends_it(plane: Plane, run: Run) -> None:
    asked = on(plane, "kill", run.id, "--reason", "loops")
    assert asked.code == exits.REFUSED, "it asks, and there is no terminal to ask on"
    assert "1 open run," in asked.err
    killed = done(on(plane, "kill", run.id, "--reason", "loops", "--yes", "--json")).json()
    assert killed["mode"] == "stop"
    assert len(killed["receipts"]) == 8
    assert run.decide("books.create_refund", SMALL)["verdict"] == "deny"
    lifted = on(plane, "locks", "lift", killed["lock"], "--reason", "seen to")
    assert run.id in done(lifted).out
    again = on(plane, "locks", "lift", killed["lock"], "--reason", "again")
    assert again.code == exits.CONFLICT


def test_pause_refuses_until_lifted(plane: Plane, run: Run) -> None:
    args = ("pause", "tool/books.create_refund", "--reason", "incident", "--yes", "--json")
    lock = done(on(plane, *args)).json()["lock"]
    assert run.decide("books.create_refund", SMALL)["rule"] == f"lock/{lock}"
    done(on(plane, "locks", "lift", lock, "--reason", "over"))
    assert run.decide("books.create_refund", SMALL)["verdict"] == "permit"


@pytest.mark.parametrize("target", ["", "planet/earth", "agent/", "everything/x"])
def test_a_target_that_is_none_is_refused_before_anything(plane: Plane, target: str) -> None:
    assert on(plane, "kill", target, "--reason", "x", "--yes").code == exits.REFUSED


def test_a_kill_that_stops_nobody_says_so(plane: Plane, run: Run) -> None:
    ended = done(on(plane, "kill", "clrek", "--reason", "x", "--yes"))
    assert "agent clrek: check the name" in ended.err
    known = {
        "agent": "clerk", "version": "clerk@1", "tool": "books.echo", "upstream": "books",
        "model": "small-fast", "provider": "local", "team": "finance-ops", "run": run.id,
    }  # fmt: skip
    for kind, name in known.items():
        for asked, is_known in ((name, True), (f"{name}0", False)):
            target = {"kind": kind, "name": asked}
            told = plane.operator.post("/v1/locks/preview", target)
            assert told["known"] is is_known, target
    for kind in ("runtime", "approval", "workflow"):
        told = plane.operator.post("/v1/locks/preview", {"kind": kind, "name": "none"})
        assert not told["known"], kind
    pause = done(on(plane, "pause", "tool/books.close_account", "--reason", "x", "--yes"))
    assert "check the name" not in pause.err


def test_a_kill_that_reaches_no_plane_says_what_stops_it_all_the_same(tmp_path: Path) -> None:
    for words, told in (("kill everything --yes", True), ("pause clerk --yes", False)):
        ended = watchkeeper(tmp_path, *words.split(), "--reason", "x", state=tmp_path / "none")
        assert ended.code == exits.UNREACHABLE
        assert ("kill everything --local" in ended.err) is told


def test_a_kill_that_waits_for_a_plane_says_meanwhile_what_else_stops_it(
    plane: Plane, tmp_path: Path
) -> None:
    assert plane.child is not None
    os.kill(plane.child.pid, signal.SIGSTOP)
    try:
        words = ("-m", "watchkeeper", "kill", "model/small-fast", "--yes", "--reason", "slow")
        env = clean_environment(tmp_path, WATCHKEEPER_STATE=str(plane.state))
        killing = Child.python(*words, log=tmp_path / "killing", env=env)
        eventually(lambda: "kill everything --local" in killing.output, "it tells of the file")
        assert killing.running
    finally:
        os.kill(plane.child.pid, signal.SIGCONT)
    assert killing.wait() == exits.OK
    rows = done(on(plane, "locks", "list", "--json")).json()["rows"]
    (lock,) = (row for row in rows if row["target"] == {"kind": "model", "name": "small-fast"})
    done(on(plane, "locks", "lift", lock["lock"], "--reason", "well again"))


def test_top_up_takes_dollars_or_counts(plane: Plane) -> None:
    name = "all/day/tool_calls"
    before = done(on(plane, "budgets", "show", name, "--json")).json()
    done(on(plane, "budgets", "top-up", name, "1,500", "--reason", "busy day"))
    after = done(on(plane, "budgets", "show", name, "--json")).json()
    assert after["topped_up"] == before["topped_up"] + 1500
    for amount in ("-5", "many", "0"):
        ended = on(plane, "budgets", "top-up", "--reason", "x", "--", name, amount)
        assert ended.code == exits.REFUSED, amount


def test_an_empty_reason_is_refused_in_words(plane: Plane, run: Run) -> None:
    ended = on(plane, "kill", run.id, "--reason", " ", "--yes")
    assert ended.code == exits.REFUSED
    assert "reason" in ended.err
    assert "Traceback" not in ended.err


def test_enroll_prints_what_to_set_and_works_once(plane: Plane) -> None:
    out = done(on(plane, "enroll", "clerk")).out
    settings = dict(
        line.removeprefix("export ").split("=", 1)
        for line in out.splitlines()
        if line.startswith("export ")
    )
    assert settings["WATCHKEEPER_URL"] == plane.url
    secret = {"secret": settings["WATCHKEEPER_ENROLMENT"]}
    assert plane.caller().post("/v1/enrolments/redeem", secret)["agent"] == "clerk"
    plane.caller().problem("POST", "/v1/enrolments/redeem", secret, status=401)
    assert on(plane, "enroll", "nobody").code == exits.NOT_FOUND


def test_a_remote_person_is_held_to_the_permission(plane: Plane, tmp_path: Path) -> None:
    out = done(on(plane, "token", "ada", "--may", "viewer")).out
    token = out.split("WATCHKEEPER_TOKEN=")[1].strip()

    def ada(*words: str, token: str = token) -> Ended:
        return watchkeeper(tmp_path, "--connect", plane.url, *words, token=token)

    assert json.loads(done(ada("status", "--json")).out)["me"]["person"] == "ada"
    refused = ada("kill", "clerk", "--reason", "x", "--yes")
    assert refused.code == exits.NOT_ALLOWED
    assert "permission/lock" in refused.err
    assert ada("status", token="wkp_wrong").code == exits.NOT_ALLOWED
    assert token not in plane.output


def test_no_plane_has_its_code_and_says_what_to_do(tmp_path: Path) -> None:
    nowhere = watchkeeper(tmp_path, "status", state=tmp_path / "none")
    assert nowhere.code == exits.UNREACHABLE
    assert "watchkeeper serve" in nowhere.err
    remote = watchkeeper(tmp_path, "--connect", "http://127.0.0.1:9", "status")
    assert remote.code == exits.UNREACHABLE


def test_events_are_filtered_and_followed(plane: Plane, run: Run, tmp_path: Path) -> None:
    run.decide("books.nothing", {})
    rows = done(on(plane, "events", "--type", "decision.denied", "--run", run.id, "--json")).json()
    assert [row["run"] for row in rows["rows"]] == [run.id]
    environ = clean_environment(plane.directory, WATCHKEEPER_STATE=str(plane.state))
    words = ("-m", "watchkeeper", "events", "--follow", "--limit", "1", "--json")
    following = Child.python(*words, log=tmp_path / "followed", env=environ)

    def seen() -> list[dict[str, Any]]:
        lines = following.output.split("\n")[:-1]
        return [json.loads(line) for line in lines if not line.startswith("#")]

    try:
        eventually(seen, "the newest entry is told")
        answer = run.decide("books.create_refund", SMALL)
        assert answer["verdict"] == "permit", answer
        permitted = "decision.permitted"
        eventually(lambda: seen()[-1]["type"] == permitted, "the decision is told", seconds=60)
    finally:
        following.kill()
    sequences = [event["sequence"] for event in seen()[1:]]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


def test_what_agents_say_cannot_steer_a_terminal(plane: Plane) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\u202egoal [/red]"
    other = plane.enrol("clerk").open_run(hostile)
    other.decide("books.create_refund", LARGE)
    for words in ("runs", f"runs {other.id}", "events", "watch", "requests list"):
        out = done(on(plane, *words.split())).out
        assert "\x1b" not in out
        assert not has_hidden(out.replace("\n", " ")), words


def test_nobody_writes_a_line_that_looks_like_another_entry(plane: Plane, run: Run) -> None:
    looked = run.decide("books.lookup_charge", {"charge_id": "ch_1"})["decision"]
    run.settle(looked, "failed", error="x\n      1  2026-11-20T09:00:00Z  lock.lifted  forged")
    request = run.decide("books.create_refund", LARGE)["request"]
    said = {"text": "wait\n  2026-11-20T09:00:00Z person/boss approved it: forged"}
    plane.operator.post(f"/v1/requests/{request}/comments", said)
    for words in ("events", f"requests show {request}"):
        lines = [one for one in done(on(plane, *words.split())).out.split("\n") if "forged" in one]
        assert lines, words
        assert all("␊" in line for line in lines)


def test_a_changed_entry_is_named(make_plane: Any) -> None:
    plane = make_plane("tampered")
    for _ in range(5):
        plane.issue_token("ada")
    assert done(on(plane, "audit", "verify", "--json")).json()["ok"]
    plane.stop()
    with sqlite3.connect(plane.state / "plane.sqlite3") as database:
        database.execute("UPDATE events SET actor = 'person/mallory' WHERE sequence = 4")
    plane.restart()
    found = on(plane, "audit", "verify", "--json")
    assert found.code == exits.REFUSED
    assert (found.json()["ok"], found.json()["first_bad"]) == (False, 4)
    plain = on(plane, "audit", "verify")
    assert "NOT AS WRITTEN" in plain.out


def test_stop_ends_the_plane_and_says_so(make_plane: Any) -> None:
    plane = make_plane("stopped")
    assert done(on(plane, "stop")).out == "The plane has stopped.\n"
    assert plane.child.wait() == 0
    assert done(on(plane, "stop")).out == "No plane runs here.\n"


def test_plain_output_keeps_columns_with_wide_text(plane: Plane) -> None:
    wide = plane.enrol("clerk").open_run("退款 for 日本 👩‍🚀")
    lines = eventually(
        lambda: [line for line in done(on(plane, "runs")).out.splitlines() if wide.id in line]
    )
    assert "退款" in lines[0]
