"""Logging in by device: the plane asks the issuer, checks what it says, and knows the person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.rig.oidc import Oidc
from tests.rig.plane import Plane

PERSON = """
person:
  name: grace
  operates: [{role: responder}]
  oidc: [{issuer: corp, subject: subject-of-grace}]
"""


@pytest.fixture(scope="module")
def oidc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oidc]:
    running = Oidc(tmp_path_factory.mktemp("oidc"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("device-login")).start()
    yield running
    running.close()


@pytest.fixture
def plane(started: Plane, oidc: Oidc) -> Plane:
    oidc.wish()
    started.apply(oidc.document(), PERSON)
    return started


def begin(plane: Plane, **body: Any) -> dict[str, Any]:
    found: dict[str, Any] = plane.caller().post("/v1/login/device", body)
    return found


def poll(plane: Plane, begun: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = plane.caller().post("/v1/login/device/state", {"login": begun["login"]})
    return found


def refused(plane: Plane, begun: dict[str, Any]) -> dict[str, Any]:
    """What a poll answers once the interval is over, and then for good."""
    plane.advance(begun["interval_seconds"])
    body = {"login": begun["login"]}
    found = plane.caller().problem("POST", "/v1/login/device/state", body, status=401)
    plane.advance(begun["interval_seconds"])
    plane.caller().problem("POST", "/v1/login/device/state", body, status=401)
    return found


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_a_confirmed_login_becomes_a_token(plane: Plane, oidc: Oidc, algorithm: str) -> None:
    begun = begin(plane)
    assert (begun["issuer"], begun["user_code"]) == ("corp", "WDJB-MJHT")
    assert begun["verification_uri"] == f"{oidc.url}/device"
    plane.advance(5)
    assert poll(plane, begun)["state"] == "pending"
    oidc.confirm(alg=algorithm)
    plane.advance(5)
    done = poll(plane, begun)
    assert done["state"] == "done"
    me = plane.caller(done["token"]["token"]).get("/v1/me")
    assert (me["person"], me["via"], me["permission"]) == ("grace", "oidc", "responder")
    # it is done once
    body = {"login": begun["login"]}
    plane.caller().problem("POST", "/v1/login/device/state", body, status=401)
    # and the subject leaving the document ends it
    plane.apply("person: {name: grace, operates: [{role: responder}]}")
    plane.caller(done["token"]["token"]).problem("GET", "/v1/me", status=401)
    assert "secret-device-code" not in plane.output + str(plane.events())


def test_an_issuer_that_is_trusted_no_longer_ends_its_logins(plane: Plane, oidc: Oidc) -> None:
    begun = begin(plane)
    oidc.confirm()
    plane.advance(5)
    token = poll(plane, begun)["token"]["token"]
    plane.apply(oidc.document(of="workloads"))
    plane.caller(token).problem("GET", "/v1/me", status=401)


def test_the_issuer_is_asked_no_more_often_than_it_allows(plane: Plane, oidc: Oidc) -> None:
    begun = begin(plane)
    before = len(oidc.asked("token"))
    for _ in range(3):
        assert poll(plane, begun)["state"] == "pending"
    assert len(oidc.asked("token")) == before
    oidc.wish(error="slow_down")
    plane.advance(5)
    assert poll(plane, begun)["interval_seconds"] == 10
    assert len(oidc.asked("token")) == before + 1
    plane.advance(6)
    poll(plane, begun)
    assert len(oidc.asked("token")) == before + 1
    plane.advance(5)
    poll(plane, begun)
    assert len(oidc.asked("token")) == before + 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("access_denied", "declined"),
        ("expired_token", "not confirmed in time"),
        ("\x1b[2Jbad", "refused"),
    ],
)
def test_what_the_issuer_refuses_is_refused(
    plane: Plane, oidc: Oidc, error: str, said: str
) -> None:
    begun = begin(plane)
    oidc.wish(error=error)
    problem = refused(plane, begun)
    assert said in problem["message"]
    assert "\x1b" not in problem["message"]


def test_a_code_has_its_time(plane: Plane, oidc: Oidc) -> None:
    begun = begin(plane)
    plane.advance(601)
    oidc.confirm()
    before = len(oidc.asked("token"))
    refused(plane, begun)
    assert len(oidc.asked("token")) == before


@pytest.mark.parametrize(
    "wishes",
    [
        {"stranger": True},
        {"claims": {"iss": "https://elsewhere.example"}},
        {"claims": {"aud": "another-client"}},
        {"claims": {"aud": ["watchkeeper-plane", "another"]}},
        {"claims": {"aud": ["watchkeeper-plane", "another"], "azp": "another"}},
        {"claims": {"exp": 1}},
        {"claims": {"exp": None}},
        {"claims": {"sub": "somebody-else"}},
        {"claims": {"sub": ""}},
        {"no_id_token": True},
    ],
    ids=str,
)
def test_an_id_token_that_is_not_as_it_must_be_is_refused(
    plane: Plane, oidc: Oidc, wishes: dict[str, Any]
) -> None:
    begun = begin(plane)
    oidc.confirm(**wishes)
    refused(plane, begun)


def test_people_may_be_known_by_their_verified_mail(plane: Plane, oidc: Oidc) -> None:
    plane.apply(
        oidc.document(person_claim="email"),
        "person: {name: grace, oidc: [{issuer: corp, subject: grace@corp.example}]}",
    )
    mail = {"email": "grace@corp.example"}
    for claims in (mail, {**mail, "email_verified": False}, {**mail, "email_verified": "true"}):
        begun = begin(plane)
        oidc.confirm(claims=claims)
        refused(plane, begun)
    begun = begin(plane)
    oidc.confirm(claims={**mail, "email_verified": True})
    plane.advance(5)
    assert poll(plane, begun)["token"]["person"] == "grace"


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"user_code": "A", "verification_uri": "https://x"},
        {"device_code": "d", "verification_uri": "https://x"},
        {"device_code": "d", "user_code": "A" * 65, "verification_uri": "https://x"},
        {"device_code": "d", "user_code": "A", "verification_uri": "javascript:alert(1)"},
        {"device_code": "d", "user_code": "A", "verification_uri": "https://x/\x1b[2J"},
    ],
    ids=str,
)
def test_an_odd_issuer_starts_no_login(plane: Plane, oidc: Oidc, answer: Any) -> None:
    oidc.wish(device=answer)
    plane.advance(60)
    found = plane.caller().problem("POST", "/v1/login/device", {}, status=503)
    assert "\x1b" not in found["message"]


def test_what_an_issuer_shows_is_made_safe(plane: Plane, oidc: Oidc) -> None:
    answer = {"device_code": "d", "user_code": "A\x1b[31mB", "verification_uri": "https://x"}
    oidc.wish(device={**answer, "interval": 1e9, "expires_in": "soon"})
    begun = begin(plane)
    assert "\x1b" not in begun["user_code"]
    assert begun["interval_seconds"] == 60


def test_the_issuer_is_named_where_there_are_several(plane: Plane, oidc: Oidc) -> None:
    plane.apply(oidc.document("other"))
    assert plane.caller().problem("POST", "/v1/login/device", {}, status=404)["remedy"]
    assert begin(plane, issuer="other")["issuer"] == "other"
    plane.caller().problem("POST", "/v1/login/device", {"issuer": "none"}, status=404)
    plane.apply(oidc.document("other", of="workloads"))
