"""What anchors keep, and what the plane keeps of what they gave: nothing altered is believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, select, update

from tests.ledger.ground import OWNER, note
from watchkeeper.ledger.anchors.files import FileAnchor
from watchkeeper.ledger.anchors.model import Answer
from watchkeeper.ledger.anchors.service import anchorings
from watchkeeper.ledger.anchors.witnesses import WitnessAnchor
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.ledger.witness import Witness
from watchkeeper.store.transaction import Transaction


class Forgetful:
    """A witness that answers what is added, and shows nothing: only its receipts prove."""

    def __init__(self, log: Log, directory: Path) -> None:
        self.here = Witness("w.example/1", Ed25519PrivateKey.generate(), [log.key], directory)

    async def post(self, method: str, url: str, kind: str, body: bytes | None) -> Answer:
        """Answer as a server does."""
        reply = self.here.add(body, 1_790_000_000) if body else None
        return Answer(reply.status if reply else 404, (reply.body if reply else "").encode())

    def anchor(self) -> WitnessAnchor:
        """The plane's side of it."""
        return WitnessAnchor("https://w.example", self.here.key, self.post)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere"


async def test_no_character_of_a_file_is_altered(log: Log, file: Path) -> None:
    audit = LedgerAudit(log, [FileAnchor(file)])
    await audit.sign_now()
    await log.rotate(actor=OWNER, reason="yearly")
    await note(log, 4)
    await audit.sign_now()
    kept = file.read_text()
    assert (await audit.verify()).found.anchored == 6
    for place in range(kept.index("\n", kept.rindex("--- ")) + 1, len(kept), 11):
        file.write_text(kept[:place] + chr(ord(kept[place]) ^ 1) + kept[place + 1 :])
        assert not (await audit.verify()).found.ok, place
    first = kept.index("---", 3)
    for altered in (kept[:-1], kept[:-70], kept[:first], kept[first:] + kept[:first], ""):
        file.write_text(altered)
        found, troubles = await audit.verify()
        assert not found.ok or altered in (kept[:-1], kept[first:] + kept[:first])
        assert bool(troubles) == (altered in (kept[:-70], kept[:first], ""))


async def test_no_character_of_a_receipt_is_altered(log: Log, tmp_path: Path) -> None:
    audit = LedgerAudit(log, [Forgetful(log, tmp_path / "w").anchor()])
    await note(log, 4)
    await audit.sign_now()
    assert (await audit.verify()).found.anchored == 5

    def given(tx: Transaction) -> str:
        return str(tx.connection.execute(select(anchorings.c.given)).scalar_one())

    kept = await log.store.read(given)
    for place in range(0, len(kept), 9):
        altered = kept[:place] + chr(ord(kept[place]) ^ 1) + kept[place + 1 :]

        def unit(tx: Transaction, text: str = altered) -> None:
            tx.silent("an attack")
            tx.connection.execute(update(anchorings).values(given=text))

        await log.store.write(unit)
        found, _ = await audit.verify()
        # one that seems to be of another witness is of none that is known
        assert (found.ok, found.anchored) in ((False, 0), (True, 0)), place
        assert not found.ok or place < kept.index(" ", 2) + 9


async def test_no_receipt_stands_for_another_checkpoint(log: Log, tmp_path: Path) -> None:
    audit = LedgerAudit(log, [Forgetful(log, tmp_path / "w").anchor()])
    await audit.sign_now()
    await note(log, 4)
    await log.advance(now=True)

    def move(tx: Transaction) -> None:
        tx.silent("an attack")
        tx.connection.execute(update(anchorings).values(checkpoint=2))

    await log.store.write(move)
    found, troubles = await audit.verify()
    assert (found.ok, found.what, found.anchored) == (False, "changed", 0)
    assert "a receipt was altered" in (found.detail or "")
    assert list(troubles) == ["witness https://w.example"]


async def test_what_receipts_were_dropped_for_is_not_anchored(log: Log, tmp_path: Path) -> None:
    audit = LedgerAudit(log, [Forgetful(log, tmp_path / "w").anchor()])
    await audit.sign_now()

    def drop(tx: Transaction) -> None:
        tx.silent("an attack")
        tx.connection.execute(delete(anchorings))

    await log.store.write(drop)
    assert (await audit.verify()).found.anchored == 0
