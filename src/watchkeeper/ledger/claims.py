"""What signed checkpoints claim of a ledger, wherever they are kept, before it is verified."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from typing import Literal, NamedTuple

from watchkeeper.core.errors import Invalid
from watchkeeper.ledger.checkpoints import (
    checkpoints_after,
    checkpoints_by_size,
    count_checkpoints,
    read_keys,
    read_signed,
)
from watchkeeper.ledger.notes import NoteKey, read_key
from watchkeeper.ledger.tiles import CHECKPOINT
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction

_PAGE = 500


What = Literal["changed", "missing", "inserted", "reordered", "truncated", "forked"]


OnProgress = Callable[[str, int, int], None]
"""Is told what is looked at, how many of it were, and of how many."""


class Published(NamedTuple):
    """The number of the newest checkpoint, and what the log's file of it holds, if it is there."""

    number: int
    raw: bytes | None


@dataclass(frozen=True, slots=True)
class Claim:
    """The first `size` entries have this root, says what `source` names."""

    size: int
    root: bytes
    origin: str
    source: str
    anchored: bool = False
    """Whether it is kept outside, where whoever alters the ledger does not reach."""


@dataclass(slots=True)
class Claims:
    """What is claimed of a ledger outside, and what is wrong with any claim."""

    keys: tuple[NoteKey, ...] = ()
    told: dict[str, Row] = field(default_factory=dict)
    """What the store says of each key, by the key's text."""
    outside: list[Claim] = field(default_factory=list)
    broken: set[int] = field(default_factory=set)
    """Stored checkpoints that are not what was signed."""
    faults: list[tuple[What, str]] = field(default_factory=list)
    origin: str = ""
    """Of the present log."""
    logged: int = 0
    """Up to where the tiles of the present log must reach."""
    checkpoints: int = 0
    reached: dict[str, int] = field(default_factory=dict)
    """The largest tree that a key signed and none after it, by the key's text."""

    def read(self, text: str, source: str, *, anchored: bool) -> Claim | None:
        """Return what a signed checkpoint claims; what is wrong with it is a fault."""
        try:
            checkpoint, note = read_signed(text)
            signers = note.signers(self.keys)
            # what is kept outside has signatures of others, too
            if not signers or (not anchored and len(signers) < len(note.signatures)):
                raise Invalid("no key of this ledger signed it")
        except Invalid as error:
            self.faults.append(("changed", f"{source} is not what was signed: {error.message}"))
            return None
        newest = max(signers, key=self.keys.index).text()
        self.reached[newest] = max(checkpoint.size, self.reached.get(newest, 0))
        return Claim(checkpoint.size, checkpoint.root, checkpoint.origin, source, anchored)

    def by_size(self, tx: Transaction) -> Iterator[Claim]:
        """Return every claim, of the smallest tree first."""
        outside = sorted(self.outside, key=_size_of)
        return merge(self._stored(tx), outside, key=_size_of)

    def _stored(self, tx: Transaction) -> Iterator[Claim]:
        page = checkpoints_by_size(tx, -1, 0, _PAGE)
        while page:
            for row in page:
                if row.id not in self.broken:
                    root = bytes.fromhex(row.root)
                    yield Claim(row.size, root, row.origin, f"checkpoint {row.id}")
            page = checkpoints_by_size(tx, page[-1].size, page[-1].id, _PAGE)


def _size_of(claim: Claim) -> int:
    return claim.size


def claims_of(
    tx: Transaction,
    published: Published | None = None,
    outside: Iterable[tuple[str, str]] = (),
    on_progress: OnProgress | None = None,
) -> Claims:
    """Check the store's checkpoints and signed ones from `outside`, each after its source."""
    claims = Claims()
    faults = claims.faults
    keys = []
    for number, row in enumerate(read_keys(tx), 1):
        try:
            key = read_key(row.key)
        except Invalid:
            faults.append(("changed", f"key {number} of the ledger is none any more"))
            continue
        if row.id != number or key.name != row.origin:
            faults.append(("changed", f"key {number} of the ledger was altered or is gone"))
        keys.append(key)
        claims.told[row.key] = row
        claims.origin = row.origin
    claims.keys = tuple(keys)
    sizes: dict[str, int] = {}
    newest: bytes | None = None
    total = count_checkpoints(tx)
    for done, row in enumerate(_rows(tx), 1):
        if on_progress is not None and (done % _PAGE == 0 or done == total):
            on_progress("checkpoints", done, total)
        source = f"checkpoint {row.id}"
        if row.id != claims.checkpoints + 1:
            faults.append(("missing", f"checkpoint {claims.checkpoints + 1} is gone"))
        claims.checkpoints = row.id
        if published is not None and row.id == published.number:
            newest = row.note.encode("utf-8", "surrogatepass")
        claim = claims.read(row.note, source, anchored=False)
        if claim is None:
            claims.broken.add(row.id)
            continue
        if (claim.origin, claim.size, claim.root.hex()) != (row.origin, row.size, row.root):
            faults.append(("changed", f"{source} is not what was signed"))
            claims.broken.add(row.id)
        if claim.size < sizes.get(claim.origin, 0):
            faults.append(("reordered", f"{source} is out of order"))
        sizes[claim.origin] = max(claim.size, sizes.get(claim.origin, 0))
    claims.logged = sizes.get(claims.origin, 0)
    if published is not None and newest is None:
        faults.append(("missing", f"checkpoint {published.number} is gone"))
    elif published is not None and published.raw != newest:
        what: What = "changed" if published.raw is not None else "missing"
        faults.append((what, f"the log's file {CHECKPOINT} is not the newest checkpoint"))
    for source, text in outside:
        claim = claims.read(text, source, anchored=True)
        if claim is not None:
            claims.outside.append(claim)
    return claims


def _rows(tx: Transaction) -> Iterator[Row]:
    page = checkpoints_after(tx, 0, _PAGE)
    while page:
        yield from page
        page = checkpoints_after(tx, page[-1].id, _PAGE)
