"""Logging in from the command line, as somebody far from the plane does."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Ended, on, watchkeeper
from tests.rig.oidc import Oidc
from tests.rig.plane import Plane
from tests.rig.ssh import SshKey
from watchkeeper.cli import exits


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("plane")).start()
    yield running
    running.close()


@pytest.fixture
def key(plane: Plane, tmp_path: Path) -> SshKey:
    made = SshKey.make(tmp_path / "keys" / "id_ed25519")
    plane.apply(
        f"person:\n  name: grace\n  operates: [{{role: responder}}]\n"
        f"  ssh_keys: ['{made.public}']\n"
    )
    return made


def log_in(plane: Plane, home: Path, key: SshKey, *more: str) -> Ended:
    words = ("login", "--key", str(key.path), "--as", "grace", *more)
    return watchkeeper(home, "--connect", plane.url, *words)


def kept(home: Path) -> list[Path]:
    return [path for path in home.rglob("*.json") if path.parent.name == "logins"]


def test_a_key_logs_in_and_everything_else_follows(
    plane: Plane, tmp_path: Path, key: SshKey
) -> None:
    def far(*words: str) -> Ended:
        return watchkeeper(tmp_path, "--connect", plane.url, *words)

    assert far("whoami").code == exits.NOT_ALLOWED
    ended = log_in(plane, tmp_path, key)
    assert ended.code == 0, ended.err
    assert "Logged in as grace until" in ended.out
    (file,) = kept(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = json.loads(file.read_text())["token"]
    assert token not in ended.out + ended.err + plane.output

    me = far("whoami")
    assert "grace, by ssh" in me.out
    assert "lift, lock, read" in me.out
    assert "grace (responder, by ssh)" in far("status").out
    assert far("tokens", "list").code == exits.NOT_ALLOWED
    # the same with a slash at the end; never for another address
    assert watchkeeper(tmp_path, "--connect", plane.url + "/", "whoami").code == 0
    elsewhere = plane.url.replace("127.0.0.1", "localhost")
    assert watchkeeper(tmp_path, "--connect", elsewhere, "whoami").code == exits.NOT_ALLOWED

    assert far("logout").out == "Logged out.\n"
    assert far("whoami").code == exits.NOT_ALLOWED
    plane.caller(token).problem("GET", "/v1/me", status=401)
    assert far("logout").code == exits.NOT_FOUND


def test_a_token_file_that_others_can_read_is_not_used(
    plane: Plane, tmp_path: Path, key: SshKey
) -> None:
    assert log_in(plane, tmp_path, key).code == 0
    (file,) = kept(tmp_path)
    file.chmod(0o644)
    ended = watchkeeper(tmp_path, "--connect", plane.url, "whoami")
    assert ended.code == exits.NOT_ALLOWED


def test_another_plane_at_the_same_address_gets_no_signature(
    plane: Plane, tmp_path: Path, key: SshKey
) -> None:
    assert log_in(plane, tmp_path, key).code == 0
    (file,) = kept(tmp_path)
    known = json.loads(file.read_text())
    file.write_text(json.dumps({**known, "plane": "plane-before"}))
    ended = log_in(plane, tmp_path, key)
    assert ended.code == exits.CONFLICT
    assert "another plane answers here" in ended.err
    assert log_in(plane, tmp_path, key, "--new-plane").code == 0


def test_a_refused_login_says_what_to_do(plane: Plane, tmp_path: Path, key: SshKey) -> None:
    stranger = SshKey.make(tmp_path / "keys" / "other")
    ended = log_in(plane, tmp_path, stranger)
    assert ended.code == exits.NOT_ALLOWED
    assert "identity/login" in ended.err
    assert not kept(tmp_path)
    missing = watchkeeper(tmp_path, "--connect", plane.url, "login", "--key", "/no/such/key")
    assert missing.code == exits.REFUSED
    assert "ssh-keygen" in missing.err
    here = watchkeeper(tmp_path, "login", "--ssh", state=plane.state)
    assert here.code == exits.REFUSED
    assert "--connect URL login" in here.err


def test_an_issuer_logs_in(plane: Plane, tmp_path: Path) -> None:
    oidc = Oidc(tmp_path / "oidc")
    try:
        oidc.confirm(interval=1)
        plane.apply(
            oidc.document(),
            "person: {name: ada, operates: [{role: auditor}], "
            "oidc: [{issuer: corp, subject: subject-of-grace}]}",
        )
        ended = watchkeeper(tmp_path, "--connect", plane.url, "login", "--json")
        assert ended.code == 0, ended.err
        assert "enter the code WDJB-MJHT" in ended.err
        assert (ended.json()["person"], ended.json()["token"]) == ("ada", "kept")
        assert "audit, read" in watchkeeper(tmp_path, "--connect", plane.url, "whoami").out
    finally:
        oidc.stop()


def test_the_owner_sees_people_and_ends_their_tokens(
    plane: Plane, tmp_path: Path, key: SshKey
) -> None:
    assert log_in(plane, tmp_path, key).code == 0
    people = on(plane, "people", "list").out
    assert "grace" in people
    assert "1 ssh" in people
    mine = on(plane, "tokens", "list", "--json").json()["rows"][0]
    assert (mine["person"], mine["role"], mine["via"]) == ("grace", "*", "ssh")
    assert "grace" in on(plane, "tokens", "list").out
    assert on(plane, "tokens", "revoke", mine["id"]).code == 0
    assert watchkeeper(tmp_path, "--connect", plane.url, "whoami").code == exits.NOT_ALLOWED
    assert on(plane, "tokens", "revoke", "ptk_none").code == exits.NOT_FOUND
