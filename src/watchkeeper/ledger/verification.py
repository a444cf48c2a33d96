"""Proves that the stored ledger is the one that was written, or names the first bad entry.

In one pass over the rows each is held against its own hashes, the chain, the log's files and
every checkpoint that was signed, in the store or outside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, select

from watchkeeper.ledger.claims import (
    Claim,
    Claims,
    OnProgress,
    Published,
    What,
    claims_of,
)
from watchkeeper.ledger.comparison import Comparison
from watchkeeper.ledger.key_history import TELLS, Bad, KeyHistory
from watchkeeper.ledger.merkle import Edge
from watchkeeper.ledger.tiles import Tiles
from watchkeeper.store.journal import (
    GENESIS,
    SELECT_AFTER,
    SELECT_HEAD,
    chain_of,
    entry_bytes,
    events,
    leaf_of,
)
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

PAGE = 500
_BEYOND = 1 << 62

_FIRST_PAGE = Statement(select(events).order_by(events.c.sequence).limit(bindparam("limit")))
_LEAVES = Statement(
    select(events.c.sequence, events.c.leaf_hash)
    .where(events.c.sequence > bindparam("after"))
    .order_by(events.c.sequence)
    .limit(bindparam("limit"))
)
_RESTART = "start the plane again: it makes the file anew"


@dataclass(frozen=True, slots=True)
class Verification:
    """What the check found.

    ``entries`` were proven good, from the first on. If not ``ok``, ``first_bad`` is the
    sequence of the first bad entry (None: what is bad is no entry), ``what`` its kind, and
    ``detail`` a sentence. ``head_chain`` is the chain's hash where the good part ends.
    ``anchored`` entries are covered by a checkpoint that is kept outside: whoever rewrote all
    that is here would be found. Those after it could be cut off or rewritten without a trace.
    """

    ok: bool
    entries: int
    head_chain: str
    first_bad: int | None = None
    what: What | None = None
    detail: str | None = None
    checkpoints: int = 0
    anchored: int = 0
    notes: tuple[str, ...] = ()


def verify(
    tx: Transaction,
    on_progress: OnProgress | None = None,
    *,
    tiles: Tiles | None = None,
    published: Published | None = None,
    outside: Iterable[tuple[str, str]] = (),
) -> Verification:
    """Recompute every hash from the first event on, in constant memory.

    ``tiles`` are the log's files, ``published`` what its newest checkpoint was just before, and
    ``outside`` signed checkpoints that are kept elsewhere, each after what it is called.
    ``on_progress`` is called now and then. Run it with ``Store.scan``.
    """
    walk = _Walk(tx, claims_of(tx, published, outside, on_progress), tiles)
    bad: tuple[int | None, What | None, str | None] = (None, None, None)
    try:
        walk.rows(on_progress)
        walk.end()
    except Bad as error:
        bad = error.found
    return Verification(
        bad[1] is None,
        walk.done,
        walk.chain.hex(),
        *bad,
        checkpoints=walk.claims.checkpoints,
        anchored=walk.anchored,
        notes=tuple(walk.notes),
    )


class _Walk:
    """Goes through the rows once and holds them against all that is claimed of them."""

    def __init__(self, tx: Transaction, claims: Claims, tiles: Tiles | None) -> None:
        self._tx = tx
        self.claims = claims
        self.done = 0
        self.chain = GENESIS
        self.anchored = 0
        self.notes: list[str] = []
        self._head = SELECT_HEAD.first(tx)
        self._edge = Edge()
        self._entries: list[bytes] = []
        self._claims = claims.by_size(tx)
        self._next = next(self._claims, None)
        """The claim of the smallest tree that the rows were not held against yet."""
        self._signed = 0
        """Up to where the rows are proven to be what was signed."""
        self._files = Comparison(tiles, claims.logged) if tiles is not None else None
        self._history = KeyHistory()
        self._disputed: list[Claim] = []

    def rows(self, on_progress: OnProgress | None) -> None:
        """Examine every row; raise `Bad` at the first that is not what was written."""
        total = self._head.sequence if self._head is not None else _BEYOND
        self._settle()
        page = _FIRST_PAGE.all(self._tx, limit=PAGE)
        while page:
            for row in page:
                self._examine(row, total)
            if on_progress is not None:
                on_progress("entries", self.done, total if self._head is not None else 0)
            page = SELECT_AFTER.all(self._tx, after=page[-1].sequence, limit=PAGE)

    def end(self) -> None:
        """Look at what the rows as a whole must agree with."""
        head = self._head
        if head is None:
            raise Bad(self.done + 1, "truncated", "the record of the ledger's end is gone")
        if self.done < head.sequence:
            wrote = f"the ledger ends at {self.done}; {head.sequence} events were written"
            raise Bad(self.done + 1, "truncated", wrote)
        if head.chain_hash != self.chain.hex():
            raise Bad(self.done, "changed", "the record of the ledger's end was altered")
        self._end_forks()
        if self._files is not None and self._files.found is not None:
            name, sequence, missing = self._files.found
            if missing:
                raise Bad(None, "missing", f"the log's file {name} is gone; {_RESTART}")
            raise Bad(
                None, "changed",
                f"the log's file {name} was altered at entry {sequence}, which itself is what was "
                f"signed; remove it and {_RESTART}",
            )  # fmt: skip
        if self.claims.faults:
            raise Bad(None, *self.claims.faults[0])
        self._history.check(self.claims)

    def _examine(self, row: Row, total: int) -> None:
        sequence, at, type_, actor, subject, agent, run, request, body, leaf_hash, chain_hash = row
        expected = self.done + 1
        if sequence != expected or expected > total:
            self._misplaced(sequence, expected)
        try:
            entry = entry_bytes(sequence, at, type_, actor, subject, agent, run, request, body)
        except (TypeError, UnicodeEncodeError):
            entry = b""
        leaf = leaf_of(entry)
        if leaf.hex() != leaf_hash or type(at) is not int:
            place = _place_of(self._tx, row)
            if place is not None:
                wrote = f"entry {sequence} was written as entry {place}"
                raise Bad(sequence, "reordered", wrote)
            raise Bad(sequence, "changed", f"the content of entry {sequence} was altered")
        chain = chain_of(self.chain, leaf)
        if chain.hex() != chain_hash:
            wrote = f"entry {sequence} does not follow from those before it"
            raise Bad(sequence, "changed", wrote)
        self.done, self.chain = sequence, chain
        if type_ in TELLS:
            self._history.hear(sequence, type_, at, actor, body)
        full = self._edge.append(leaf)
        if self._files is not None:
            self._entries.append(entry)
            for tile in full:
                self._files.full(tile, self._entries)
            if full:
                self._entries = []
        if self._next is not None and self._next.size <= sequence:
            self._settle()

    def _misplaced(self, sequence: int, expected: int) -> None:
        if sequence < expected:
            raise Bad(sequence, "inserted", f"entry {sequence} stands before the first")
        if sequence > expected:
            gone = f"entry {expected} is gone; the next is {sequence}"
            raise Bad(expected, "missing", gone)
        added = f"entry {sequence} was added behind the ledger's end"
        raise Bad(expected, "inserted", added)

    def _settle(self) -> None:
        """Hold the rows so far against what is claimed of as many."""
        root = self._edge.root()
        compared = False
        while (claim := self._next) is not None and claim.size == self.done:
            self._next = next(self._claims, None)
            if claim.root != root:
                self._dispute(claim)
                continue
            self._signed = self.done
            if claim.anchored:
                self.anchored = self.done
            if self._files is not None and not compared and claim.origin == self.claims.origin:
                compared = True
                self._files.partial(self._edge, self._entries)

    def _dispute(self, claim: Claim) -> None:
        """The rows are not what was signed: they were altered, or the ledger was forked."""
        if self._history.forked(claim.origin):
            self._disputed.append(claim)
            return
        # who rewrote what is anchored may have signed all the rest of it anew
        proven = self.anchored if claim.anchored else self._signed
        differs = self._files.locate(self._edge) if self._files is not None else None
        if differs is not None and differs.sequence > proven and not differs.missing:
            raise Bad(
                differs.sequence, "changed",
                f"entry {differs.sequence} is not the one in the log's file {differs.name}, and "
                f"{claim.source} was signed over another",
            )  # fmt: skip
        first = proven + 1
        which = f"entry {first} is" if first == claim.size else (
            f"one or more of the entries {first} to {claim.size} are")  # fmt: skip
        raise Bad(first, "changed", f"{which} not what was signed in {claim.source}")

    def _end_forks(self) -> None:
        """Look at what was signed and is not there any more."""
        while (claim := self._next) is not None:
            self._next = next(self._claims, None)
            self._disputed.append(claim)
            if not self._history.forked(claim.origin):
                raise Bad(
                    self.done + 1, "truncated",
                    f"the ledger ends at {self.done}; {claim.size} entries were signed in "
                    f"{claim.source}",
                )  # fmt: skip
        for fork in self._history.forks:
            lost = [one for one in self._disputed if one.origin == fork.origin]
            size = max([fork.lost, *(one.size for one in lost)])
            said = (
                f"{size} entries were signed as {fork.origin}; the ledger goes on without what "
                f"came after entry {fork.sequence - 1} ({fork.reason})"
            )
            if fork.accepted is None:
                raise Bad(
                    fork.sequence, "forked",
                    f"{said}. If it was restored from a copy: `watchkeeper audit accept-fork`",
                )  # fmt: skip
            before = min((one.size for one in lost), default=fork.sequence) < fork.sequence
            also = ", and some before it are not those that were signed" if before else ""
            self.notes.append(f"{said}{also}; accepted by {fork.accepted}")


def _leaf(row: Row, sequence: int) -> bytes | None:
    """Return the leaf that the row's content gives at a place, None if it is no content."""
    try:
        return leaf_of(entry_bytes(sequence, *row[1:9]))
    except (TypeError, UnicodeEncodeError):
        return None


def _place_of(tx: Transaction, row: Row) -> int | None:
    """Return the other sequence that the row's content was written under, if there is one."""
    after = 0
    while page := _LEAVES.all(tx, after=after, limit=PAGE):
        for sequence, leaf_hash in page:
            if sequence != row.sequence:
                leaf = _leaf(row, sequence)
                if leaf is None:
                    return None
                if leaf.hex() in (leaf_hash, row.leaf_hash):
                    return int(sequence)
        after = page[-1].sequence
    return None
