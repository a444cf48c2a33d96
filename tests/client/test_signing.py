"""Signing where a screen is drawn: off the event loop, off the terminal, and ended on request."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rig.deadline import eventually, eventually_async
from tests.rig.process import clean_environment
from tests.rig.ssh import SshAgent, SshKey
from watchkeeper.client.signing import Key, find_key, sign_with
from watchkeeper.core.errors import Invalid
from watchkeeper.core.ssh import fingerprint
from watchkeeper.identity.ssh import verify_signature

NAMESPACE = "test@watchkeeper"

QUIETLY = """
import asyncio, sys
from pathlib import Path
from watchkeeper.client.signing import Key, sign_with
from watchkeeper.core.errors import Invalid
key = Key("", "", Path(sys.argv[1]))
try:
    asyncio.run(sign_with(key, b"x", namespace="test", quiet=sys.argv[2] == "quiet"))
except Invalid as error:
    print("REFUSED", error.message)
"""


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SshAgent:
    started = SshAgent(tmp_path)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(started.socket))
    return started


async def test_the_agents_key_is_found_by_its_fingerprint_and_signs(
    agent: SshAgent, tmp_path: Path
) -> None:
    try:
        keys = [SshKey.make(tmp_path / f"key{n}", kind) for n, kind in enumerate(("rsa", "ecdsa"))]
        for key in keys:
            agent.add(key)
        wanted = fingerprint(keys[1].public)
        found = await find_key([wanted])
        assert (found.fingerprint, found.file, found.comment) == (wanted, None, "test key")
        for key in keys:
            key.path.unlink()
        signature = await sign_with(found, b"message", namespace=NAMESPACE, quiet=True)
        public = keys[1].public
        assert await verify_signature([public], b"message", signature, namespace=NAMESPACE)
    finally:
        agent.stop()


async def test_an_agent_that_is_gone_holds_nothing(
    agent: SshAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.stop()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WATCHKEEPER_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(Invalid) as refused:
        await find_key(["SHA256:abc"])
    assert "SHA256:abc" in refused.value.message
    assert "ssh-add" in (refused.value.remedy or "")


async def test_waiting_for_a_key_can_be_given_up(tmp_path: Path) -> None:
    never = tmp_path / "never"
    os.mkfifo(never)

    def running() -> bool:
        return any(str(never).encode() in line for line in command_lines())

    signing = asyncio.ensure_future(
        sign_with(Key("", "", never), b"x", namespace=NAMESPACE, quiet=True)
    )

    async def begun() -> bool:
        return running()

    await eventually_async(begun, "ssh-keygen to wait for the key")
    signing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await signing
    eventually(lambda: not running(), "ssh-keygen to end")


def command_lines() -> list[bytes]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(place.read_bytes())
        except OSError:
            continue
    return [line for line in found if line.startswith(b"ssh-keygen")]


@pytest.mark.parametrize("how", ["quiet", "asking"])
def test_a_passphrase_is_asked_for_only_where_nothing_is_drawn(tmp_path: Path, how: str) -> None:
    key = tmp_path / "key"
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(key)]
    subprocess.run(made, check=True, capture_output=True)
    (tmp_path / "signs.py").write_text(QUIETLY)
    command = f"{sys.executable} {tmp_path / 'signs.py'} {key} {how}"
    environ = clean_environment(tmp_path)
    for name in ("SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY"):
        environ.pop(name, None)
    on_terminal = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        env=environ,
        input=b"\n\n\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (b"Enter passphrase" in on_terminal.stdout) == (how == "asking")
    assert b"REFUSED" in on_terminal.stdout
