"""AuthZEN on a real plane: the wire as the specification has it, the answers as the path decides.

The certification scenario's cases are of its own fixture; here are the same shapes over agents
and tools: what is accepted, refused and echoed, and in which order batches are gone through.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest

from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.world import POLICY, agent_document, world

SUBJECT = {"type": "agent", "id": "clerk"}
USE = {"name": "use_tool"}
LOOKUP = {"type": "tool", "id": "books.lookup_charge"}
REFUND = {"type": "tool", "id": "books.create_refund"}
CLOSE = {"type": "tool", "id": "books.close_account"}
MODEL = {"type": "model", "id": "small-fast"}
READ = {"subject": SUBJECT, "action": USE, "resource": LOOKUP, "context": {"arguments": {}}}
TEXT = {"type": "string"}
ENTITY = {
    "type": "object",
    "required": ["type", "id"],
    "properties": {"type": TEXT, "id": TEXT, "properties": {"type": "object"}},
}
REQUEST_SCHEMA = {
    "type": "object",
    "required": ["subject", "resource", "action"],
    "properties": {
        "subject": ENTITY,
        "resource": ENTITY,
        "action": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": TEXT, "properties": {"type": "object"}},
        },
        "context": {"type": "object"},
    },
}
RESPONSE_SCHEMA = {
    "type": "object",
    "required": ["decision"],
    "properties": {"decision": {"type": "boolean"}, "context": {"type": "object"}},
}
"""What the two schemas of the specification say, in our own words."""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("authzen")).start()
    running.apply(*world(agent_document("other")), policy__cedar=POLICY)
    yield running
    running.close()


@pytest.fixture
def run(plane: Plane) -> Run:
    return plane.enrol("clerk").open_run()


def refund(amount: float, **more: Any) -> dict[str, Any]:
    arguments = {"charge_id": "ch_1", "amount_usd": amount}
    return READ | {"resource": REFUND, "context": {"arguments": arguments} | more}


def told(plane: Plane) -> int:
    """How many events there are, but for those of upstreams nobody listens at."""
    return sum(not event["type"].startswith("upstream.") for event in plane.events())


def ask(plane: Plane, body: Any, **headers: str) -> httpx.Response:
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(plane.socket)), base_url="http://plane"
    ) as client:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json"} | headers
        return client.post("/access/v1/evaluation", content=raw, headers=given)


def decide(plane: Plane, body: dict[str, Any]) -> dict[str, Any]:
    assert jsonschema_rs.is_valid(REQUEST_SCHEMA, body)
    found = ask(plane, body)
    assert found.status_code == httpx.codes.OK, found.text
    answer: dict[str, Any] = found.json()
    assert jsonschema_rs.is_valid(RESPONSE_SCHEMA, answer)
    return answer


@pytest.mark.parametrize(
    ("body", "decision", "rule"),
    [
        (READ, True, "policy/contracts-permit"),
        (refund(20), True, "policy/contracts-permit"),
        (refund(250), False, "policy/refund-over-200"),
        (refund(1001), False, "policy/refund-never-over-1000"),
        (refund(-1), False, "tool/books.create_refund/schema"),
        (READ | {"resource": CLOSE}, False, "contract/clerk/tools"),
        (READ | {"subject": {"type": "agent", "id": "nobody"}}, False, "identity/contract"),
        (READ | {"subject": {"type": "user", "id": "alice"}}, False, "access/not-understood"),
        (READ | {"action": {"name": "resources/read"}}, False, "access/not-understood"),
        (READ | {"resource": MODEL}, False, "access/not-understood"),
        (READ | {"action": {"name": "tools/call"}}, True, "policy/contracts-permit"),
        (
            READ
            | {
                "action": {"name": "tools/call"},
                "resource": {"type": "tool", "id": "books_lookup_charge"},
            },
            True,
            "policy/contracts-permit",
        ),
        (
            READ
            | {
                "action": {"name": "call_model"},
                "resource": MODEL,
                "context": {"estimate": {"input_tokens": 10, "output_tokens": 5}},
            },
            True,
            "policy/contracts-permit",
        ),
        (
            READ
            | {
                "subject": {"type": "identity", "id": "alice@example.com"},
                "context": {"agent": "spiffe://local.watchkeeper/agent/clerk", "arguments": {}},
            },
            True,
            "policy/contracts-permit",
        ),
    ],
)  # fmt: skip
def test_an_evaluation_is_what_the_path_decides(
    plane: Plane, body: dict[str, Any], decision: bool, rule: str
) -> None:
    before = told(plane)
    for _ in range(2):
        found = decide(plane, body)
        assert (found["decision"], found["context"]["rule"]) == (decision, rule)
    assert told(plane) == before, "an evaluation records nothing"
    assert plane.operator.get("/v1/decisions")["rows"] == []


def test_unknown_fields_are_passed_over_and_the_request_id_comes_back(plane: Plane) -> None:
    more = READ | {"future": {"nested": [1]}, "subject": SUBJECT | {"properties": {"team": "x"}}}
    assert decide(plane, more)["decision"] is True
    for body, status in ((more, httpx.codes.OK), ({}, httpx.codes.BAD_REQUEST)):
        found = ask(plane, body, **{"x-request-id": "bfe9eb29-ab87"})
        assert found.status_code == status
        assert found.headers["x-request-id"] == "bfe9eb29-ab87"
        assert found.headers["content-type"].startswith("application/")
    assert "x-request-id" not in ask(plane, more).headers


@pytest.mark.parametrize(
    "broken",
    [
        *(json.dumps({k: v for k, v in READ.items() if k != gone}).encode() for gone in (
            "subject", "action", "resource")),
        *(json.dumps(READ | {entity: {key: "x"}}).encode() for entity, key in (
            ("subject", "type"), ("subject", "id"), ("resource", "type"), ("resource", "id"))),
        json.dumps(READ | {"action": {}}).encode(),
        json.dumps(READ | {"subject": "clerk"}).encode(),
        json.dumps(READ | {"action": {"name": 123}}).encode(),
        json.dumps(READ | {"context": []}).encode(),
        json.dumps(READ | {"subject": {"type": "agent", "id": ""}}).encode(),
        json.dumps(READ | {"context": {"estimate": {"input_tokens": -1}}}).encode(),
        b"{not json",
        b"",
        b"[]",
    ],
)  # fmt: skip
def test_a_missing_or_mistyped_field_is_refused(plane: Plane, broken: bytes) -> None:
    found = ask(plane, broken)
    assert found.status_code == httpx.codes.BAD_REQUEST
    assert found.headers["content-type"] == "application/problem+json"


def test_another_content_type_is_refused(plane: Plane) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert ask(plane, READ, **{"content-type": kind}).status_code == httpx.codes.BAD_REQUEST


PERMIT, DENY, HOLD = {"resource": LOOKUP}, {"resource": {"type": "tool", "id": "x"}}, refund(250)


@pytest.mark.parametrize(
    ("semantic", "given", "expected"),
    [
        (None, [PERMIT, DENY, PERMIT], [True, False, True]),
        ("execute_all", [DENY, HOLD, PERMIT], [False, False, True]),
        ("deny_on_first_deny", [PERMIT, DENY, PERMIT], [True, False]),
        ("deny_on_first_deny", [PERMIT, PERMIT], [True, True]),
        ("permit_on_first_permit", [DENY, HOLD, PERMIT, DENY], [False, False, True]),
        ("permit_on_first_permit", [DENY], [False]),
    ],
)
def test_several_are_gone_through_in_order(
    plane: Plane, semantic: str | None, given: list[Any], expected: list[bool]
) -> None:
    body: dict[str, Any] = {"subject": SUBJECT, "action": USE, "evaluations": given}
    if semantic:
        body["options"] = {"evaluations_semantic": semantic}
    found = plane.operator.post("/access/v1/evaluations", body)["evaluations"]
    assert [one["decision"] for one in found] == expected


@pytest.mark.parametrize("shared", ["action", "context"])
def test_long_arguments_are_not_gone_through_a_hundred_times(plane: Plane, shared: str) -> None:
    long = {"arguments": {f"k{n}": "4111 1111 1111 1111" for n in range(3000)}}
    action = {"name": "use_tool", "properties": long if shared == "action" else {}}
    own = {"context": {}} if shared == "action" else {"action": action}
    body = READ | {"action": action, "context": long if shared == "context" else {}}
    few = plane.operator.post("/access/v1/evaluations", body | {"evaluations": [own] * 3})
    assert len(few["evaluations"]) == 3
    plane.operator.problem(
        "POST", "/access/v1/evaluations", body | {"evaluations": [own] * 100}, status=413
    )


def test_without_evaluations_it_is_one_and_each_must_be_whole(plane: Plane) -> None:
    assert plane.operator.post("/access/v1/evaluations", READ)["decision"] is True
    assert plane.operator.post("/access/v1/evaluations", READ | {"evaluations": []})["decision"]
    half = {"action": USE, "evaluations": [READ, {"resource": LOOKUP}]}
    found = plane.operator.problem("POST", "/access/v1/evaluations", half, status=400)
    assert "evaluations.1" in found["message"]
    unknown = READ | {"evaluations": [READ], "options": {"evaluations_semantic": "some"}}
    plane.operator.problem("POST", "/access/v1/evaluations", unknown, status=400)
    many = {"evaluations": [READ] * 101}
    plane.operator.problem("POST", "/access/v1/evaluations", many, status=400)


def test_the_metadata_names_the_routes(plane: Plane) -> None:
    found = plane.caller().get("/.well-known/authzen-configuration")
    assert found["policy_decision_point"] == plane.url
    for name in ("access_evaluation", "access_evaluations", "access_request"):
        assert found[f"{name}_endpoint"].startswith(plane.url + "/access/v1/")


def test_an_agent_asks_for_itself_only(plane: Plane, run: Run) -> None:
    mine = READ | {"context": {"arguments": {}}}
    theirs = READ | {"subject": {"type": "agent", "id": "other"}}
    assert run.caller.post("/access/v1/evaluation", mine)["decision"] is True
    assert run.agent.caller.post("/access/v1/evaluation", mine)["decision"] is True
    run.agent.caller.problem("POST", "/access/v1/evaluation", theirs, status=403)
    another = run.agent.open_run()
    of_another = READ | {"subject": {"type": "run", "id": another.id}}
    run.caller.problem("POST", "/access/v1/evaluation", of_another, status=403)
    plane.caller().problem("POST", "/access/v1/evaluation", READ, status=401)
    viewer = plane.caller(plane.issue_token("eve"))
    assert viewer.post("/access/v1/evaluation", of_another)["decision"] is True


def request_of(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    hint = answer["context"]["access_request"]
    denial = {key: hint[key] for key in ("expires_at", "binding_token")}
    return body | {"denial": denial | {"evaluation_id": answer["context"]["evaluation_id"]}}


def test_a_hold_is_requested_approved_and_evaluated_again(plane: Plane, run: Run) -> None:
    body = refund(251)
    denied = run.caller.post("/access/v1/evaluation", body)
    assert denied["decision"] is False
    assert denied["context"]["reason"] == "approval_required"
    assert plane.operator.get("/v1/requests", agent="clerk")["rows"] == []

    wanted = request_of(body, denied)
    opened = [run.caller.http.post("/access/v1/requests", json=wanted) for _ in range(3)]
    assert [one.status_code for one in opened] == [202] * 3
    names = {one.json()["task"]["id"] for one in opened}
    (row,) = plane.operator.get("/v1/requests", agent="clerk")["rows"]
    assert names == {row["request"]}, "asked three times, opened once"
    assert len(run.caller.get(f"/access/v1/requests/{row['request']}")["task"]) > 0

    # the same call on the decision path meets the same request
    arguments = body["context"]["arguments"]
    assert run.decide("books.create_refund", arguments)["request"] == row["request"]

    detail = plane.operator.get(f"/v1/requests/{row['request']}")
    vote = {"verdict": "approve", "digest": detail["digest"], "reason": "fine"}
    plane.operator.post(f"/v1/requests/{row['request']}/votes", vote)
    shown = run.caller.get(f"/access/v1/requests/{row['request']}")
    assert shown["task"]["status"] == "approved"
    approval = shown["result"]["approval"]

    again = run.caller.post("/access/v1/evaluation", refund(251, approval=approval))
    assert again["decision"] is True
    assert again["context"]["approval"]["id"] == row["request"]
    other = run.caller.post("/access/v1/evaluation", refund(252, approval=approval))
    assert other["decision"] is False
    assert (other["context"]["reason"], other["context"]["next_action"]) == (
        "out_of_scope", "request",
    )  # fmt: skip
    false = refund(251, approval={"id": "req_of_nobody"})
    assert run.caller.post("/access/v1/evaluation", false)["decision"] is False

    # evaluating used nothing up: the call itself still finds its approval, once
    assert run.decide("books.create_refund", arguments)["verdict"] == "permit"
    spent = run.caller.post("/access/v1/evaluation", refund(251, approval=approval))
    assert spent["context"]["reason"] == "approval_expired"


def problem_of(run: Run, body: Any, **headers: str) -> tuple[int, str]:
    found = run.caller.http.post("/access/v1/requests", json=body, headers=headers)
    said = found.json()
    return found.status_code, said.get("type", said.get("code"))


URN = "urn:openid:authzen:access-request:error:"


def test_what_was_not_evaluated_is_not_requested(plane: Plane, run: Run) -> None:
    body = refund(300)
    wanted = request_of(body, run.caller.post("/access/v1/evaluation", body))
    other = wanted | {"context": refund(301)["context"]}
    assert problem_of(run, other) == (400, URN + "invalid_denial_binding")
    token = wanted["denial"]["binding_token"]
    elsewhere = run.caller.post("/access/v1/evaluation", refund(302))
    seal = elsewhere["context"]["access_request"]["binding_token"].partition(".")[2]
    for forged in ("A" + token[1:], f"{token.partition('.')[0]}.{seal}", "", "x", token[:-4]):
        changed = wanted | {"denial": wanted["denial"] | {"binding_token": forged}}
        expected = URN + "invalid_denial_binding" if forged else "invalid"
        assert problem_of(run, changed) == (400, expected)
    assert problem_of(run, body)[0] == httpx.codes.BAD_REQUEST
    stranger = run.agent.open_run()
    assert problem_of(stranger, wanted) == (400, URN + "invalid_denial_binding")
    run.agent.caller.problem("POST", "/access/v1/requests", wanted, status=401)

    assert problem_of(run, wanted, **{"idempotency-key": "k1"})[0] == httpx.codes.ACCEPTED
    different = wanted | {"client": {"id": "x"}, "context": wanted["context"] | {"more": 1}}
    assert problem_of(run, different, **{"idempotency-key": "k1"}) == (
        409, URN + "duplicate_request",
    )  # fmt: skip
    assert problem_of(run, wanted, **{"idempotency-key": "k1"})[0] == httpx.codes.ACCEPTED
    long = problem_of(run, wanted, **{"idempotency-key": "k" * 256})
    assert long[0] == httpx.codes.BAD_REQUEST, "each is remembered"
    found = run.caller.http.get("/access/v1/requests/req_unknown")
    assert (found.status_code, found.json()["type"]) == (404, URN + "unknown_task")
    task = plane.operator.get("/v1/requests", agent="clerk")["rows"][0]["request"]
    assert stranger.caller.http.get(f"/access/v1/requests/{task}").status_code == 404


def test_a_rejected_task_is_denied_and_an_old_denial_is_gone(plane: Plane, run: Run) -> None:
    body = refund(310)
    wanted = request_of(body, run.caller.post("/access/v1/evaluation", body))
    task = run.caller.post("/access/v1/requests", wanted)["task"]["id"]
    detail = plane.operator.get(f"/v1/requests/{task}")
    vote = {"verdict": "reject", "digest": detail["digest"], "reason": "no"}
    plane.operator.post(f"/v1/requests/{task}/votes", vote)
    shown = run.caller.get(f"/access/v1/requests/{task}")
    assert shown["task"]["status"] == "denied"
    assert "result" not in shown
    denied = run.caller.post("/access/v1/evaluation", body)
    assert "access_request" not in denied["context"], "a person said no"
    assert run.caller.post("/access/v1/requests", wanted)["task"]["status"] == "denied"

    late = refund(311)
    wanted = request_of(late, run.caller.post("/access/v1/evaluation", late))
    plane.advance(601)
    assert problem_of(run, wanted) == (410, URN + "expired_denial")


def test_without_a_run_nothing_is_requestable(plane: Plane) -> None:
    assert "access_request" not in decide(plane, refund(260))["context"]
