"""Agents prove themselves: with a shared secret, with a key pair, or by an issuer's word."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.identity.conftest import WORK_ISSUER, Issuers
from tests.identity.oauth import ASSERTION, Key, ask, given, public, refused, seconds, sign
from tests.rig.plane import Plane

GRANT = "client_credentials"


def register(plane: Plane, key: Key, agent: str = "clerk") -> str:
    """Enrol an agent with a key pair; return the key's id."""
    secret = plane.operator.post("/v1/enrolments", {"agent": agent})["secret"]
    redeemed = plane.caller().post("/v1/enrolments/redeem", {"secret": secret, "jwk": public(key)})
    assert redeemed["credential"] is None
    assert redeemed["token_url"] == f"{plane.url}/oauth/token"
    return str(redeemed["key"])


def assertion(plane: Plane, key: Key, kid: str, algorithm: str = "EdDSA", **changes: Any) -> str:
    now = seconds(plane)
    claims = {
        "iss": "clerk", "sub": "clerk", "aud": f"{plane.url}/oauth/token",
        "exp": now + 60, "iat": now, "jti": f"{kid}-{now}-{len(SEEN)}",
    } | changes  # fmt: skip
    SEEN.append(1)
    return sign(key, {k: v for k, v in claims.items() if v is not None}, algorithm, kid=kid)


SEEN: list[int] = []


def by_assertion(plane: Plane, token: str, **form: Any) -> Any:
    return ask(
        plane, grant_type=GRANT, client_assertion=token, client_assertion_type=ASSERTION, **form
    )


@pytest.fixture(scope="module")
def key() -> OKPKey:
    return OKPKey.generate_key("Ed25519")


@pytest.fixture(scope="module")
def kid(plane: Plane, key: OKPKey) -> str:
    return register(plane, key)


def test_an_access_token_opens_runs_and_does_not_renew_itself(plane: Plane) -> None:
    agent = plane.enrol("clerk")
    answer = given(ask(plane, ("clerk", agent.credential), grant_type=GRANT))
    token = answer["access_token"]
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 900)
    assert plane.caller(token).post("/v1/runs", {"goal": "x"})["agent"] == "clerk"
    refused(ask(plane, ("clerk", token), grant_type=GRANT), "invalid_client", 401)
    given(ask(plane, grant_type=GRANT, client_id="clerk", client_secret=agent.credential))
    given(ask(plane, ("spiffe%3A%2F%2Flocal.watchkeeper%2Fagent%2Fclerk", agent.credential),
              grant_type=GRANT))  # fmt: skip


@pytest.mark.parametrize(
    ("auth", "form", "error", "status"),
    [
        (None, {"grant_type": GRANT}, "invalid_client", 401),
        (("clerk", "wka_wrong"), {"grant_type": GRANT}, "invalid_client", 401),
        (("clerk", "wka_wrong"), {"grant_type": "password"}, "unsupported_grant_type", 400),
        (None, {}, "invalid_request", 400),
        (None, {"grant_type": GRANT, "client_assertion": "x"}, "invalid_client", 400),
        (None, {"grant_type": GRANT, "client_assertion": "x" * 20_000,
                "client_assertion_type": ASSERTION}, "invalid_request", 400),
        (("clerk", "x"), {"grant_type": GRANT, "client_secret": "x"}, "invalid_request", 400),
    ],
)  # fmt: skip
def test_who_proves_nothing_is_refused_as_oauth_has_it(
    plane: Plane, auth: Any, form: dict[str, str], error: str, status: int
) -> None:
    answer = ask(plane, auth, **form)
    found = answer.json()
    assert found["error"] in (error, "invalid_client"), found
    assert answer.status_code in (status, 401)
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"]


def test_another_agents_name_is_no_help(plane: Plane) -> None:
    agent = plane.enrol("clerk")
    refused(ask(plane, ("lead", agent.credential), grant_type=GRANT), "invalid_client", 401)


@pytest.mark.parametrize(
    "body",
    [
        b"grant_type=a&grant_type=b",
        b"%zz=\xff",
        b"{}",
        b"&".join(b"a%d=1" % n for n in range(60)),
        b"x" * 70_000,
    ],
)
def test_a_body_that_is_no_form_is_refused(plane: Plane, body: bytes) -> None:
    answer = plane.caller().http.post("/oauth/token", content=body)
    refused(answer, "invalid_request")


def test_a_key_pair_stands_for_the_agent(plane: Plane, key: OKPKey, kid: str) -> None:
    token = given(by_assertion(plane, assertion(plane, key, kid)))["access_token"]
    run = plane.caller(token).post("/v1/runs", {"goal": "x"})
    name = "spiffe://local.watchkeeper/agent/clerk"
    given(by_assertion(plane, assertion(plane, key, kid, iss=name, sub=name, aud=plane.url)))
    shown = plane.operator.get(f"/v1/runs/{run['run']}")
    assert shown["spiffe_id"] == f"spiffe://local.watchkeeper/run/{run['run']}"
    assert plane.operator.get("/v1/agents/clerk")["spiffe_id"] == name


def test_p256_will_do_and_rsa_will_not(plane: Plane) -> None:
    key = ECKey.generate_key("P-256")
    given(by_assertion(plane, assertion(plane, key, register(plane, key), "ES256")))
    secret = plane.operator.post("/v1/enrolments", {"agent": "clerk"})["secret"]
    for jwk in (
        public(RSAKey.generate_key(2048)),
        {"kty": "oct", "k": "c2VjcmV0"},
        dict(key.as_dict(private=True)),
        {},
        {"kty": "OKP", "crv": "Ed25519", "x": "??"},
    ):
        sent = {"secret": secret, "jwk": jwk}
        found = plane.caller().problem("POST", "/v1/enrolments/redeem", sent, status=400)
        assert found["rule"] == "identity/key"
    # none of these spent the secret
    plane.caller().post("/v1/enrolments/redeem", {"secret": secret})


def test_a_key_is_registered_once(plane: Plane, key: OKPKey, kid: str) -> None:
    secret = plane.operator.post("/v1/enrolments", {"agent": "lead"})["secret"]
    sent = {"secret": secret, "jwk": public(key)}
    found = plane.caller().problem("POST", "/v1/enrolments/redeem", sent, status=409)
    assert found["code"] == "key_known"


def test_an_assertion_is_taken_once(plane: Plane, key: OKPKey, kid: str) -> None:
    token = assertion(plane, key, kid)
    given(by_assertion(plane, token))
    assert (
        "used before"
        in refused(by_assertion(plane, token), "invalid_client", 401)["error_description"]
    )
    plane.advance(45)  # still within its life
    refused(by_assertion(plane, token), "invalid_client", 401)


@pytest.mark.parametrize(
    "changes",
    [
        {"jti": None},
        {"aud": "https://elsewhere.example"},
        {"exp": None},
        {"iss": "lead", "sub": "lead"},
        {"sub": "lead"},
        {"iss": "spiffe://evil/agent/clerk", "sub": "spiffe://evil/agent/clerk"},
        {"iss": "nobody", "sub": "nobody"},
    ],
)
def test_an_assertion_that_says_something_else_is_refused(
    plane: Plane, key: OKPKey, kid: str, changes: dict[str, Any]
) -> None:
    answer = by_assertion(plane, assertion(plane, key, kid, **changes))
    assert answer.status_code in (400, 401), answer.text
    assert answer.json()["error"] in ("invalid_client", "invalid_request")


def test_an_assertion_must_be_short_lived(plane: Plane, key: OKPKey, kid: str) -> None:
    long_lived = assertion(plane, key, kid, exp=seconds(plane) + 3600)
    refused(by_assertion(plane, long_lived), "invalid_client", 401)


def test_a_revoked_key_takes_along_what_was_got_with_it(plane: Plane) -> None:
    key = OKPKey.generate_key("Ed25519")
    kid = register(plane, key)
    access = given(by_assertion(plane, assertion(plane, key, kid)))["access_token"]
    run = plane.caller(access).post("/v1/runs", {"goal": "x"})
    listed = plane.operator.get("/v1/agents/clerk/credentials")["rows"]
    assert f"key_{kid}" in [row["id"] for row in listed if row["kind"] == "key"]
    answer = plane.operator.post(f"/v1/credentials/key_{kid}/revoke", {"reason": "lost laptop"})
    assert answer["revoked"] == 3
    refused(by_assertion(plane, assertion(plane, key, kid)), "invalid_client", 401)
    plane.caller(access).problem("POST", "/v1/runs", {"goal": "x"}, status=401)
    asked = {"kind": "tool", "name": "books.echo", "arguments": {}}
    found = plane.caller(run["token"]).problem("POST", "/v1/decide", asked, status=401)
    assert found["rule"] == "identity/token-revoked"
    (event,) = plane.events(type="agent.key_revoked")
    assert (event["agent"], event["body"]["reason"]) == ("clerk", "lost laptop")
    again = plane.operator.post(f"/v1/credentials/key_{kid}/revoke", {"reason": "again"})
    assert again["revoked"] == 0


def workload(issuers: Issuers, plane: Plane, **changes: Any) -> str:
    now = seconds(plane)
    claims = {
        "iss": WORK_ISSUER, "sub": "repo:acme/app:main", "aud": "watchkeeper",
        "environment": "live", "exp": now + 300, "iat": now,
    } | changes  # fmt: skip
    return sign(issuers.work, claims, kid="w")


def test_a_key_that_no_header_names_is_the_one_that_signed(plane: Plane) -> None:
    """What was got with one key of an agent never ends, or goes on, with another."""
    edwards, curve = OKPKey.generate_key("Ed25519"), ECKey.generate_key("P-256")
    kids = [register(plane, edwards, "careful"), register(plane, curve, "careful")]
    now = seconds(plane)
    claims = {
        "iss": "careful", "sub": "careful", "aud": plane.url, "exp": now + 60, "jti": "nameless",
    }  # fmt: skip
    tokens = [
        given(by_assertion(plane, sign(key, claims | {"jti": f"nameless-{algorithm}"}, algorithm)))
        for key, algorithm in ((edwards, "EdDSA"), (curve, "ES256"))
    ]
    for kid, token in zip(kids, tokens, strict=True):
        caller = plane.caller(token["access_token"])
        assert caller.post("/v1/runs", {"goal": "x"})["agent"] == "careful"
        plane.operator.post(f"/v1/credentials/key_{kid}/revoke", {"reason": "lost"})
        caller.problem("POST", "/v1/runs", {"goal": "x"}, status=401)


def test_an_issuers_word_stands_for_the_agent(plane: Plane, issuers: Issuers) -> None:
    token = given(by_assertion(plane, workload(issuers, plane)))["access_token"]
    assert plane.caller(token).post("/v1/runs", {"goal": "x"})["agent"] == "builder"
    given(by_assertion(plane, workload(issuers, plane), client_id="builder"))


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "repo:acme/app:fork"},
        {"sub": "repo:acme/app"},
        {"environment": "test"},
        {"aud": "elsewhere"},
        {"iss": "https://people.example"},
        {"exp": 1},
    ],
)
def test_an_issuers_word_on_others_is_nothing(
    plane: Plane, issuers: Issuers, changes: dict[str, Any]
) -> None:
    refused(by_assertion(plane, workload(issuers, plane, **changes)), "invalid_client", 401)


def test_an_issuer_can_not_speak_for_other_agents(plane: Plane, issuers: Issuers) -> None:
    token = workload(issuers, plane)
    refused(by_assertion(plane, token, client_id="clerk"), "invalid_client", 401)
