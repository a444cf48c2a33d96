"""Scripts and home-made agents: submit, poll, be called back; HumanLayer's two endpoints."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cli.command import Ended, on, watchkeeper
from tests.outbox.test_callbacks import ASKED, SECRET, documents, timeline, vote
from tests.rig.agent import Run
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.receiver import Receiver, Say
from tests.rig.world import POLICY
from watchkeeper.cli.exits import CONFLICT, HELD, NOT_FOUND, OK, REFUSED
from watchkeeper.outbox.signatures import read_secrets
from watchkeeper.wire.function_names import with_digest

CALLS = "/humanlayer/v1/function_calls"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def started(make_plane: Callable[..., Plane], receiver: Receiver) -> Plane:
    plane = make_plane(clock="frozen", environ={"HOOK_SECRET": SECRET})
    hook = {"name": "ops", "url": receiver.url, "secret": "env:HOOK_SECRET"}
    plane.apply(*documents(hook), policy__cedar=POLICY)
    return plane


def submit(run: Run, *arguments: str) -> Ended:
    plane = run.agent.plane
    environ = {"WATCHKEEPER_URL": plane.url, "WATCHKEEPER_RUN_TOKEN": run.token}
    return watchkeeper(plane.directory, "submit", *arguments, environ=environ)


REFUND = ("books.create_refund", "charge_id=ch_1", "amount_usd:=300")


def test_a_script_is_held_polls_and_is_let_through_once(started: Plane) -> None:
    run = started.enrol("clerk").open_run()
    held = submit(run, *REFUND, "--no-wait", "--key", "k1", "--json")
    assert held.code == HELD, held.err
    request = held.json()["request"]
    asked = submit(run, "--poll", request)
    assert asked.code == HELD
    assert asked.out.startswith("pending: waits for finance-ops")
    vote(started, request)
    asked = submit(run, "--poll", request, "--json")
    assert asked.code == OK
    assert asked.json()["state"] == "approved"
    assert asked.json()["reason"] == "looked at it"
    assert asked.json()["arguments"] == ASKED
    permitted = submit(run, *REFUND, "--key", "k1", "--json")
    assert permitted.code == OK, permitted.err
    assert submit(run, "--poll", request, "--json").json()["state"] == "redeemed"
    again = submit(run, *REFUND, "--key", "k1")
    assert again.code == CONFLICT, again.out
    assert "nothing is to be done" in again.err
    assert submit(run, "--done", permitted.json()["decision"]).code == OK
    assert submit(run, "--poll", request, "--json").json()["state"] == "succeeded"


def test_a_script_waits_for_the_decision(started: Plane) -> None:
    run = started.enrol("clerk").open_run()
    ends: list[Ended] = []
    waiting = threading.Thread(target=lambda: ends.append(submit(run, *REFUND, "--why", "asked")))
    waiting.start()

    def pending() -> str | None:
        rows = started.operator.get("/v1/requests")["rows"]
        return rows[0]["request"] if rows else None

    request = eventually(pending, "the script's request")
    vote(started, request, "reject")
    waiting.join(30)
    (end,) = ends
    assert end.code == REFUSED
    assert "looked at it" in end.err


def test_a_callback_of_the_command_line_comes_back(started: Plane, receiver: Receiver) -> None:
    run = started.enrol("clerk").open_run()
    held = submit(run, *REFUND, "--no-wait", "--callback", "ops", "--json")
    request = held.json()["request"]
    vote(started, request)
    eventually(lambda: receiver.received, "the callback")
    assert json.loads(receiver.received[0].body)["data"]["request"] == request
    refused = submit(run, *REFUND, "--no-wait", "--callback", "another")
    assert "contract/clerk/callbacks" in refused.err


def test_what_was_given_up_is_listed_sent_again_or_discarded(
    started: Plane, receiver: Receiver
) -> None:
    receiver.usual = Say(410)
    run = started.enrol("clerk").open_run()
    requests = []
    for amount in (300, 301):
        held = run.decide("books.create_refund", {**ASKED, "amount_usd": amount}, callback="ops")
        requests.append(held["request"])
        vote(started, held["request"], "reject")

    def dead() -> list[str] | None:
        rows = on(started, "deliveries", "list", "--in", "dead", "--json").json()["rows"]
        return [row["delivery"] for row in rows] if len(rows) == 2 else None

    newer, older = eventually(dead, "both are given up", every=0.3)
    assert "it answered 410: gone" in on(started, "deliveries", "list", "--target", "ops").out
    gone = on(started, "deliveries", "discard", newer, "--reason", "by hand")
    assert gone.out == f"{newer} is discarded.\n"
    assert on(started, "deliveries", "discard", newer).code == CONFLICT
    receiver.usual = Say()
    again = on(started, "deliveries", "redrive", "--target", "ops")
    assert again.out == "1 to ops are sent again.\n"
    eventually(lambda: receiver.received[-1].headers["webhook-id"] == older, "it is sent again")
    assert on(started, "deliveries", "redrive", "msg_unheard_of").code == NOT_FOUND
    assert on(started, "deliveries", "redrive").code == REFUSED
    assert on(started, "webhooks", "key").out.startswith("whpk_")
    secret = on(started, "webhooks", "secret").out.strip()
    assert on(started, "webhooks", "secret", "--json").json()["secret"].startswith("whsec_")
    assert len(read_secrets(secret)[0]) == 32
    words = " ".join(timeline(started, requests[1]))
    assert "discarded callback to ops: by hand" in words


def test_another_runs_request_is_not_shown(started: Plane) -> None:
    run = started.enrol("clerk").open_run()
    request = submit(run, *REFUND, "--no-wait", "--json").json()["request"]
    stranger = started.enrol("clerk").open_run()
    assert submit(stranger, "--poll", request).code == NOT_FOUND
    run.caller.problem("GET", "/v1/decide/req_nonsense", status=404)
    started.caller().problem("GET", f"/v1/decide/{request}", status=401)
    # the agent's own credential sees the requests of all its runs
    assert run.agent.caller.get(f"/v1/decide/{request}")["state"] == "pending"


def test_a_credential_opens_a_run_and_what_is_wrong_is_said(started: Plane) -> None:
    agent = started.enrol("clerk")
    environ = {"WATCHKEEPER_URL": started.url, "WATCHKEEPER_CREDENTIAL": agent.credential}
    held = watchkeeper(started.directory, "submit", *REFUND, "--no-wait", environ=environ)
    assert held.code == HELD
    assert "export WATCHKEEPER_RUN_TOKEN=wkr_" in held.err
    for wrong in (
        ("books.echo", "no-sign"),
        ("books.echo", "a:={"),
        (),
        ("books.echo", "a=1", "a=2"),
    ):
        assert watchkeeper(started.directory, "submit", *wrong, environ=environ).code == REFUSED
    assert watchkeeper(started.directory, "submit", "books.echo").code == REFUSED


def call_of(call: str, fn: str = "books.create_refund", **kwargs: Any) -> dict[str, Any]:
    return {
        "run_id": "theirs",
        "call_id": call,
        "spec": {"fn": fn, "kwargs": kwargs or ASKED, "channel": None, "reject_options": None},
        "status": None,
    }


def test_a_function_call_is_approved_by_the_answer_that_says_so(started: Plane) -> None:
    run = started.enrol("clerk").open_run()
    asked = run.caller.post(CALLS, call_of("c1"))
    assert asked["status"]["approved"] is None
    assert asked["spec"] == {"fn": "books.create_refund", "kwargs": ASKED}
    assert run.caller.get(f"{CALLS}/c1")["status"]["approved"] is None
    (row,) = started.operator.get("/v1/requests")["rows"]
    vote(started, row["request"])
    for _ in range(3):
        assert run.caller.get(f"{CALLS}/c1")["status"]["approved"] is True
    assert run.caller.post(CALLS, call_of("c1"))["status"]["approved"] is True
    redeemed = [e for e in started.events(request=row["request"]) if e["type"] == "grant.redeemed"]
    assert len(redeemed) == 1
    # the same action under another id is another call: it waits for an approval of its own
    assert run.caller.post(CALLS, call_of("c2"))["status"]["approved"] is None


def test_a_function_is_known_by_the_name_that_agents_see_too(started: Plane) -> None:
    run = started.enrol("clerk").open_run()
    digest = with_digest("books.create_refund")
    for call, name in (("c1", "books_create_refund"), ("c2", digest)):
        asked = run.caller.post(CALLS, call_of(call, fn=name))
        assert asked["spec"]["fn"] == "books.create_refund"
        assert asked["status"]["approved"] is None
        assert run.caller.post(CALLS, call_of(call))["spec"] == asked["spec"], "the same call"
    denied = run.caller.post(CALLS, call_of("c3", fn="books_unheard_of"))["status"]
    assert "contract/clerk/tools" in denied["comment"]


def test_two_calls_for_the_same_action_take_two_approvals(started: Plane) -> None:
    run = started.enrol("clerk").open_run()
    for call in ("c1", "c2"):
        run.caller.post(CALLS, call_of(call))
    (row,) = started.operator.get("/v1/requests")["rows"]
    vote(started, row["request"])
    assert run.caller.get(f"{CALLS}/c1")["status"]["approved"] is True
    for _ in range(2):
        assert run.caller.get(f"{CALLS}/c2")["status"]["approved"] is None
    (second,) = started.operator.get("/v1/requests")["rows"]
    assert second["request"] != row["request"]
    vote(started, second["request"])
    assert run.caller.get(f"{CALLS}/c2")["status"]["approved"] is True


def test_a_refused_function_call_says_why(started: Plane) -> None:
    run = started.enrol("clerk").open_run()
    run.caller.post(CALLS, call_of("c1"))
    (row,) = started.operator.get("/v1/requests")["rows"]
    vote(started, row["request"], "reject")
    status = run.caller.get(f"{CALLS}/c1")["status"]
    assert (status["approved"], status["comment"]) == (False, "looked at it")
    assert status["responded_at"]
    denied = run.caller.post(CALLS, call_of("c2", fn="books.unheard_of", a=1))["status"]
    assert denied["approved"] is False
    assert "contract/clerk/tools" in denied["comment"]
    allowed = run.caller.post(CALLS, call_of("c3", fn="books.lookup_charge", charge_id="ch_1"))
    assert allowed["status"]["approved"] is True


def test_a_call_id_names_one_call_of_its_run(started: Plane) -> None:
    run = started.enrol("clerk").open_run()
    run.caller.post(CALLS, call_of("c1"))
    run.caller.post(CALLS, call_of("c2", charge_id="ch_1", amount_usd=1))
    for another in (
        call_of("c1", charge_id="ch_2", amount_usd=300),
        # to Python this is the same as 1
        call_of("c2", charge_id="ch_1", amount_usd=True),
    ):
        no = run.caller.problem("POST", CALLS, another, status=409)
        assert no["code"] == "idempotency_mismatch"
    stranger = started.enrol("clerk").open_run()
    stranger.caller.problem("GET", f"{CALLS}/c1", status=404)
    started.caller().problem("GET", f"{CALLS}/c1", status=401)
    run.caller.problem("POST", CALLS, call_of("c9", fn="NOT A NAME"), status=400)
    # what could not be asked after is not taken
    for call in ("c/9", "c 9", "c9\n", ""):
        run.caller.problem("POST", CALLS, call_of(call), status=400)


def test_nothing_says_approved_under_a_lock(started: Plane) -> None:
    run = started.enrol("clerk").open_run()
    run.caller.post(CALLS, call_of("c1"))
    (row,) = started.operator.get("/v1/requests")["rows"]
    vote(started, row["request"])
    free = call_of("c2", fn="books.lookup_charge", charge_id="ch_1")
    for call in (call_of("c1"), free):
        assert run.caller.post(CALLS, call)["status"]["approved"] is True
    lock = {"target": {"kind": "agent", "name": "clerk"}, "mode": "pause", "reason": "wait"}
    paused = started.operator.post("/v1/locks", lock)["lock"]
    for call in (call_of("c1"), free):
        for answer in (
            run.caller.post(CALLS, call),
            run.caller.get(f"{CALLS}/{call['call_id']}"),
        ):
            assert answer["status"]["approved"] is False
            assert f"lock/{paused}" in answer["status"]["comment"]
    started.operator.post(f"/v1/locks/{paused}/lift", {"reason": "go on"})
    assert run.caller.get(f"{CALLS}/c1")["status"]["approved"] is True
    started.operator.post("/v1/locks", {**lock, "mode": "stop"})
    assert run.caller.get(f"{CALLS}/c1")["status"]["approved"] is False
    redeemed = [e for e in started.events(request=row["request"]) if e["type"] == "grant.redeemed"]
    assert len(redeemed) == 1


def test_an_approval_not_used_in_time_is_no_approval(started: Plane) -> None:
    run = started.enrol("clerk").open_run()
    run.caller.post(CALLS, call_of("c1"))
    (row,) = started.operator.get("/v1/requests")["rows"]
    vote(started, row["request"])
    started.advance(400)
    status = run.caller.get(f"{CALLS}/c1")["status"]
    assert status["approved"] is False
    assert "not used in time" in status["comment"]
    assert any("lapsed" in text for text in timeline(started, row["request"]))
