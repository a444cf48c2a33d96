"""Tokens in exchange for tokens: on a person's behalf, narrower, taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as given_by
from hypothesis import strategies as st

from tests.identity.conftest import PEOPLE_ISSUER, Issuers, documents
from tests.identity.oauth import ACCESS, JWT, exchange, given, refused, seconds, sign
from tests.rig.plane import Plane
from tests.rig.stores import sqlite_url
from tests.rig.world import POLICY
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Forbidden
from watchkeeper.core.ids import hash_secret
from watchkeeper.identity.model import IssuedRun, NewRun, Workload
from watchkeeper.identity.persons import issue_token
from watchkeeper.identity.purging import purge_expired
from watchkeeper.identity.runs import MOST_TOKENS, open_run, renew_token
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

READ = {"charge_id": "ch_1"}


def person(issuers: Issuers, plane: Plane, subject: str = "00u1", **changes: Any) -> str:
    now = seconds(plane)
    claims = {
        "iss": PEOPLE_ISSUER, "sub": subject, "aud": "watchkeeper", "exp": now + 600, "iat": now,
    } | changes  # fmt: skip
    return sign(issuers.people, claims, kid="p")


def refund(plane: Plane, token: str, amount: float = 10) -> dict[str, Any]:
    return decide(plane, token, "books.create_refund", charge_id="ch_1", amount_usd=amount)


def decide(plane: Plane, token: str, name: str, **arguments: Any) -> dict[str, Any]:
    asked = {"kind": "tool", "name": name, "arguments": arguments}
    found: dict[str, Any] = plane.caller(token).post("/v1/decide", asked)
    return found


def test_a_run_on_behalf_of_a_proven_person(plane: Plane, issuers: Issuers) -> None:
    agent = plane.enrol("careful")
    claimed = agent.caller.problem(
        "POST", "/v1/runs", {"goal": "x", "on_behalf_of": "person/grace"}, status=403
    )
    assert claimed["rule"] == "contract/careful/identity"
    token = person(issuers, plane)
    found = given(exchange(plane, token, JWT, actor_token=agent.credential, goal="a refund"))
    assert refund(plane, found["access_token"])["verdict"] == "permit"
    row = plane.operator.get(f"/v1/runs/{found['run']}")
    assert (row["on_behalf_of"], row["goal"]) == ("person/grace", "a refund")
    assert row["on_behalf_of_proof"] == "staff 00u1"
    assert found["expires_in"] <= 600, "no longer than the person's own token"


def test_a_claim_is_shown_as_a_claim(plane: Plane, issuers: Issuers) -> None:
    agent = plane.enrol("clerk")
    run = agent.open_run(on_behalf_of="person/grace")
    row = plane.operator.get(f"/v1/runs/{run.id}")
    assert (row["on_behalf_of"], row["on_behalf_of_proof"]) == ("person/grace", None)
    held = refund(plane, run.token, 300)
    assert plane.operator.get(f"/v1/requests/{held['request']}")["on_behalf_of_proof"] is None
    proven = given(exchange(plane, person(issuers, plane, "x9"), JWT, actor_token=agent.credential))
    held = refund(plane, proven["access_token"], 300)
    shown = plane.operator.get(f"/v1/requests/{held['request']}")
    assert (shown["on_behalf_of"], shown["on_behalf_of_proof"]) == ("staff:x9", "staff x9")


@pytest.mark.parametrize(
    "changes",
    [{"aud": "else"}, {"exp": 1}, {"iss": "https://ci.example"}, {"iss": None}, {"sub": "x" * 300}],
)
def test_a_persons_token_that_proves_nothing(
    plane: Plane, issuers: Issuers, changes: dict[str, Any]
) -> None:
    agent = plane.enrol("clerk")
    token = person(issuers, plane, **changes)
    refused(exchange(plane, token, JWT, actor_token=agent.credential), "invalid_request")


def test_an_agent_must_act(plane: Plane, issuers: Issuers) -> None:
    refused(exchange(plane, person(issuers, plane), JWT), "invalid_request")
    token = person(issuers, plane)
    refused(exchange(plane, token, JWT, actor_token="wka_x"), "invalid_client", 401)
    refused(exchange(plane, token, "urn:x", actor_token="wka_x"), "invalid_request")


def test_our_own_persons_token_proves_the_person_until_it_is_taken_back(plane: Plane) -> None:
    agent, token = plane.enrol("clerk"), plane.issue_token("ada")
    found = given(exchange(plane, token, actor_token=agent.credential))
    row = plane.operator.get(f"/v1/runs/{found['run']}")
    assert (row["on_behalf_of"], row["on_behalf_of_proof"]) == ("person/ada", "plane person/ada")
    assert plane.operator.http.post("/oauth/revoke", data={"token": token}).status_code == 200
    asked = {"kind": "tool", "name": "books.echo", "arguments": {}}
    plane.caller(found["access_token"]).problem("POST", "/v1/decide", asked, status=401)
    renewed = agent.caller.problem("POST", f"/v1/runs/{found['run']}/token", status=403)
    assert renewed["rule"] == "identity/token-revoked"
    refused(exchange(plane, token, actor_token=agent.credential), "invalid_request")


@pytest.mark.parametrize("how", ["revoke", "logout", "document"])
def test_a_run_ends_with_the_persons_token_however_that_ends(
    plane: Plane, issuers: Issuers, how: str
) -> None:
    plane.apply("person: {name: mallory, operates: [{role: viewer}]}")
    agent, token = plane.enrol("clerk"), plane.issue_token("mallory")
    run = given(exchange(plane, token, actor_token=agent.credential))["access_token"]
    assert refund(plane, run)["verdict"] == "permit"
    if how == "revoke":
        rows = plane.operator.get("/v1/persons/tokens")["rows"]
        (row,) = [row for row in rows if row["person"] == "mallory"]
        plane.operator.post("/v1/persons/tokens/revoke", {"id": row["id"]})
    elif how == "logout":
        plane.caller(token).post("/v1/logout", {})
    else:
        files = [{"path": f"{n}.yaml", "text": t} for n, t in enumerate(documents(issuers))]
        files.append({"path": "policy.cedar", "text": POLICY})
        plan = plane.operator.post("/v1/apply", {"files": files, "prune": True})
        changed = [line for line in plan["lines"] if line["change"] != "unchanged"]
        assert [(line["change"], line["name"]) for line in changed] == [("delete", "mallory")]
    asked = {"kind": "tool", "name": "books.echo", "arguments": {}}
    found = plane.caller(run).problem("POST", "/v1/decide", asked, status=401)
    assert found["rule"] == "identity/token-revoked"


def test_no_later_token_outlives_the_persons(plane: Plane, issuers: Issuers) -> None:
    agent = plane.enrol("careful")
    ends = seconds(plane) + 100
    found = given(
        exchange(plane, person(issuers, plane, exp=ends), JWT, actor_token=agent.credential)
    )
    renewed = agent.caller.post(f"/v1/runs/{found['run']}/token")
    assert renewed["expires_at"] <= ends * 1_000_000
    plane.advance(101)
    again = agent.caller.problem("POST", f"/v1/runs/{found['run']}/token", status=403)
    assert again["rule"] == "identity/person-token"


async def test_a_persons_token_that_is_forgotten_renews_nothing(tmp_path: Path) -> None:
    clock = RehearsalClock(frozen=True)
    async with await Store.open(sqlite_url(tmp_path), clock) as store:
        clerk = Workload("clerk", "proof")
        issued = await store.write(lambda tx: issue_token(tx, "ada", "viewer", ttl_seconds=60,
                                                          actor="a"))  # fmt: skip
        new = NewRun("x", on_behalf_of="person/ada", proof_hash=hash_secret(issued.secret))

        def begin(tx: Transaction) -> str:
            run = tx.new_id("run")
            return open_run(tx, clerk, 1, new, run=run, ttl_seconds=60, epoch=0).run

        def renew(tx: Transaction) -> IssuedRun:
            return renew_token(tx, clerk, run, ttl_seconds=60, epoch=0)

        run = await store.write(begin)
        await store.write(renew)
        clock.advance(61)
        await store.write(renew)
        await store.write(lambda tx: purge_expired(tx, tx.now))
        with pytest.raises(Forbidden):
            await store.write(renew)


def test_a_scope_bounds_every_use(plane: Plane) -> None:
    agent = plane.enrol("clerk")
    run = agent.open_run()
    narrow = given(exchange(plane, run.token, scope="class:read model:small-fast"))
    assert narrow["scope"] == "class:read model:small-fast"
    assert narrow["run"] == run.id
    token = narrow["access_token"]
    assert decide(plane, token, "books.lookup_charge")["verdict"] == "permit"
    denied = refund(plane, token)
    assert (denied["verdict"], denied["rule"]) == ("deny", "identity/scope")
    assert denied["allowed_instead"] == "what it is for: class:read model:small-fast"
    assert refund(plane, run.token)["verdict"] == "permit"
    refused(exchange(plane, token, scope="tool:books.create_refund"), "invalid_scope")
    refused(exchange(plane, token, scope="everything"), "invalid_scope")
    one = given(exchange(plane, token, scope="tool:books.echo:read"))["access_token"]
    assert decide(plane, one, "books.lookup_charge")["rule"] == "identity/scope"
    assert decide(plane, one, "books.echo")["verdict"] == "permit"


async def test_tools_list_shows_what_the_token_is_for(plane: Plane) -> None:
    agent = plane.enrol("clerk")
    run = agent.open_run()
    narrow = given(exchange(plane, run.token, scope="tool:books.echo"))["access_token"]
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"accept": "application/json, text/event-stream"}
    shown = plane.caller(narrow).http.post("/mcp", json=body, headers=headers).json()
    assert [tool["name"] for tool in shown["result"]["tools"]] == ["books_echo"]
    models = plane.caller(narrow).http.get("/openai/v1/models").json()
    assert models["data"] == []


def test_no_result_is_got_again_beyond_a_scope(plane: Plane) -> None:
    """The same call as one that the wider token made is not answered from what that got."""
    run = plane.enrol("clerk").open_run()
    asked = {"kind": "tool", "name": "books.create_refund", "idempotency_key": "k",
             "arguments": {"charge_id": "ch_1", "amount_usd": 5}}  # fmt: skip
    assert plane.caller(run.token).post("/v1/decide", asked)["verdict"] == "permit"
    narrow = given(exchange(plane, run.token, scope="class:read"))["access_token"]
    assert plane.caller(narrow).post("/v1/decide", asked)["rule"] == "identity/scope"


def test_calls_and_money_are_counted_over_all_tokens(plane: Plane) -> None:
    """Two narrower tokens draw on the one limit of the token they came of."""
    run = plane.enrol("clerk").open_run()
    details = [{"type": "tool_call", "tools": ["books.create_refund"], "max_calls": 3,
                "max_amount_usd": 50}, {"type": "tool_call", "actions": ["read"]}]  # fmt: skip
    wide = given(exchange(plane, run.token, details=details))
    assert wide["authorization_details"][0]["max_calls"] == 3
    token = wide["access_token"]
    less = [{"type": "tool_call", "tools": ["books.create_refund"], "max_calls": 2,
             "max_amount_usd": 50}]  # fmt: skip
    first, second = (given(exchange(plane, token, details=less))["access_token"] for _ in range(2))
    assert refund(plane, first, 20)["verdict"] == "permit"
    assert refund(plane, second, 20)["verdict"] == "permit"
    over = refund(plane, first, 20)
    assert over["rule"] == "identity/authorization-details"
    assert "3 calls and $50.00" in over["reason"]
    assert refund(plane, second, 10)["verdict"] == "permit"
    assert refund(plane, first, 0.01)["verdict"] == "deny"
    assert decide(plane, token, "books.lookup_charge")["verdict"] == "permit"
    assert decide(plane, first, "books.lookup_charge")["rule"] == "identity/scope"
    more = [{"type": "tool_call", "tools": ["books.create_refund"], "max_calls": 4,
             "max_amount_usd": 50}]  # fmt: skip
    refused(exchange(plane, token, details=more), "invalid_authorization_details")
    without = [{"type": "tool_call", "tools": ["books.create_refund"]}]
    refused(exchange(plane, token, details=without), "invalid_authorization_details")
    refused(exchange(plane, token, authorization_details="{"), "invalid_authorization_details")


def test_a_run_has_only_so_many_tokens(plane: Plane) -> None:
    run = plane.enrol("clerk").open_run()
    for _ in range(MOST_TOKENS - 1):
        given(exchange(plane, run.token, scope="class:read"))
    answer = exchange(plane, run.token, scope="class:read")
    assert refused(answer, "invalid_request")["rule"] == "identity/tokens"
    assert refund(plane, run.token)["verdict"] == "permit"


def test_a_revoked_token_ends_no_run(plane: Plane) -> None:
    run = plane.enrol("clerk").open_run()
    plane.operator.http.post("/oauth/revoke", data={"token": run.token})
    found = run.caller.problem(
        "POST", f"/v1/runs/{run.id}/close", {"outcome": "succeeded"}, status=401
    )
    assert found["rule"] == "identity/token-revoked"
    assert plane.operator.get(f"/v1/runs/{run.id}")["state"] == "open"


def test_only_a_permit_is_counted(plane: Plane) -> None:
    run = plane.enrol("clerk").open_run()
    details = [{"type": "tool_call", "max_calls": 1}]
    token = given(exchange(plane, run.token, details=details))["access_token"]
    assert refund(plane, token, 300)["verdict"] == "hold"
    assert refund(plane, token, 2000)["verdict"] == "deny"
    assert decide(plane, token, "books.create_refund", charge_id="x")["verdict"] == "deny"
    assert refund(plane, token, 10)["verdict"] == "permit"
    assert refund(plane, token, 10)["rule"] == "identity/authorization-details"


def test_a_narrower_token_ends_with_the_wider(plane: Plane) -> None:
    run = plane.enrol("clerk").open_run()
    plane.advance(600)
    narrow = given(exchange(plane, run.token, scope="class:read"))
    assert narrow["expires_in"] <= 300
    caller = plane.caller(run.token)
    assert caller.http.post("/oauth/revoke", data={"token": run.token}).status_code == 200
    asked = {"kind": "tool", "name": "books.echo", "arguments": {}}
    plane.caller(narrow["access_token"]).problem("POST", "/v1/decide", asked, status=401)
    refused(exchange(plane, run.token), "invalid_request")


def test_what_a_run_was_opened_for_holds_for_its_later_tokens(plane: Plane) -> None:
    agent = plane.enrol("clerk")
    found = given(
        exchange(plane, plane.issue_token("ada"), actor_token=agent.credential, scope="class:read")
    )
    renewed = agent.caller.post(f"/v1/runs/{found['run']}/token")["token"]
    assert refund(plane, renewed)["rule"] == "identity/scope"


def test_a_token_is_for_this_plane(plane: Plane) -> None:
    run = plane.enrol("clerk").open_run()
    given(exchange(plane, run.token, resource=f"{plane.url}/mcp"))
    refused(exchange(plane, run.token, resource="https://elsewhere.example"), "invalid_target")
    refused(
        exchange(plane, run.token, resource="http://127.0.0.1:9/mcp", requested_token_type=JWT),
        "invalid_target",
    )
    refused(exchange(plane, run.token, requested_token_type="urn:x"), "invalid_request")


def test_a_stopped_or_paused_run_gets_no_token(plane: Plane) -> None:
    agent = plane.enrol("clerk")
    run = agent.open_run()
    target = {"kind": "run", "name": run.id}
    lock = plane.operator.post("/v1/locks", {"target": target, "mode": "pause", "reason": "x"})
    refused(exchange(plane, run.token), "invalid_request")
    assert introspect(plane, run.token, agent.credential)["active"] is False
    plane.operator.post(f"/v1/locks/{lock['lock']}/lift", {"reason": "over"})
    assert introspect(plane, run.token, agent.credential)["active"] is True
    plane.operator.post("/v1/locks", {"target": target, "mode": "stop", "reason": "x"})
    refused(exchange(plane, run.token), "invalid_request")
    assert introspect(plane, run.token, agent.credential)["active"] is False


def introspect(plane: Plane, token: str, bearer: str | None) -> dict[str, Any]:
    answer = plane.caller(bearer).http.post("/oauth/introspect", data={"token": token})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_introspection_tells_those_who_may_know(plane: Plane, issuers: Issuers) -> None:
    agent, other = plane.enrol("clerk"), plane.enrol("lead")
    token = given(
        exchange(plane, person(issuers, plane), JWT, actor_token=agent.credential,
                 scope="tool:books.echo")
    )["access_token"]  # fmt: skip
    found = introspect(plane, token, agent.credential)
    domain = "spiffe://local.watchkeeper"
    assert found["active"] is True
    assert found["sub"] == f"{domain}/person/grace"
    assert found["act"] == {"sub": f"{domain}/agent/clerk"}
    assert found["scope"] == "tool:books.echo"
    assert found["exp"] > seconds(plane)
    assert introspect(plane, token, token)["active"] is True
    seen = plane.operator.http.post("/oauth/introspect", data={"token": token}).json()
    assert seen["active"] is True
    assert introspect(plane, token, other.credential) == {"active": False}
    for unknown in ("wkr_unknown", "x", "wkp_" + "a" * 40, agent.credential[:-1]):
        assert introspect(plane, unknown, agent.credential) == {"active": False}
    for nobody in (None, "wkr_unknown"):
        answer = plane.caller(nobody).http.post("/oauth/introspect", data={"token": token})
        assert answer.status_code == 401
    viewer = plane.issue_token("viewer-only")
    answer = plane.caller(viewer).http.post("/oauth/introspect", data={"token": token})
    assert answer.json()["error"] == "invalid_request"


def test_nobody_takes_back_what_is_not_theirs(plane: Plane) -> None:
    agent, other = plane.enrol("clerk"), plane.enrol("lead")
    run = agent.open_run()
    http = other.caller.http
    refused(http.post("/oauth/revoke", data={"token": run.token}), "unauthorized_client")
    refused(
        http.post("/oauth/revoke", data={"token": plane.issue_token("ada")}), "unauthorized_client"
    )
    assert http.post("/oauth/revoke", data={"token": "wkr_unknown"}).status_code == 200
    assert refund(plane, run.token)["verdict"] == "permit"
    revoked = agent.caller.http.post("/oauth/revoke", data={"token": agent.credential})
    assert revoked.status_code == 200
    asked = {"kind": "tool", "name": "books.echo", "arguments": {}}
    plane.caller(run.token).problem("POST", "/v1/decide", asked, status=401)


@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given_by(
    held=st.none() | st.frozensets(st.sampled_from(["class:read", "class:write", "tool:books.echo",
                                                    "tool:books.create_refund"]), min_size=1),
    asked=st.frozensets(st.sampled_from(["class:read", "class:write", "tool:books.echo:read",
                                         "tool:books.create_refund"]), min_size=1),
)  # fmt: skip
def test_no_exchange_widens(
    plane: Plane, held: frozenset[str] | None, asked: frozenset[str]
) -> None:
    run = plane.enrol("clerk").open_run()
    wide = run.token
    if held is not None:
        wide = given(exchange(plane, wide, ACCESS, scope=" ".join(held)))["access_token"]
    answer = exchange(plane, wide, ACCESS, scope=" ".join(asked))
    if answer.status_code != 200:
        refused(answer, "invalid_scope")
        return
    narrow = given(answer)["access_token"]
    for name, more in (("books.create_refund", {"charge_id": "ch_1", "amount_usd": 1}),
                       ("books.lookup_charge", {}), ("books.echo", {})):  # fmt: skip
        if decide(plane, narrow, name, **more)["verdict"] == "permit":
            assert decide(plane, wide, name, **more)["verdict"] == "permit"
