"""What the plane signs is verified by others, with keys that it publishes and rotates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest

from tests.identity.conftest import Issuers, agent, documents
from tests.identity.oauth import JWT, exchange, given, refused
from tests.identity.test_exchange import person
from tests.rig.plane import Plane
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY

DIRECT, MINTED = "https://books.example/direct", "https://books.example/minted"


def verify(plane: Plane, token: str, audience: str) -> dict[str, Any]:
    """Verify as an upstream would that knows nothing but the published keys."""
    keys = pyjwt.PyJWKSet.from_dict(plane.caller().get("/.well-known/jwks.json"))
    key = keys[pyjwt.get_unverified_header(token)["kid"]]
    found: dict[str, Any] = pyjwt.decode(
        token, key, algorithms=["EdDSA"], audience=audience, issuer=plane.url,
        # the plane's clock is the test's
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False,
                 "require": ["exp", "iat", "nbf", "jti", "sub", "aud", "iss"]},
    )  # fmt: skip
    return found


@pytest.fixture
def books(make_plane: Callable[..., Plane], upstream: Upstream, issuers: Issuers) -> Plane:
    plane = make_plane()
    document = {"upstream": {
        "name": "books", "transport": "http", "url": upstream.url, "direct_audience": DIRECT,
        "credential": {"minted": {"audience": MINTED, "ttl_seconds": 60}},
    }}  # fmt: skip
    governed = [text for text in documents(issuers) if '"upstream": {"name"' not in text]
    plane.apply(*governed, json.dumps(document), policy__cedar=POLICY)
    return plane


def call_tool(plane: Plane, token: str, name: str, **arguments: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": name, "arguments": arguments}}  # fmt: skip
    headers = {"accept": "application/json, text/event-stream"}
    answer = plane.caller(token).http.post("/mcp", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def accept_all(plane: Plane) -> None:
    """Trust every definition that the upstream gave, as a person would."""
    for row in plane.operator.get("/v1/quarantine")["rows"]:
        plane.operator.post(
            "/v1/quarantine/accept",
            {"upstream": row["upstream"], "tool": row["tool"], "digest": row["digest"],
             "reason": "a test"},
        )  # fmt: skip


def test_every_call_bears_a_token_that_says_who_acts_for_whom(
    books: Plane, upstream: Upstream, issuers: Issuers
) -> None:
    lead, helper = books.enrol("lead"), books.enrol("helper")
    top = given(exchange(books, person(issuers, books), JWT, actor_token=lead.credential))
    child = given(exchange(books, top["access_token"], actor_token=helper.credential))
    answer = call_tool(books, child["access_token"], "books.lookup_charge", charge_id="ch_1")
    assert not answer["result"].get("isError"), answer
    seen = [value.removeprefix("Bearer ") for value in upstream.credentials_seen()]
    claims = verify(books, seen[-1], MINTED)
    domain = "spiffe://local.watchkeeper"
    assert claims["sub"] == f"{domain}/agent/helper"
    assert claims["act"] == {"sub": f"{domain}/agent/helper",
                             "act": {"sub": f"{domain}/agent/lead"}}  # fmt: skip
    assert claims["run"] == f"{domain}/run/{child['run']}"
    assert claims["on_behalf_of"] == {"name": "person/grace", "proven": True}
    assert claims["exp"] - claims["iat"] == 60
    decision = books.operator.get("/v1/decisions", run=child["run"])["rows"][0]["decision"]
    assert claims["decision"] == decision
    errand = verify(books, seen[0], MINTED)
    assert errand["sub"] == f"{domain}/workflow/watchkeeper"
    assert len({verify(books, token, MINTED)["jti"] for token in seen}) == len(seen)


def test_a_token_for_an_upstream_that_decides_by_itself(books: Plane, issuers: Issuers) -> None:
    clerk = books.enrol("clerk")
    run = given(exchange(books, person(issuers, books), JWT, actor_token=clerk.credential))
    found = given(
        exchange(books, run["access_token"], resource=DIRECT, requested_token_type=JWT,
                 scope="class:read")
    )  # fmt: skip
    assert found["issued_token_type"] == JWT
    assert found["expires_in"] <= 300
    claims = verify(books, found["access_token"], DIRECT)
    assert claims["sub"] == "spiffe://local.watchkeeper/person/grace"
    assert claims["act"] == {"sub": "spiffe://local.watchkeeper/agent/clerk"}
    assert "decision" not in claims
    assert set(claims["scope"].split()) == {
        f"tool:books.{tool}" for tool in ("lookup_charge", "fail", "wait", "hostile", "echo")
    }
    assert found["scope"] == claims["scope"]
    with pytest.raises(pyjwt.InvalidAudienceError):
        verify(books, found["access_token"], MINTED)
    (event,) = books.events(type="run.token_exported")
    assert event["body"]["jti"] == claims["jti"]
    narrow = given(exchange(books, run["access_token"], scope="model:small-fast"))
    refused(
        exchange(books, narrow["access_token"], resource=DIRECT, requested_token_type=JWT),
        "invalid_scope",
    )
    target = {"kind": "agent", "name": "clerk"}
    books.operator.post("/v1/locks", {"target": target, "mode": "stop", "reason": "x"})
    answer = exchange(books, run["access_token"], resource=DIRECT, requested_token_type=JWT)
    refused(answer, "invalid_request")


def test_what_is_not_always_permitted_is_not_handed_out(books: Plane) -> None:
    """What policies, locks or the contract refuse, or ask about, goes through the plane only."""
    run = books.enrol("clerk").open_run()

    def handed_out() -> set[str]:
        found = given(exchange(books, run.token, resource=DIRECT, requested_token_type=JWT))
        return {name.removeprefix("tool:books.") for name in found["scope"].split()}

    assert handed_out() == {"lookup_charge", "fail", "wait", "hostile", "echo"}, (
        "a large refund needs a person"
    )
    books.apply(
        more__cedar='forbid(principal, action, resource == Tool::"books.fail");\n'
        'forbid(principal in Team::"finance-ops", action, resource == Tool::"books.wait")\n'
        'when { context.data_classes.contains("email") };\n'
        '@obligation("redact") @redact("email")\n'
        'forbid(principal, action, resource == Tool::"books.hostile");'
    )
    assert handed_out() == {"lookup_charge", "echo"}
    books.operator.post(
        "/v1/locks",
        {"target": {"kind": "tool", "name": "books.echo"}, "mode": "pause", "reason": "x"},
    )
    assert handed_out() == {"lookup_charge"}


def test_a_rotated_key_is_published_while_its_tokens_are_valid(books: Plane) -> None:
    run = books.enrol("clerk").open_run()

    def export() -> str:
        answer = exchange(books, run.token, resource=DIRECT, requested_token_type=JWT)
        return str(given(answer)["access_token"])

    first = export()
    rows = books.operator.post("/v1/signing-keys/rotate", {"reason": "yearly"})["rows"]
    assert len(rows) == 2
    second = export()
    kids = [pyjwt.get_unverified_header(token)["kid"] for token in (first, second)]
    assert kids[0] != kids[1]
    verify(books, first, DIRECT)
    verify(books, second, DIRECT)
    books.advance(3600)
    verify(books, first, DIRECT)
    books.advance(61)
    published = [key["kid"] for key in books.caller().get("/oauth/jwks")["keys"]]
    assert published == [kids[1]]


def test_the_private_key_stays_in_a_private_file(books: Plane) -> None:
    keys = books.caller().get("/.well-known/jwks.json")["keys"]
    assert [set(key) & {"d", "k", "p"} for key in keys] == [set()]
    directory = books.state / "signing"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in directory.iterdir()} == {0o600}
    file = directory / f"{keys[0]['kid']}.json"
    secret = json.loads(file.read_text())["d"]
    for written in (*books.state.glob("plane.sqlite3*"), books.state / "plane.log"):
        assert secret.encode() not in written.read_bytes()


def test_a_plane_signs_on_with_its_key_after_a_kill(books: Plane) -> None:
    run = books.enrol("clerk").open_run()
    before = books.caller().get("/oauth/jwks")["keys"]
    books.kill()
    books.restart()
    token = given(exchange(books, run.token, resource=DIRECT, requested_token_type=JWT))
    verify(books, token["access_token"], DIRECT)
    assert books.caller().get("/oauth/jwks")["keys"] == before


def test_a_lost_key_is_replaced(books: Plane) -> None:
    (kid,) = [key["kid"] for key in books.caller().get("/oauth/jwks")["keys"]]
    books.stop()
    (books.state / "signing" / f"{kid}.json").unlink()
    books.restart()
    run = books.enrol("clerk").open_run()
    token = given(exchange(books, run.token, resource=DIRECT, requested_token_type=JWT))
    assert pyjwt.get_unverified_header(token["access_token"])["kid"] != kid
    verify(books, token["access_token"], DIRECT)


def test_no_upstream_may_take_both_kinds_of_token(books: Plane) -> None:
    document = {"upstream": {
        "name": "books", "transport": "http", "url": "http://127.0.0.1:9/mcp",
        "direct_audience": MINTED, "credential": {"minted": {"audience": MINTED}},
    }}  # fmt: skip
    sent = {"files": [{"path": "a.yaml", "text": json.dumps(document)}]}
    found = books.operator.problem("POST", "/v1/apply", sent, status=400)
    assert "direct_audience" in found["message"]


def test_metadata_names_where_things_are(books: Plane) -> None:
    server = books.caller().get("/.well-known/oauth-authorization-server")
    assert server["issuer"] == books.url
    for name in ("token_endpoint", "introspection_endpoint", "revocation_endpoint", "jwks_uri"):
        path = server[name].removeprefix(books.url)
        method = "GET" if name == "jwks_uri" else "POST"
        answer = books.caller().http.request(method, path)
        assert answer.status_code in (200, 400, 401), (name, answer.status_code)
    for path in ("", "/mcp", "/openai/v1", "/anthropic"):
        resource = books.caller().get(f"/.well-known/oauth-protected-resource{path}")
        assert resource["resource"] == f"{books.url}{path}"
        assert resource["authorization_servers"] == [server["issuer"]]


def test_a_trust_domain_of_ones_own(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(environ={"WATCHKEEPER_TRUST_DOMAIN": "agents.acme.example"})
    plane.apply(agent("solo"))
    shown = plane.operator.get("/v1/agents/solo")["spiffe_id"]
    assert shown == "spiffe://agents.acme.example/agent/solo"


def test_a_bad_trust_domain_is_refused(tmp_path: Path) -> None:
    from watchkeeper.core.errors import Invalid
    from watchkeeper.plane.settings import Settings

    for bad in ("Upper", "has/slash", "a:1", "x" * 256):
        with pytest.raises(Invalid):
            Settings(tmp_path, trust_domain=bad)
    assert Settings(tmp_path, environment="staging").trusts == "staging.watchkeeper"
