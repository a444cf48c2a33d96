"""A plane with approvals signed by keys of three kinds, its bundles, and ways to alter them."""

from __future__ import annotations

import base64
import hashlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.rig.agent import Run
from tests.rig.caller import Caller
from tests.rig.plane import Plane
from tests.rig.ssh import SshKey
from tests.rig.world import POLICY, world
from watchkeeper.core.digest import canonical
from watchkeeper.core.evidence.check import verify
from watchkeeper.core.evidence.file import (
    ENVELOPE,
    MANIFEST,
    PAYLOAD,
    envelope_of,
    pae,
    tar_end,
    tar_member,
)
from watchkeeper.core.evidence.findings import Findings
from watchkeeper.core.key_files import load_or_make
from watchkeeper.ledger.notes import public_of
from watchkeeper.wire.requests import VOTE_NAMESPACE, vote_text

KINDS = ("ed25519", "ecdsa", "rsa")
Members = dict[str, bytes]


@dataclass(frozen=True)
class Ground:
    """A running plane, and what of it bundles are exported of."""

    plane: Plane
    place: Path
    key: str
    """The log's."""
    run: str
    requests: tuple[str, ...]
    signers: str
    grace: Caller

    def approve(self, run: Run, number: int, key: SshKey) -> str:
        """Ask for a refund, and have it approved with a signature; return the request."""
        held = run.decide("books.create_refund", {"charge_id": f"ch_{number}", "amount_usd": 250})
        request = self.plane.operator.get(f"/v1/requests/{held['request']}")
        plane = self.plane.operator.get("/v1/signers")["plane"]
        asked = (request["request"], request["digest"], "approve", "grace", f"right, {number}")
        body = {
            "verdict": "approve", "digest": request["digest"], "reason": f"right, {number}",
            "signature": key.sign(vote_text(plane, *asked), namespace=VOTE_NAMESPACE),
        }  # fmt: skip
        self.grace.post(f"/v1/requests/{request['request']}/votes", body)
        return str(request["request"])

    @property
    def private(self) -> Ed25519PrivateKey:
        """What the plane signs its log with, as whoever took it over has it."""
        found: Ed25519PrivateKey = load_or_make(self.plane.state / "signing/ledger-1.key", "it")
        return found

    def export(self, what: str, **period: int) -> Path:
        """Return a bundle, exported once."""
        path = self.place / f"{what.replace('/', '-')}.tar"
        if not path.exists():
            answer = self.plane.operator.http.get(f"/v1/evidence/{what}", params=period)
            assert answer.status_code == 200, answer.text
            path.write_bytes(answer.content)
        return path

    def verify(self, found: Path | bytes, *, keys: tuple[str, ...] = (), **more: Any) -> Findings:
        """Verify with the log's own key."""
        if isinstance(found, bytes):
            path = self.place / "altered.tar"
            path.write_bytes(found)
            found = path
        return verify(str(found), keys or (self.key,), **more)


def prepare(place: Path) -> Ground:
    """Start a plane, and have three refunds asked for and approved."""
    plane = Plane(place / "plane").start()
    plane.apply(*world("risk: {name: high, signed: true}"), policies__cedar=POLICY)
    keys = [SshKey.make(place / kind, kind) for kind in KINDS]
    listed = "".join(f"    - {key.public}\n" for key in keys)
    person = "person:\n  name: grace\n  operates: [{role: approver}]\n  ssh_keys:\n"
    plane.apply(person + listed)
    issued = {"person": "grace", "permission": "approver"}
    grace = plane.caller(plane.operator.post("/v1/persons/tokens", issued)["token"])
    log = plane.operator.get("/v1/audit/keys")["rows"][0]["key"]
    signers = "".join(f"grace {key.public}\n" for key in keys)
    run = plane.enrol("clerk").open_run()
    run.decide("books.lookup_charge", {"charge_id": "ch_1"})
    ground = Ground(plane, place, log, run.id, (), signers, grace)
    asked = tuple(ground.approve(run, number, key) for number, key in enumerate(keys))
    return replace(ground, requests=asked)


def members_of(path: Path) -> Members:
    """Return a bundle's members as a stock reader of tar files has them."""
    with tarfile.open(path) as file:
        return {one.name: _read(file, one) for one in file.getmembers()}


def _read(file: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    found = file.extractfile(member)
    assert found is not None
    return found.read()


def packed(members: Mapping[str, bytes]) -> bytes:
    """Return members as a file, with the manifest that is among them."""
    return b"".join(tar_member(name, raw) for name, raw in members.items()) + tar_end()


def signed_again(
    members: Mapping[str, bytes], private: Ed25519PrivateKey, *, key: str | None = None
) -> bytes:
    """Return altered members under a manifest that fits them, signed with a key."""
    manifest = json.loads(members[MANIFEST])
    rest = {name: raw for name, raw in members.items() if name not in (MANIFEST, ENVELOPE)}
    manifest["members"] = {
        name: {"sha256": hashlib.sha256(raw).hexdigest(), "size": len(raw)}
        for name, raw in rest.items()
    }
    manifest["log"]["key"] = key or public_of(private, manifest["log"]["origin"]).text()
    raw = canonical(manifest)
    statement = json.loads(base64.b64decode(json.loads(members[ENVELOPE])["payload"]))
    statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(raw).hexdigest()
    payload = canonical(statement)
    sealed = envelope_of(payload, manifest["log"]["key"], private.sign(pae(PAYLOAD, payload)))
    return packed({**rest, MANIFEST: raw, ENVELOPE: sealed})
