"""Bundles out of a running plane: what is in one, and that anybody verifies it with Python alone."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.rig.plane import Plane
from tests.rig.ssh import SshKey
from tests.rig.world import POLICY, world
from watchkeeper.core.evidence.check import Findings, verify
from watchkeeper.core.evidence.single import single_file
from watchkeeper.wire.requests import VOTE_NAMESPACE, vote_text

KINDS = ("ed25519", "ecdsa", "rsa")


@dataclass(frozen=True)
class Ground:
    """A plane on which refunds of three kinds of keys were approved, and bundles of it."""

    plane: Plane
    place: Path
    key: str
    run: str
    requests: tuple[str, ...]
    signers: str

    def export(self, name: str = "", **asked: Any) -> Path:
        path = self.place / f"{name or '-'.join(asked)}.tar"
        if not path.exists():
            answer = self.plane.operator.http.get("/v1/evidence", params=asked)
            assert answer.status_code == 200, answer.text
            path.write_bytes(answer.content)
        return path

    def verify(self, path: Path, **more: Any) -> Findings:
        return verify(str(path), (self.key,), **more)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    place = tmp_path_factory.mktemp("evidence")
    plane = Plane(place / "plane").start()
    plane.apply(*world("risk: {name: high, signed: true}"), policies__cedar=POLICY)
    keys = [SshKey.make(place / kind, kind) for kind in KINDS]
    listed = "".join(f"    - {key.public}\n" for key in keys)
    person = "person:\n  name: grace\n  operates: [{role: approver}]\n  ssh_keys:\n"
    plane.apply(person + listed)
    issued = {"person": "grace", "permission": "approver"}
    grace = plane.caller(plane.operator.post("/v1/persons/tokens", issued)["token"])
    name = plane.operator.get("/v1/signers")["plane"]
    run, found = plane.enrol("clerk").open_run(), []
    run.decide("books.lookup_charge", {"charge_id": "ch_1"})
    for number, key in enumerate(keys):
        held = run.decide("books.create_refund", {"charge_id": f"ch_{number}", "amount_usd": 250})
        request = plane.operator.get(f"/v1/requests/{held['request']}")
        text = vote_text(
            name, request["request"], request["digest"], "approve", "grace", f"right, {number}"
        )
        body = {
            "verdict": "approve", "digest": request["digest"], "reason": f"right, {number}",
            "signature": key.sign(text, namespace=VOTE_NAMESPACE),
        }  # fmt: skip
        grace.post(f"/v1/requests/{request['request']}/votes", body)
        found.append(request["request"])
    log = plane.operator.get("/v1/audit/keys")["rows"][0]["key"]
    signers = "".join(f"grace {key.public}\n" for key in keys)
    yield Ground(plane, place, log, run.id, tuple(found), signers)
    plane.close()


def test_a_bundle_verifies_with_python_alone(ground: Ground) -> None:
    path = ground.export(run=ground.run)
    script = ground.place / "verify.py"
    with tarfile.open(path) as bundle:
        member = bundle.extractfile("verify.py")
        assert member is not None
        script.write_bytes(member.read())
    command = [sys.executable, "-I", "-S", str(script), str(path), "--key", ground.key]
    done = subprocess.run(
        command, cwd="/", env={}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "What is checked holds." in done.stdout
    print(done.stdout)
    assert script.read_bytes() == single_file()
