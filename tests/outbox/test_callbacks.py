"""Callbacks end to end: a real plane, a real receiver, and an independent verifier."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from tests.rig.agent import Run
from tests.rig.deadline import eventually, stays
from tests.rig.plane import Plane
from tests.rig.receiver import Received, Receiver, Say
from tests.rig.world import POLICY, agent_document, world

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
ASKED = {"charge_id": "ch_1", "amount_usd": 300}
HOUR = 3600


def documents(*hooks: dict[str, Any]) -> list[str]:
    """The world, with webhooks that the clerk may be told by."""
    names = ", ".join(hook["name"] for hook in hooks)
    agent = agent_document().replace("hold_seconds: 0}", f"hold_seconds: 0, callbacks: [{names}]}}")
    return [*world(agent=agent), *(json.dumps({"webhook": hook}) for hook in hooks)]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def started(make_plane: Callable[..., Plane], receiver: Receiver) -> Plane:
    plane = make_plane(clock="frozen", environ={"HOOK_SECRET": SECRET})
    hook = {"name": "ops", "url": receiver.url, "secret": "env:HOOK_SECRET"}
    plain = {"name": "plain", "url": receiver.url, "signing": "ed25519"}
    plane.apply(*documents(hook, plain), policy__cedar=POLICY)
    return plane


def ask(run: Run, callback: str = "ops", **more: Any) -> str:
    answer = run.decide("books.create_refund", {**ASKED, **more}, callback=callback)
    assert answer["verdict"] == "hold", answer
    return str(answer["request"])


def vote(plane: Plane, request: str, verdict: str = "approve", **more: Any) -> None:
    digest = plane.operator.get(f"/v1/requests/{request}")["digest"]
    body = {"verdict": verdict, "digest": digest, "reason": "looked at it", **more}
    plane.operator.post(f"/v1/requests/{request}/votes", body)


def arrived(receiver: Receiver, count: int) -> list[Received]:
    eventually(lambda: len(receiver.received) >= count, f"{count} callbacks arrived")
    return list(receiver.received)


def row_of(plane: Plane, request: str, state: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        rows = plane.operator.get("/v1/deliveries", request=request)["rows"]
        return next((row for row in rows if row["state"] == state), None)

    return eventually(found, f"the callback of {request} is {state}")


def tried(plane: Plane, request: str, times: int = 1) -> dict[str, Any]:
    """The callback of a request once so many attempts have failed."""

    def found() -> dict[str, Any] | None:
        row = row_of(plane, request, "pending")
        return row if row["last_error"] and row["attempts"] == times else None

    return eventually(found, f"{times} attempts have failed")


def timeline(plane: Plane, request: str) -> list[str]:
    return [entry["text"] for entry in plane.operator.get(f"/v1/requests/{request}")["timeline"]]


def test_a_decision_is_told_signed_once_and_stands_in_the_timeline(
    started: Plane, receiver: Receiver
) -> None:
    run = started.enrol("clerk").open_run()
    request = ask(run)
    vote(started, request, "reject")
    (call,) = arrived(receiver, 1)
    told = Verifier(SECRET).verify(call.body, dict(call.headers))
    assert told["type"] == "request.denied"
    assert told["data"]["request"] == request
    assert told["data"]["state"] == "denied"
    assert told["data"]["reason"] == "looked at it"
    assert told["data"]["run"] == run.id
    assert started.operator.get(f"/v1/requests/{request}")["callback"] == "ops"
    row = row_of(started, request, "sent")
    assert row["delivery"] == call.headers["webhook-id"]
    assert "callback to ops delivered (200) after 1 attempt" in timeline(started, request)
    stays(lambda: len(receiver.received) == 1, "nothing is sent twice")


def test_approval_and_end_are_told_in_two_callbacks(started: Plane, receiver: Receiver) -> None:
    run = started.enrol("clerk").open_run()
    request = ask(run)
    vote(started, request)
    arrived(receiver, 1)
    run.settle(run.decide("books.create_refund", ASKED)["decision"])
    told = [json.loads(one.body) for one in arrived(receiver, 2)]
    assert [one["type"] for one in told] == ["request.approved", "request.succeeded"]
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 2


def test_without_a_secret_the_plane_signs_with_its_own_published_key(
    started: Plane, receiver: Receiver
) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    run = started.enrol("clerk").open_run()
    vote(started, ask(run, "plain"), "reject")
    (call,) = arrived(receiver, 1)
    key = started.caller().get("/v1/webhook-key")["key"]
    assert key.startswith("whpk_")
    kind, _, signature = call.headers["webhook-signature"].partition(",")
    assert kind == "v1a"
    at, id_ = call.headers["webhook-timestamp"], call.headers["webhook-id"]
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("whpk_")))
    public.verify(base64.b64decode(signature), f"{id_}.{at}.".encode() + call.body)
    started.stop()
    started.restart()
    assert started.caller().get("/v1/webhook-key")["key"] == key
    assert (started.state / "signing" / "webhooks.key").stat().st_mode & 0o077 == 0


def test_while_a_secret_is_changed_both_verify(
    make_plane: Callable[..., Plane], receiver: Receiver
) -> None:
    plane = make_plane(clock="frozen", environ={"HOOK_SECRET": f"{OTHER} {SECRET}"})
    hook = {"name": "ops", "url": receiver.url, "secret": "env:HOOK_SECRET"}
    plane.apply(*documents(hook), policy__cedar=POLICY)
    vote(plane, ask(plane.enrol("clerk").open_run()), "reject")
    (call,) = arrived(receiver, 1)
    for secret in (SECRET, OTHER):
        Verifier(secret).verify(call.body, dict(call.headers))


def test_a_receiver_that_fails_is_tried_again_over_days_under_one_id(
    started: Plane, receiver: Receiver
) -> None:
    receiver.usual = Say(503)
    request = ask(started.enrol("clerk").open_run())
    vote(started, request, "reject")
    for attempt in range(1, 11):
        arrived(receiver, attempt)
        if attempt < 10:
            tried(started, request, attempt)
            started.advance(30 * HOUR)
    row = row_of(started, request, "dead")
    assert row["attempts"] == 10
    assert row["last_status"] == 503
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    assert len({one.headers["webhook-timestamp"] for one in receiver.received}) == 10
    needs = started.operator.get("/v1/watch")["rows"]
    assert any(need["need"] == "webhook/ops" and "503" in need["text"] for need in needs), needs
    receiver.usual = Say(204)
    redriven = started.operator.post("/v1/deliveries/redrive", {"target": "ops"})
    assert redriven["redriven"] == 1
    assert row_of(started, request, "sent")["attempts"] == 1
    assert receiver.received[-1].headers["webhook-id"] == row["delivery"]
    words = " | ".join(timeline(started, request))
    assert "given up after 10 attempts" in words
    assert "sends callback to ops again" in words


def test_a_receiver_says_when_it_wants_to_be_tried_again(
    started: Plane, receiver: Receiver
) -> None:
    receiver.answers = [Say(429, {"retry-after": "7200"})]
    request = ask(started.enrol("clerk").open_run())
    vote(started, request, "reject")
    arrived(receiver, 1)
    due = tried(started, request)["next_at"]
    now = started.operator.get("/v1/status")["now"]
    assert 2 * HOUR <= (due - now) / 1e6 <= 2.5 * HOUR
    started.advance(3 * HOUR)
    row_of(started, request, "sent")


def test_a_receiver_that_is_gone_is_told_nothing_more_until_it_is_applied_anew(
    started: Plane, receiver: Receiver
) -> None:
    receiver.answers = [Say(410)]
    run = started.enrol("clerk").open_run()
    first = ask(run)
    vote(started, first, "reject")
    assert row_of(started, first, "dead")["last_status"] == 410
    second = ask(run, amount_usd=301)
    vote(started, second, "reject")
    assert "gone" in row_of(started, second, "dead")["last_error"]
    assert len(receiver.received) == 1
    (need,) = [n for n in started.operator.get("/v1/watch")["rows"] if n["need"] == "webhook/ops"]
    assert "410" in need["text"]
    hook = {"name": "ops", "url": receiver.url + "/new", "secret": "env:HOOK_SECRET"}
    started.apply(json.dumps({"webhook": hook}))
    third = ask(run, amount_usd=302)
    vote(started, third, "reject")
    row_of(started, third, "sent")
    assert receiver.received[-1].path == "/callback/new"


def test_a_secret_that_is_not_there_is_tried_again_and_shown(
    make_plane: Callable[..., Plane], receiver: Receiver
) -> None:
    plane = make_plane(clock="frozen")
    hook = {"name": "ops", "url": receiver.url, "secret": "sealed:ops-hook"}
    plane.apply(*documents(hook), policy__cedar=POLICY)
    request = ask(plane.enrol("clerk").open_run())
    vote(plane, request, "reject")
    assert "ops-hook" in tried(plane, request)["last_error"]
    (need,) = [
        n for n in plane.operator.get("/v1/watch")["rows"] if n["subject"] == "sealed:ops-hook"
    ]
    assert "webhook/ops" in need["text"]
    plane.operator.post("/v1/secrets/ops-hook", {"value": SECRET})
    plane.advance(10)
    row_of(plane, request, "sent")
    Verifier(SECRET).verify(receiver.received[0].body, dict(receiver.received[0].headers))
    assert SECRET.removeprefix("whsec_") not in plane.output


def test_no_redirect_is_followed(started: Plane, receiver: Receiver) -> None:
    receiver.answers = [Say(307, {"location": receiver.url + "/elsewhere"})]
    request = ask(started.enrol("clerk").open_run())
    vote(started, request, "reject")
    assert "redirects are not followed" in tried(started, request)["last_error"]
    assert [one.path for one in receiver.received] == ["/callback"]


def test_a_webhook_that_the_contract_does_not_name_is_refused(started: Plane) -> None:
    run = started.enrol("clerk").open_run()
    body = {"name": "books.create_refund", "arguments": ASKED, "callback": "elsewhere"}
    problem = run.caller.problem("POST", "/v1/decide", body, status=403)
    assert problem["rule"] == "contract/clerk/callbacks"
    assert "ops" in problem["remedy"]


def test_a_callback_in_flight_when_the_plane_dies_is_sent_again_under_its_id(
    started: Plane, receiver: Receiver
) -> None:
    receiver.hold()
    request = ask(started.enrol("clerk").open_run())
    vote(started, request, "reject")
    (first,) = arrived(receiver, 1)
    started.kill()
    receiver.release()
    started.restart()
    assert row_of(started, request, "sending")["attempts"] == 1
    started.advance(30)
    second = arrived(receiver, 2)[1]
    assert second.headers["webhook-id"] == first.headers["webhook-id"]
    assert second.body == first.body
    row_of(started, request, "sent")
    assert "nobody knows whether callback to ops arrived" in " ".join(timeline(started, request))


def test_what_commits_while_nothing_is_sent_is_told_after_a_restart(
    started: Plane, receiver: Receiver
) -> None:
    run = started.enrol("clerk").open_run()
    requests = [ask(run, amount_usd=300 + n) for n in range(20)]
    for request in requests:
        vote(started, request, "reject")
        if request == requests[10]:
            started.kill()
            started.restart()
            run = started.enrol("clerk").open_run()
    started.advance(30)
    for request in requests:
        row_of(started, request, "sent")
    told = {json.loads(one.body)["data"]["request"]: one for one in receiver.received}
    assert set(told) == set(requests)
    ids = {one.headers["webhook-id"] for one in receiver.received}
    assert len(ids) == len(requests), "each event led to one callback, whatever was sent twice"
