"""What an auditor asks of the ledger: is it whole, is an entry in it, did it only ever grow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from watchkeeper.core.errors import Conflict, Invalid, NotFound
from watchkeeper.ledger import merkle
from watchkeeper.ledger.anchors.model import Anchor
from watchkeeper.ledger.anchors.service import Anchoring, anchored_where
from watchkeeper.ledger.checkpoints import checkpoint_of, covering, read_checkpoint, read_signed
from watchkeeper.ledger.commitments import compare_commitments
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.notes import Note, Signature, read_signatures, write_hashes
from watchkeeper.ledger.reading import read_events
from watchkeeper.ledger.verification import Verification, verify
from watchkeeper.store.statement import Row

PROOF = "c2sp.org/tlog-proof@v1"


class Consistency(NamedTuple):
    """What proves that a tree began as an older one, and the signed checkpoints of both."""

    old: str
    new: str
    hashes: tuple[bytes, ...]


class Audited(NamedTuple):
    """What a verification found, and by anchor why it could not be asked."""

    found: Verification
    troubles: dict[str, str]


class LedgerAudit:
    """The checks over one ledger and its log."""

    def __init__(self, log: Log, anchors: Sequence[Anchor] = ()) -> None:
        self.log = log
        self.anchoring = Anchoring(log, anchors)
        self._verifying: asyncio.Task[Audited] | None = None
        self.progress: tuple[str, int, int] | None = None
        """What is verified, how many of it were, and of how many; None while nothing is."""

    async def verify(self) -> Audited:
        """Verify the whole ledger; whoever asks while it is done waits for the same answer."""
        if self._verifying is None:
            self._verifying = asyncio.create_task(self._verify(), name="verification")
        return await asyncio.shield(self._verifying)

    async def _verify(self) -> Audited:
        try:
            published = await self.log.published()
            # read first: what they have then is in the rows that are looked at after
            held, troubles = await self.anchoring.held(self._show)
            found = await self.log.store.scan(
                lambda tx: verify(
                    tx, self._show, tiles=self.log.tiles, published=published, outside=held
                )
            )
            told = await self.log.store.scan(lambda tx: compare_commitments(tx, self._show))
            found = replace(found, notes=(*found.notes, *told))
            for name, error in troubles.items():
                if found.ok and isinstance(error, Conflict):
                    found = replace(
                        found, ok=False, what="changed", detail=f"{name}: {error.message}"
                    )
            return Audited(found, {name: error.message for name, error in troubles.items()})
        finally:
            self._verifying = self.progress = None

    def _show(self, what: str, done: int, total: int) -> None:
        self.progress = (what, done, total)

    async def sign_now(self) -> Row:
        """Sign the ledger as it stands and give that to every anchor; return the checkpoint."""
        made = await self.log.advance(now=True) or self.log.last
        if made is None:
            raise Conflict("the ledger has no entry yet", code="empty")
        await self.anchoring.run_due(now=True)
        return made

    async def prove(self, sequence: int) -> str:
        """Return the C2SP tlog-proof that an entry is in the log; raise `NotFound`.

        It ends with the smallest checkpoint over the entry; where there is none, one is made.
        """
        store = self.log.store
        if not 0 < sequence <= store.head:
            raise NotFound(f"the ledger has no entry {sequence}; it ends at {store.head}")
        row = await self._covering(sequence)
        if row is None:
            await self.log.advance(now=True)
            row = await self._covering(sequence)
        (event,) = await store.read(lambda tx: read_events(tx, after=sequence - 1, limit=1))
        if row is None or event.sequence != sequence:
            raise Conflict(f"entry {sequence} is in no checkpoint", code="ledger_altered")
        checkpoint, note = read_signed(row.note)
        index, leaf = sequence - 1, bytes.fromhex(event.leaf_hash)
        hashes = await asyncio.to_thread(
            lambda: merkle.inclusion_proof(self.log.tiles.reader(row.size), index, row.size)
        )
        if not merkle.included(leaf, index, checkpoint.size, hashes, checkpoint.root):
            raise _broken()
        cosigned = Note(note.text, (*note.signatures, *await self.cosignatures(row.id)))
        return f"{PROOF}\nindex {index}\n{write_hashes(hashes)}\n{cosigned.write()}"

    async def compare(self, old: int, new: int) -> Consistency:
        """Return the proof that the log of `new` entries began as the one of `old`.

        Raises `NotFound` unless both sizes have a checkpoint.
        """
        if not 0 < old <= new:
            raise Invalid(
                "the older checkpoint is the smaller one", where="old", remedy="name it first"
            )
        rows = []
        for size in (old, new):
            row = await self.log.store.read(lambda tx, size=size: checkpoint_of(tx, size))  # type: ignore[misc]
            if row is None:
                raise NotFound(
                    f"there is no checkpoint of {size} entries",
                    remedy="watchkeeper audit checkpoints",
                )
            rows.append(row)
        was, now = (read_checkpoint(_note_of(row).text) for row in rows)
        hashes = await self.consistency(old, new)
        if not merkle.consistent(old, new, hashes, was.root, now.root):
            raise _broken()
        return Consistency(rows[0].note, rows[1].note, tuple(hashes))

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the hashes of that proof, as the log's tiles give them."""
        reader = self.log.tiles.reader(new)
        return await asyncio.to_thread(merkle.consistency_proof, reader, old, new)

    async def cosignatures(self, number: int) -> list[Signature]:
        """Return what witnesses gave for a checkpoint."""
        found = await self.log.store.read(lambda tx: anchored_where(tx, number, number))
        given = [row.given for row in found.get(number, ()) if row.anchor.startswith("witness ")]
        return [one for text in given for one in read_signatures(text)]

    async def _covering(self, sequence: int) -> Row | None:
        origin = self.log.key.name
        return await self.log.store.read(lambda tx: covering(tx, sequence, origin))


def _note_of(row: Row) -> Note:
    return read_signed(row.note)[1]


def _broken() -> Conflict:
    return Conflict(
        "the log's tiles do not prove it",
        code="ledger_altered",
        remedy="watchkeeper audit verify; tiles are made anew when the plane starts",
    )
