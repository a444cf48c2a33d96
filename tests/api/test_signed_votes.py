"""Signed votes: one key of one person over one verdict on one digest, and nothing else."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rig.agent import Agent
from tests.rig.plane import Plane
from tests.rig.ssh import HardwareKey, SshKey
from tests.rig.world import POLICY, world
from watchkeeper.core.ssh import fingerprint
from watchkeeper.identity.ssh import verify_signature
from watchkeeper.wire.people import LOGIN_NAMESPACE, login_text
from watchkeeper.wire.requests import VOTE_NAMESPACE, vote_text

Body = dict[str, Any]


@dataclass(frozen=True)
class Ground:
    """A plane where refunds take signed votes of grace, whose key it knows."""

    plane: Plane
    agent: Agent
    keys: tuple[SshKey, ...]
    others: SshKey
    hardware: HardwareKey

    def document(self, *public: str) -> str:
        lines = "".join(f"    - {key}\n" for key in public)
        listed = f"  ssh_keys:\n{lines}" if public else ""
        return f"person:\n  name: grace\n  operates: [{{role: approver}}]\n{listed}"

    def apply(self, *public: str) -> None:
        self.plane.apply(self.document(*(public or (self.keys[0].public,))))

    def grace(self) -> Any:
        issued = {"person": "grace", "permission": "approver"}
        token = self.plane.operator.post("/v1/persons/tokens", issued)["token"]
        return self.plane.caller(token)

    def hold(self) -> Body:
        run = self.agent.open_run()
        held = run.decide("books.create_refund", {"charge_id": "ch_81", "amount_usd": 250})
        found: Body = self.plane.operator.get(f"/v1/requests/{held['request']}")
        return found

    def text(self, request: Body, **other: Any) -> bytes:
        plane = self.plane.operator.get("/v1/signers")["plane"]
        said = {
            "plane": plane,
            "request": request["request"],
            "digest": request["digest"],
            "verdict": "approve",
            "person": "grace",
            "reason": None,
        } | other
        return vote_text(**said)

    def vote(self, request: Body, signature: str | None, **more: Any) -> Body:
        return {"verdict": "approve", "digest": request["digest"], "signature": signature} | more

    def signed(self, request: Body, key: SshKey | None = None, **other: Any) -> Body:
        signature = (key or self.keys[0]).sign(
            self.text(request, **other), namespace=VOTE_NAMESPACE
        )
        return self.vote(request, signature)

    def refused(self, request: Body, body: Body, code: str, rule: str) -> None:
        path = f"/v1/requests/{request['request']}/votes"
        problem = self.grace().problem("POST", path, body, status=403)
        assert (problem["code"], problem["rule"]) == (code, rule)
        assert self.plane.operator.get(f"/v1/requests/{request['request']}")["votes"] == []


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    directory = tmp_path_factory.mktemp("signed")
    plane = Plane(directory / "plane").start()
    plane.apply(*world("risk: {name: high, signed: true}"), policies__cedar=POLICY)
    keys = tuple(SshKey.make(directory / kind, kind) for kind in ("ed25519", "rsa", "ecdsa"))
    others = SshKey.make(directory / "others")
    yield Ground(plane, plane.enrol("clerk"), keys, others, HardwareKey())
    plane.close()


@pytest.fixture
def ground(started: Ground) -> Ground:
    started.apply()
    return started


@pytest.mark.parametrize("number", range(3), ids=["ed25519", "rsa", "ecdsa"])
def test_a_signed_vote_is_kept_with_its_signature(ground: Ground, number: int) -> None:
    key = ground.keys[number]
    ground.apply(key.public)
    request = ground.hold()
    assert request["signed"]
    assert request["deciding"]["signed"]
    body = ground.signed(request, key)
    found = ground.grace().post(f"/v1/requests/{request['request']}/votes", body)
    assert found["state"] == "approved"
    (vote,) = found["votes"]
    assert vote["signature"] == body["signature"]
    assert vote["key"] == fingerprint(key.public)
    assert vote["digest"] == request["digest"]


def test_an_unsigned_vote_is_refused_where_signed_ones_are_taken(ground: Ground) -> None:
    request = ground.hold()
    for verdict in ("approve", "reject"):
        body = ground.vote(request, None, verdict=verdict, reason="why")
        ground.refused(request, body, "signature_required", "risk/high/signed")


def test_what_was_not_signed_as_it_is_counts_for_nothing(ground: Ground) -> None:
    request, other = ground.hold(), ground.hold()
    wrong: list[Body] = [
        ground.signed(request, ground.others),
        ground.signed(request, verdict="reject"),
        ground.signed(request, verdict="break-glass"),
        ground.signed(request, person="ada"),
        ground.signed(request, plane="plane-of-others"),
        ground.signed(request, digest="sha256:" + "0" * 64),
        ground.signed(request, reason="another"),
        ground.signed(request, acting_for="ada"),
        ground.signed(other),
        ground.vote(request, ""),
        ground.vote(request, "x" * 16_000),
        ground.vote(
            request, "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----"
        ),
    ]
    for namespace in (LOGIN_NAMESPACE, "file", VOTE_NAMESPACE.upper()):
        signature = ground.keys[0].sign(ground.text(request), namespace=namespace)
        wrong.append(ground.vote(request, signature))
    for body in wrong:
        ground.refused(request, body, "signature_invalid", "approval/signature")


def test_a_vote_signature_opens_no_login(ground: Ground) -> None:
    challenge = ground.plane.caller().post("/v1/login/challenge", {"person": "grace"})
    text = login_text(challenge["plane"], "grace", challenge["nonce"])
    signature = ground.keys[0].sign(text, namespace=VOTE_NAMESPACE)
    body = {"person": "grace", "nonce": challenge["nonce"], "signature": signature}
    ground.plane.caller().problem("POST", "/v1/login/ssh", body, status=401)


def test_a_key_that_left_the_document_signs_no_more(ground: Ground) -> None:
    request = ground.hold()
    body = ground.signed(request)
    ground.apply(ground.others.public)
    ground.refused(request, body, "signature_invalid", "approval/signature")


def test_a_bad_signature_is_refused_where_none_is_needed(ground: Ground) -> None:
    ground.plane.apply("risk: {name: high, signed: false}")
    try:
        request = ground.hold()
        assert not request["signed"]
        bad = ground.signed(request, ground.others)
        ground.refused(request, bad, "signature_invalid", "approval/signature")
        path = f"/v1/requests/{request['request']}/votes"
        found = ground.grace().post(path, ground.signed(request))
        assert found["votes"][0]["key"] == fingerprint(ground.keys[0].public)
    finally:
        ground.plane.apply("risk: {name: high, signed: true}")


def test_a_hardware_key_counts_only_when_it_was_touched(ground: Ground) -> None:
    ground.apply(ground.hardware.public)
    request = ground.hold()
    text = ground.text(request)
    untouched = ground.hardware.sign(text, namespace=VOTE_NAMESPACE, touched=False)
    body = ground.vote(request, untouched)
    ground.refused(request, body, "signature_invalid", "approval/signature")
    touched = ground.hardware.sign(text, namespace=VOTE_NAMESPACE)
    path = f"/v1/requests/{request['request']}/votes"
    found = ground.grace().post(path, ground.vote(request, touched))
    assert found["votes"][0]["key"] == fingerprint(ground.hardware.public)


def test_who_casts_anothers_vote_signs_that_it_is_anothers(ground: Ground) -> None:
    ground.plane.apply("person: {name: edsger, operates: [{role: approver}]}")
    ground.plane.apply("role: {name: finance-ops, members: [owner, edsger]}")
    request = ground.hold()
    issued = {"person": "edsger", "permission": "approver"}
    edsger = ground.plane.caller(ground.plane.operator.post("/v1/persons/tokens", issued)["token"])
    edsger.post("/v1/delegations", {"to": "grace", "seconds": 600})
    own = {**ground.signed(request), "acting_for": "edsger"}
    ground.refused(request, own, "signature_invalid", "approval/signature")
    body = {**ground.signed(request, acting_for="edsger"), "acting_for": "edsger"}
    found = ground.grace().post(f"/v1/requests/{request['request']}/votes", body)
    ground.plane.apply("role: {name: finance-ops, members: [owner, grace]}")
    (vote,) = found["votes"]
    assert (vote["person"], vote["acting_for"]) == ("person/grace", "person/edsger")
    assert vote["key"] == fingerprint(ground.keys[0].public)


def test_breaking_the_glass_is_signed_as_that(ground: Ground) -> None:
    ground.plane.apply(ground.document(ground.keys[0].public).replace("approver", "admin"))
    issued = {"person": "grace", "permission": "admin"}
    grace = ground.plane.caller(ground.plane.operator.post("/v1/persons/tokens", issued)["token"])
    request = ground.hold()
    path = f"/v1/requests/{request['request']}/break-glass"
    body = {"digest": request["digest"], "reason": "it burns"}
    problem = grace.problem("POST", path, body, status=403)
    assert problem["code"] == "signature_required"
    vote = ground.signed(request, reason="it burns")["signature"]
    problem = grace.problem("POST", path, {**body, "signature": vote}, status=403)
    assert problem["code"] == "signature_invalid"
    alone = ground.signed(request, verdict="break-glass", reason="it burns")["signature"]
    found = grace.post(path, {**body, "signature": alone})
    assert found["break_glass"]
    (cast,) = found["votes"]
    assert (cast["verdict"], cast["signature"]) == ("break-glass", alone)


def test_keys_are_listed_with_the_time_in_which_they_counted(ground: Ground) -> None:
    ground.apply(ground.others.public)
    rows = ground.plane.operator.get("/v1/signers", person="grace")["rows"]
    standing = {row["fingerprint"] for row in rows if row["valid_before"] is None}
    assert standing == {fingerprint(ground.others.public)}
    mine = fingerprint(ground.keys[0].public)
    past = [row for row in rows if row["fingerprint"] == mine]
    assert past
    assert all(row["valid_after"] <= row["valid_before"] for row in past)
    ground.plane.apply("person: {name: ada, operates: [{role: viewer}]}")
    listed = {row["person"] for row in ground.plane.operator.get("/v1/signers")["rows"]}
    assert "grace" in listed
    assert "ada" not in listed


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A public key and a signature by it."""
    key = SshKey.make(tmp_path_factory.mktemp("key") / "id")
    return key.public, key.sign(MESSAGE, namespace=VOTE_NAMESPACE)


MESSAGE = vote_text("plane-1", "req_1", "sha256:0", "approve", "grace", "why")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
async def test_any_byte_changed_of_message_or_signature_is_refused(
    made: tuple[str, str], data: st.DataObject
) -> None:
    public, signature = made
    lines = signature.strip().splitlines()
    blob = bytearray(base64.b64decode("".join(lines[1:-1])))
    message = bytearray(MESSAGE)
    whole = data.draw(st.sampled_from([blob, message]))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    armoured = "\n".join(
        [lines[0], *textwrap.wrap(base64.b64encode(bytes(blob)).decode(), 70), lines[-1], ""]
    )
    found = await verify_signature([public], bytes(message), armoured, namespace=VOTE_NAMESPACE)
    assert found is None


async def test_the_untampered_holds(made: tuple[str, str]) -> None:
    public, signature = made
    found = await verify_signature([public], MESSAGE, signature, namespace=VOTE_NAMESPACE)
    assert found == public


def test_no_two_votes_have_one_text() -> None:
    parts = {"plane": "p", "request": "r", "digest": "d", "verdict": "approve"}
    parts |= {"person": "grace", "reason": "a"}
    texts = {vote_text(**parts)}
    for name in parts:
        texts.add(vote_text(**{**parts, name: "other"}))
    texts.add(vote_text(**parts, acting_for="ada"))
    # what a person writes cannot look like another line
    texts.add(vote_text(**{**parts, "reason": 'a"\nacting for ada'}))
    assert len(texts) == len(parts) + 3
    assert all(text.count(b"\n") == len(text.splitlines()) for text in texts)
    assert b"\nacting for ada\nreason" not in vote_text(**{**parts, "reason": "\nacting for ada\n"})
