"""Proves that the stored ledger is the one that was written, or names the first bad entry.

In one pass over the rows each is held against its own hashes, the chain, the log's files and
every checkpoint that was signed, in the store or outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

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
_TELLS = frozenset({"plane.started", "ledger.key_rotated", "ledger.forked", "ledger.fork_accepted"})
_RESTART = "start the plane again: it makes the file anew"


@dataclass(frozen=True, slots=True)
class Verification:
    """What the check found.

    ``entries`` were proven good, from the first on. If not ``ok``, ``first_bad`` is the
    sequence of the first bad entry (None: what is bad is no entry), ``what`` its kind, and
    ``detail`` a sentence. ``head_sequence`` and ``head_chain`` are where the good part ends.
    ``anchored`` entries are covered by a checkpoint that is kept outside: whoever rewrote all
    that is here would be found. Those after it could be cut off or rewritten without a trace.
    """

    ok: bool
    entries: int
    head_sequence: int
    head_chain: str
    first_bad: int | None = None
    what: What | None = None
    detail: str | None = None
    checkpoints: int = 0
    anchored: int = 0
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Fork:
    origin: str
    sequence: int
    lost: int
    reason: str
    accepted: str | None = None


class _Told(NamedTuple):
    """What an entry tells of a key, as the store's row of it has to be."""

    origin: str
    cause: str
    reason: str | None
    """None where it is personal data, to which the entry only commits."""
    made_at: int
    lost_size: int | None
    accepted_by: str | None = None
    accepted_at: int | None = None


class _Bad(Exception):
    """The ledger is not what was written."""

    def __init__(self, first_bad: int | None, what: What, detail: str) -> None:
        super().__init__(detail)
        self.found = (first_bad, what, detail)


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
    except _Bad as error:
        bad = error.found
    return Verification(
        bad[1] is None,
        walk.done,
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
        self._forks: list[_Fork] = []
        self._told: dict[str, _Told | None] = {}
        self._since: dict[str, int] = {}
        """The entry that first tells of a key."""
        self._disputed: list[Claim] = []

    def rows(self, on_progress: OnProgress | None) -> None:
        """Examine every row; raise `_Bad` at the first that is not what was written."""
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
            raise _Bad(self.done + 1, "truncated", "the record of the ledger's end is gone")
        if self.done < head.sequence:
            wrote = f"the ledger ends at {self.done}; {head.sequence} events were written"
            raise _Bad(self.done + 1, "truncated", wrote)
        if head.chain_hash != self.chain.hex():
            raise _Bad(self.done, "changed", "the record of the ledger's end was altered")
        self._end_forks()
        if self._files is not None and self._files.found is not None:
            name, sequence, missing = self._files.found
            if missing:
                raise _Bad(None, "missing", f"the log's file {name} is gone; {_RESTART}")
            raise _Bad(
                None, "changed",
                f"the log's file {name} was altered at entry {sequence}, which itself is what was "
                f"signed; remove it and {_RESTART}",
            )  # fmt: skip
        if self.claims.faults:
            raise _Bad(None, *self.claims.faults[0])
        self._end_keys()

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
                raise _Bad(sequence, "reordered", wrote)
            raise _Bad(sequence, "changed", f"the content of entry {sequence} was altered")
        chain = chain_of(self.chain, leaf)
        if chain.hex() != chain_hash:
            wrote = f"entry {sequence} does not follow from those before it"
            raise _Bad(sequence, "changed", wrote)
        self.done, self.chain = sequence, chain
        if type_ in _TELLS:
            self._hear(sequence, type_, at, actor, body)
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
            raise _Bad(sequence, "inserted", f"entry {sequence} stands before the first")
        if sequence > expected:
            gone = f"entry {expected} is gone; the next is {sequence}"
            raise _Bad(expected, "missing", gone)
        added = f"entry {sequence} was added behind the ledger's end"
        raise _Bad(expected, "inserted", added)

    def _hear(self, sequence: int, type_: str, at: int, actor: str, body: str) -> None:
        """Note what an entry tells of the log's keys."""
        told = json.loads(body)
        if type_ == "ledger.fork_accepted":
            for fork in self._forks:
                fork.accepted = fork.accepted or f"{actor}: {told.get('reason')}"
            self._told = {
                key: one._replace(accepted_by=actor, accepted_at=at)
                if one is not None and one.cause == "forked" and one.accepted_at is None
                else one
                for key, one in self._told.items()
            }
            return
        if isinstance(key := told.get("ledger_key" if type_ == "plane.started" else "key"), str):
            cause = type_.removeprefix("ledger.").removeprefix("key_")
            lost_size = told.get("lost_size")
            reason = None if told.get("personal") else told.get("reason")
            one = _Told(told.get("origin"), cause, reason, at, lost_size)
            self._told.setdefault(key, None if type_ == "plane.started" else one)
            self._since.setdefault(key, sequence)
        if type_ == "ledger.forked":
            lost = int(told.get("lost_size") or 0)
            origin, reason = str(told.get("was")), str(told.get("reason"))
            self._forks.append(_Fork(origin, sequence, lost, reason))

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
        if any(fork.origin == claim.origin for fork in self._forks):
            self._disputed.append(claim)
            return
        # who rewrote what is anchored may have signed all the rest of it anew
        proven = self.anchored if claim.anchored else self._signed
        differs = self._files.locate(self._edge) if self._files is not None else None
        if differs is not None and differs.sequence > proven and not differs.missing:
            raise _Bad(
                differs.sequence, "changed",
                f"entry {differs.sequence} is not the one in the log's file {differs.name}, and "
                f"{claim.source} was signed over another",
            )  # fmt: skip
        first = proven + 1
        which = f"entry {first} is" if first == claim.size else (
            f"one or more of the entries {first} to {claim.size} are")  # fmt: skip
        raise _Bad(first, "changed", f"{which} not what was signed in {claim.source}")

    def _end_keys(self) -> None:
        """Hold the keys in the store against what the entries tell of them."""
        for number, key in enumerate(self.claims.keys, 1):
            if key.text() not in self._told:
                raise _Bad(None, "inserted", f"the ledger tells of no key {key.id.hex()}")
            row, told = self.claims.told[key.text()], self._told[key.text()]
            # of the first only the plane's start tells, which names it
            stored = None if number == 1 else _Told(*(getattr(row, one) for one in _Told._fields))
            if told is not None and told.reason is None:
                told = told._replace(reason=row.reason)
            if stored != told or (number == 1 and (row.cause, row.lost_size) != ("began", None)):
                raise _Bad(None, "changed", f"what is said of key {number} was altered")
        if self._told.keys() - self.claims.told.keys():
            raise _Bad(None, "missing", "a key that the ledger tells of is gone")
        for was, now in pairwise(self.claims.keys):
            since, size = self._since[now.text()], self.claims.reached.get(was.text(), 0)
            if was.name == now.name and size >= since:
                raise _Bad(
                    None, "changed",
                    f"{size} entries were signed with key {was.id.hex()} alone, which was replaced "
                    f"at entry {since}: whoever had it forged a signature",
                )  # fmt: skip

    def _end_forks(self) -> None:
        """Look at what was signed and is not there any more."""
        while (claim := self._next) is not None:
            self._next = next(self._claims, None)
            self._disputed.append(claim)
            if not any(fork.origin == claim.origin for fork in self._forks):
                raise _Bad(
                    self.done + 1, "truncated",
                    f"the ledger ends at {self.done}; {claim.size} entries were signed in "
                    f"{claim.source}",
                )  # fmt: skip
        for fork in self._forks:
            lost = [one for one in self._disputed if one.origin == fork.origin]
            size = max([fork.lost, *(one.size for one in lost)])
            said = (
                f"{size} entries were signed as {fork.origin}; the ledger goes on without what "
                f"came after entry {fork.sequence - 1} ({fork.reason})"
            )
            if fork.accepted is None:
                raise _Bad(
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
