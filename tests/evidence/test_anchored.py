"""Anchors in bundles: what a witness cosigned is proven with its key, what others keep is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.evidence.ground import members_of
from tests.ledger.ground import OWNER, note, open_log
from watchkeeper.core.evidence.check import verify
from watchkeeper.decide.evidence.bundle import Bundle
from watchkeeper.decide.evidence.selecting import Asked
from watchkeeper.ledger.anchors.files import FileAnchor
from watchkeeper.ledger.anchors.model import Anchor, Answer
from watchkeeper.ledger.anchors.witnesses import WitnessAnchor
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.notes import COSIGNATURE, public_of
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.ledger.witness import Witness

WITNESS = "witness.example/one"


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = await open_log(tmp_path)
    yield opened
    await opened.store.close()


async def export(audit: LedgerAudit, to: Path) -> Path:
    asked = Asked("period", begins=0, ends=1 << 60)
    bundle = Bundle(audit.log.store, audit, asked, by=OWNER)
    await bundle.open()
    to.write_bytes(b"".join([part async for part in bundle.stream()]))
    return to


async def test_a_witness_proves_and_a_file_is_told_of(log: Log, tmp_path: Path) -> None:
    witness = Witness(WITNESS, Ed25519PrivateKey.generate(), [log.key], tmp_path / "witness")

    async def post(method: str, url: str, kind: str, body: bytes | None) -> Answer:
        reply = witness.add(body or b"", 1_790_000_000)
        return Answer(reply.status, reply.body.encode())

    file = FileAnchor(tmp_path / "kept")
    anchors: list[Anchor] = [file, WitnessAnchor("https://w.example", witness.key, post)]
    audit = LedgerAudit(log, anchors)
    await note(log, 700)
    await audit.sign_now()
    await note(log, 700)
    found = await export(audit, tmp_path / "it.tar")
    key = log.key.text()
    plain, known = verify(str(found), (key,)), verify(str(found), (key,), (witness.key.text(),))
    assert not plain.failed, plain.failed
    assert any("file " in one and "ask there" in one for one in plain.unproven)
    assert not any("un-anchored" in one for one in plain.unproven)
    assert any(one.startswith(WITNESS) for one in known.proven)
    older = json.loads(members_of(found)["checkpoints.json"])
    assert sorted({name.split()[0] for one in older for name in one["anchors"]}) == [
        "file", "witness",
    ]  # fmt: skip
    other = public_of(Ed25519PrivateKey.generate(), WITNESS, COSIGNATURE)
    strange = verify(str(found), (key,), (other.text(),))
    assert not any(one.startswith(WITNESS) for one in strange.proven)


async def test_without_anchors_what_is_loose_is_said(log: Log, tmp_path: Path) -> None:
    await note(log, 300)
    found = verify(str(await export(LedgerAudit(log), tmp_path / "it.tar")), (log.key.text(),))
    assert not found.failed
    assert any("un-anchored" in one for one in found.unproven)


async def test_a_bundle_of_another_key_of_the_log_says_so(log: Log, tmp_path: Path) -> None:
    await note(log, 3)
    audit, was = LedgerAudit(log), log.key.text()
    first = await export(audit, tmp_path / "first.tar")
    await log.rotate(actor=OWNER, reason="yearly")
    second = await export(audit, tmp_path / "second.tar")
    assert not verify(str(first), (was,)).failed
    assert verify(str(second), (was,)).failed
    assert not verify(str(second), (was, log.key.text())).failed


async def test_a_bundle_of_a_log_that_was_forked_says_so(log: Log, tmp_path: Path) -> None:
    """After a change of its key: neither key of the old origin signs for the new one."""
    witness = Witness(WITNESS, Ed25519PrivateKey.generate(), [log.key], tmp_path / "witness")

    async def post(method: str, url: str, kind: str, body: bytes | None) -> Answer:
        reply = witness.add(body or b"", 1_790_000_000)
        return Answer(reply.status, reply.body.encode())

    audit = LedgerAudit(log, [WitnessAnchor("https://w.example", witness.key, post)])
    await note(log, 30)
    await audit.sign_now()
    keys = [log.key.text()]
    await log.rotate(actor=OWNER, reason="yearly")
    keys.append(log.key.text())
    was = log.key.name
    await log.fork(was, "it was put back", 99)
    await note(log, 3)
    path = await export(audit, tmp_path / "it.tar")
    for key in keys:
        assert verify(str(path), (key,)).failed
    found = verify(str(path), (log.key.text(), *keys), (witness.key.text(),))
    assert not found.failed, found.failed
    assert not any(WITNESS in one for one in found.proven), "it witnessed the other log"
    said = f"99 entries were signed as {was}, and not all are here: it forked (it was put back"
    assert f"{said}; accepted by nobody)" in found.unproven
    await log.keys.accept_forks(actor=OWNER, reason="the disk died")
    again = verify(str(await export(audit, tmp_path / "again.tar")), (log.key.text(),))
    assert f"{said}; accepted by {OWNER})" in again.unproven


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 3000])
async def test_every_size_of_a_ledger_is_proven(log: Log, tmp_path: Path, count: int) -> None:
    await note(log, count)
    found = verify(str(await export(LedgerAudit(log), tmp_path / "it.tar")), (log.key.text(),))
    assert not found.failed, found.failed
