"""A workload and an operator with nothing but the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.command import Ended, watchkeeper
from tests.rig.plane import Plane


def test_a_workload_joins_with_a_key_pair(plane: Plane, tmp_path: Path) -> None:
    def run(*words: str, **environ: str) -> Ended:
        return watchkeeper(tmp_path, *words, state=plane.state, environ=environ)

    enrolled = run("enroll", "clerk", "--json").json()["settings"]
    file = tmp_path / "agent.key"
    joined = run("identity", "join", str(file), **enrolled)
    assert joined.code == 0, joined
    assert file.stat().st_mode & 0o777 == 0o600
    again = run("identity", "join", str(file), **enrolled)
    assert again.code != 0
    token = run("identity", "token", str(file)).out.strip()
    opened = plane.caller(token).post("/v1/runs", {"goal": "x"})
    assert opened["agent"] == "clerk"
    key = json.loads(file.read_text())["key"]
    listed = run("identity", "list", "clerk").out
    assert f"key_{key}" in listed
    assert "access token" in listed
    revoked = run("identity", "revoke", f"key_{key}", "--reason", "it was lost")
    assert "3 secrets, keys and tokens" in revoked.out
    refused = run("identity", "token", str(file))
    assert refused.code != 0
    assert "refused" in refused.err
    assert "wke_" not in refused.err + refused.out
    shown = run("runs", opened["run"]).out
    assert f"spiffe://local.watchkeeper/run/{opened['run']}" in shown


def test_keys_are_rotated_by_command(plane: Plane, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        said = watchkeeper(tmp_path, *words, state=plane.state)
        assert said.code == 0, said
        return said.out

    run("keys", "rotate", "--reason", "first")
    run("keys", "rotate", "--reason", "second")
    listed = run("keys", "list")
    assert listed.count("signs") == 1
    assert "published until" in listed


def test_a_plane_starts_without_what_verifies_and_signs() -> None:
    """Its library takes a tenth of a second and 20 MB: loaded when a JWT is first met."""
    program = (
        "import sys, watchkeeper.plane.lifecycle\n"
        "print([name for name in ('joserfc', 'aiohttp') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
