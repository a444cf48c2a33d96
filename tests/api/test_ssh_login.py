"""Logging in with an SSH key: one signature, one plane, one minute, one token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.rig.plane import Plane
from tests.rig.ssh import SshKey
from watchkeeper.wire.people import LOGIN_NAMESPACE, login_text

REFUSED = {
    "code": "unauthenticated",
    "message": "the login is refused",
    "rule": "identity/login",
    "status": 401,
}


@dataclass(frozen=True)
class Ground:
    """A plane that knows one key of one person."""

    plane: Plane
    key: SshKey
    other: SshKey

    def document(self, *keys: SshKey, role: str = "approver") -> str:
        lines = "".join(f"    - {key.public}\n" for key in keys)
        listed = f"  ssh_keys:\n{lines}" if keys else ""
        return f"person:\n  name: grace\n  operates: [{{role: {role}}}]\n{listed}"

    def challenge(self, person: str = "grace") -> dict[str, Any]:
        found: dict[str, Any] = self.plane.caller().post("/v1/login/challenge", {"person": person})
        return found

    def signed(
        self,
        challenge: dict[str, Any],
        *,
        key: SshKey | None = None,
        person: str = "grace",
        namespace: str = LOGIN_NAMESPACE,
        plane: str | None = None,
    ) -> dict[str, Any]:
        text = login_text(plane or challenge["plane"], person, challenge["nonce"])
        signature = (key or self.key).sign(text, namespace=namespace)
        return {"person": person, "nonce": challenge["nonce"], "signature": signature}

    def refused(self, body: dict[str, Any]) -> None:
        problem = self.plane.caller().problem("POST", "/v1/login/ssh", body, status=401)
        assert {name: problem[name] for name in REFUSED} == REFUSED


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    directory = tmp_path_factory.mktemp("ssh-login")
    plane = Plane(directory / "plane").start()
    yield Ground(plane, SshKey.make(directory / "a"), SshKey.make(directory / "b"))
    plane.close()


@pytest.fixture
def ground(started: Ground) -> Ground:
    started.plane.apply(started.document(started.key))
    started.plane.advance(61)  # the attempts of other tests are forgotten
    return started


def test_a_signed_challenge_becomes_the_persons_own_token(ground: Ground) -> None:
    found = ground.plane.caller().post("/v1/login/ssh", ground.signed(ground.challenge()))
    grace = ground.plane.caller(found["token"])
    me = grace.get("/v1/me")
    assert (me["person"], me["via"], me["permission"]) == ("grace", "ssh", "approver")
    assert me["permissions"] == ["decide", "read"]
    (event,) = ground.plane.events(type="person.logged_in")[-1:]
    assert event["actor"] == "person/grace"
    assert found["token"] not in str(ground.plane.events())
    assert ground.plane.operator.get("/v1/persons/tokens")["rows"][0]["id"] == found["id"]
    # what the document grants is what counts, at each request
    ground.plane.apply(ground.document(ground.key, role="auditor"))
    assert grace.get("/v1/me")["permissions"] == ["audit", "read"]
    grace.post("/v1/logout")
    grace.problem("GET", "/v1/me", status=401)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_keys_of_other_kinds_log_in_too(ground: Ground, tmp_path: Path, kind: str) -> None:
    key = SshKey.make(tmp_path / kind, kind)
    ground.plane.apply(ground.document(ground.key, key))
    body = ground.signed(ground.challenge(), key=key)
    assert ground.plane.caller().post("/v1/login/ssh", body)["person"] == "grace"


def test_a_signature_opens_once(ground: Ground) -> None:
    body = ground.signed(ground.challenge())
    ground.plane.caller().post("/v1/login/ssh", body)
    ground.refused(body)


def test_a_failed_attempt_uses_the_challenge_up(ground: Ground) -> None:
    challenge = ground.challenge()
    ground.refused(ground.signed(challenge, key=ground.other))
    ground.refused(ground.signed(challenge))


def test_a_challenge_holds_for_a_minute(ground: Ground) -> None:
    body = ground.signed(ground.challenge())
    ground.plane.advance(61)
    ground.refused(body)


def test_another_key_namespace_plane_or_person_is_refused(ground: Ground) -> None:
    ground.refused(ground.signed(ground.challenge(), key=ground.other))
    ground.refused(ground.signed(ground.challenge(), namespace="file"))
    ground.refused(ground.signed(ground.challenge(), plane="plane-of-somebody-else"))
    ground.refused(ground.signed(ground.challenge("ada")))
    ground.refused(ground.signed(ground.challenge("ada"), person="ada"))
    ground.refused(ground.signed({"plane": "x", "nonce": "wkn_invented"}))
    for junk in ("", "x" * 16_000, "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n"):
        ground.refused({**ground.signed(ground.challenge()), "signature": junk})


def test_the_body_of_a_signature_is_what_counts(ground: Ground) -> None:
    body = ground.signed(ground.challenge())
    lines = body["signature"].splitlines()
    last = lines[-2]
    lines[-2] = ("A" if last[0] != "A" else "B") + last[1:]
    ground.refused({**body, "signature": "\n".join(lines)})


def test_a_key_that_leaves_the_document_opens_nothing_from_then_on(ground: Ground) -> None:
    found = ground.plane.caller().post("/v1/login/ssh", ground.signed(ground.challenge()))
    body = ground.signed(ground.challenge())
    ground.plane.apply(ground.document(ground.other))
    ground.plane.caller(found["token"]).problem("GET", "/v1/me", status=401)
    ground.refused(body)


def test_a_removed_person_is_out_at_once(ground: Ground) -> None:
    caller = ground.plane.caller
    mine = caller().post("/v1/login/ssh", ground.signed(ground.challenge()))["token"]
    asked = {"person": "grace", "permission": "viewer"}
    given = ground.plane.operator.post("/v1/persons/tokens", asked)["token"]
    assert caller(given).get("/v1/me")["person"] == "grace"
    others = {"path": "o.yaml", "text": "role: {name: some, members: [owner]}"}
    ground.plane.operator.post("/v1/apply", {"files": [others], "prune": True})
    for token in (mine, given):
        caller(token).problem("GET", "/v1/me", status=401)
    # a document that comes back revives no token
    ground.plane.apply(ground.document(ground.key))
    for token in (mine, given):
        caller(token).problem("GET", "/v1/me", status=401)


def test_attempts_are_counted(ground: Ground) -> None:
    answers = [
        ground.plane.caller().http.post("/v1/login/challenge", json={"person": "grace"})
        for _ in range(25)
    ]
    codes = [answer.status_code for answer in answers]
    assert codes[0] == httpx.codes.OK
    assert codes[-1] == httpx.codes.TOO_MANY_REQUESTS
    assert answers[-1].json()["rule"] == "identity/login-attempts"
    # another person is not kept out by that
    ground.challenge("ada")
