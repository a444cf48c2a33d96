"""Signing votes from the command line, and verifying them with stock ssh-keygen alone."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Ended, on, watchkeeper
from tests.rig.agent import Agent
from tests.rig.plane import Plane
from tests.rig.ssh import SshAgent, SshKey
from tests.rig.world import POLICY, world
from watchkeeper.cli import exits
from watchkeeper.core.ssh import fingerprint
from watchkeeper.wire.people import LOGIN_NAMESPACE


@dataclass(frozen=True)
class Ground:
    """A plane that takes signed votes only, and people far from it."""

    plane: Plane
    agent: Agent
    directory: Path

    def home(self, name: str) -> Path:
        place = self.directory / name
        (place / ".ssh").mkdir(parents=True, exist_ok=True)
        return place

    def person(self, name: str, *keys: SshKey) -> str:
        lines = "".join(f"    - {key.public}\n" for key in keys)
        self.plane.apply(
            f"person:\n  name: {name}\n  operates: [{{role: approver}}]\n  ssh_keys:\n{lines}"
        )
        issued = {"person": name, "permission": "approver"}
        token: str = self.plane.operator.post("/v1/persons/tokens", issued)["token"]
        return token

    def far(self, token: str, home: Path, *words: str, agent: SshAgent | None = None) -> Ended:
        environ = {"HOME": str(home), "SSH_AUTH_SOCK": str(agent.socket) if agent else ""}
        return watchkeeper(home, "--connect", self.plane.url, *words, token=token, environ=environ)

    def hold(self) -> str:
        run = self.agent.open_run()
        held = run.decide("books.create_refund", {"charge_id": "ch_81", "amount_usd": 250})
        return str(held["request"])

    def votes(self, request: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.plane.operator.get(f"/v1/requests/{request}")["votes"]
        return found


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    directory = tmp_path_factory.mktemp("signatures")
    plane = Plane(directory / "plane").start()
    plane.apply(*world("risk: {name: high, signed: true}"), policies__cedar=POLICY)
    yield Ground(plane, plane.enrol("clerk"), directory)
    plane.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[SshAgent]:
    started = SshAgent(tmp_path)
    yield started
    started.stop()


def test_the_agents_key_signs_by_itself_where_a_request_needs_it(
    ground: Ground, agent: SshAgent, tmp_path: Path
) -> None:
    stranger, key = SshKey.make(tmp_path / "stranger"), SshKey.make(tmp_path / "mine")
    home, token = ground.home("grace"), ground.person("grace", key)
    agent.add(stranger)
    request = ground.hold()

    missing = ground.far(token, home, "requests", "approve", request, agent=agent)
    assert missing.code == exits.REFUSED
    assert fingerprint(key.public) in missing.err
    assert "the agent holds 1 other" in missing.err
    assert "ssh-add" in missing.err
    none = ground.far(token, home, "requests", "approve", request)
    assert "no agent is named by SSH_AUTH_SOCK" in none.err
    assert ground.votes(request) == []

    agent.add(key)
    key.path.unlink()  # the agent alone has it now
    signed = ground.far(token, home, "requests", "approve", request, "--reason", "s", agent=agent)
    assert signed.code == 0, signed.err
    assert f"Signing with {fingerprint(key.public)} in the agent (test key)" in signed.err
    assert f"{request} is approved" in signed.out
    (vote,) = ground.votes(request)
    assert (vote["person"], vote["key"]) == ("person/grace", fingerprint(key.public))
    assert vote["channel"] == "cli"


def test_a_file_signs_too_named_or_usual_or_configured(ground: Ground, tmp_path: Path) -> None:
    home = ground.home("edsger")
    named, usual = SshKey.make(tmp_path / "named"), SshKey.make(home / ".ssh" / "id_ed25519")
    stranger = SshKey.make(tmp_path / "stranger")
    token = ground.person("grace", named, usual)

    def approve(*more: str) -> str:
        request = ground.hold()
        ended = ground.far(token, home, "requests", "approve", request, *more)
        assert ended.code == 0, ended.err
        return str(ground.votes(request)[0]["key"])

    assert approve() == fingerprint(usual.public)
    assert approve("--key", str(named.path)) == fingerprint(named.public)
    configuration = home / "xdg-config" / "watchkeeper" / "config.toml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(f'signing_key = "{named.path}"\n')
    assert approve() == fingerprint(named.public)
    configuration.unlink()

    request = ground.hold()
    for given, said in ((stranger.path, "none of your keys here"), ("/no/such", "ssh-keygen")):
        wrong = ground.far(token, home, "requests", "approve", request, "--key", str(given))
        assert wrong.code == exits.REFUSED
        assert said in wrong.err
    denied = ground.far(token, home, "requests", "deny", request, "--reason", "no")
    assert denied.code == 0, denied.err
    (vote,) = ground.votes(request)
    assert (vote["verdict"], vote["key"]) == ("reject", fingerprint(usual.public))


def test_nothing_is_signed_for_another_plane_or_another_digest(
    ground: Ground, tmp_path: Path
) -> None:
    key, home, request = SshKey.make(tmp_path / "key"), tmp_path / "home", ground.hold()
    ground.person("grace", key)
    (home / ".ssh").mkdir(parents=True)

    def far(*words: str) -> Ended:
        environ = {"HOME": str(home), "SSH_AUTH_SOCK": ""}
        return watchkeeper(home, "--connect", ground.plane.url, *words, environ=environ)

    assert far("login", "--key", str(key.path), "--as", "grace").code == 0
    approve = ("requests", "approve", request, "--key", str(key.path))
    stale = far(*approve, "--digest", "sha256:" + "0" * 64)
    assert stale.code == exits.CONFLICT
    assert "approval/digest" in stale.err
    (kept,) = [path for path in home.rglob("*.json") if path.parent.name == "logins"]
    known = json.loads(kept.read_text())
    kept.write_text(json.dumps({**known, "plane": "plane-before"}))
    other = far(*approve)
    assert other.code == exits.CONFLICT
    assert "another plane answers here" in other.err
    assert ground.votes(request) == []
    kept.write_text(json.dumps(known))
    assert far(*approve).code == 0


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_stock_ssh_keygen_verifies_what_was_kept(ground: Ground, tmp_path: Path, kind: str) -> None:
    key, home = SshKey.make(tmp_path / "key", kind), ground.home("ada")
    token, request = ground.person("grace", key), ground.hold()
    reason = 'it was "checked"\nperson ada'
    words = ("requests", "approve", request, "--key", str(key.path), "--reason", reason)
    assert ground.far(token, home, *words).code == 0
    # the key is exchanged since: what it signed then still verifies
    ground.person("grace", SshKey.make(tmp_path / "next"))

    place = tmp_path / "evidence"
    ended = on(ground.plane, "requests", "signatures", request, "--to", str(place))
    assert ended.code == 0, ended.err
    assert "good" in ended.out
    command = next(
        line
        for line in (place / "README").read_text().splitlines()
        if line.startswith("ssh-keygen")
    )

    def verify(where: Path, *, other: tuple[str, str] = ("", "")) -> bool:
        arguments, _, message = command.replace(*other).partition(" < ")
        done = subprocess.run(
            shlex.split(arguments),
            cwd=where,
            input=(where / message).read_bytes(),
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    assert verify(place)
    assert not verify(place, other=("-I grace", "-I ada"))
    assert not verify(place, other=("-n watchkeeper-vote@watchkeeper", f"-n {LOGIN_NAMESPACE}"))
    later = command.partition("verify-time=")[2].partition(" ")[0]
    assert not verify(place, other=(later, "20990101000000Z"))
    assert not verify(place, other=(later, "20010101000000Z"))

    for name in ("1-grace.txt", "1-grace.txt.sig"):
        whole = (place / name).read_bytes()
        for at in range(0, _length(name, whole), 7):
            changed = tmp_path / "changed"
            shutil.copytree(place, changed)
            (changed / name).write_bytes(_change(name, whole, at))
            assert not verify(changed), f"{name} changed at {at} still verifies"
            shutil.rmtree(changed)


def _length(name: str, whole: bytes) -> int:
    return len(_blob(whole)) if name.endswith(".sig") else len(whole)


def _change(name: str, whole: bytes, at: int) -> bytes:
    """Return a file with one byte changed; of a signature, a byte of what its armour holds."""
    changed = bytearray(_blob(whole) if name.endswith(".sig") else whole)
    changed[at] ^= 1
    if not name.endswith(".sig"):
        return bytes(changed)
    lines = whole.splitlines()
    armoured = textwrap.wrap(base64.b64encode(changed).decode(), 70)
    return b"\n".join([lines[0], *(line.encode() for line in armoured), lines[-1], b""])


def _blob(armoured: bytes) -> bytes:
    return base64.b64decode(b"".join(armoured.splitlines()[1:-1]))


def test_votes_for_others_and_alone_verify_as_that(ground: Ground, tmp_path: Path) -> None:
    key, home = SshKey.make(tmp_path / "key"), ground.home("alone")
    ground.person("grace", key)
    ground.plane.apply(
        "person: {name: edsger, operates: [{role: approver}]}",
        "role: {name: finance-ops, members: [owner, edsger]}",
        f"person: {{name: grace, operates: [{{role: admin}}], ssh_keys: ['{key.public}']}}",
    )
    tokens = {}
    for name, role in (("grace", "admin"), ("edsger", "approver")):
        issued = {"person": name, "permission": role}
        tokens[name] = ground.plane.operator.post("/v1/persons/tokens", issued)["token"]
    given = ground.plane.caller(tokens["edsger"])
    given.post("/v1/delegations", {"to": "grace", "seconds": 600})
    signing = ("--key", str(key.path), "--reason", "why")
    try:
        for verb, line in (("approve", b"acting for edsger"), ("break-glass", b"break-glass")):
            request, place = ground.hold(), tmp_path / verb
            cast = ground.far(tokens["grace"], home, "requests", verb, request, *signing)
            assert cast.code == 0, cast.err
            ended = on(ground.plane, "requests", "signatures", request, "--to", str(place))
            assert ended.code == 0, ended.err
            assert line in (place / "1-grace.txt").read_bytes()
    finally:
        ground.plane.apply("role: {name: finance-ops, members: [owner, grace]}")


def test_allowed_signers_are_printed_for_others_to_verify_with(
    ground: Ground, tmp_path: Path
) -> None:
    key = SshKey.make(tmp_path / "key")
    ground.person("grace", key)
    ended = on(ground.plane, "people", "allowed-signers", "--person", "grace")
    (line,) = [line for line in ended.out.splitlines() if key.public.split()[1] in line]
    assert line.startswith('grace namespaces="watchkeeper-vote@watchkeeper",valid-after="')
    rows = json.loads(on(ground.plane, "people", "allowed-signers", "--json").out)["rows"]
    assert fingerprint(key.public) in {row["fingerprint"] for row in rows}
    unsigned = on(ground.plane, "requests", "signatures", ground.hold(), "--to", str(tmp_path))
    assert unsigned.code == exits.NOT_FOUND
