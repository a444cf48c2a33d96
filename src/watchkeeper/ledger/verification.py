"""Proves that the stored ledger is the one that was written, or names the first bad entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import bindparam, select

from watchkeeper.store.journal import (
    GENESIS,
    SELECT_HEAD,
    chain_of,
    entry_bytes,
    events,
    leaf_of,
)
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

PAGE = 500
What = Literal["changed", "missing", "inserted", "reordered", "truncated"]

_FIRST_PAGE = Statement(select(events).order_by(events.c.sequence).limit(bindparam("limit")))
_NEXT_PAGE = Statement(
    select(events)
    .where(events.c.sequence > bindparam("after"))
    .order_by(events.c.sequence)
    .limit(bindparam("limit"))
)
_LEAVES = Statement(
    select(events.c.sequence, events.c.leaf_hash)
    .where(events.c.sequence > bindparam("after"))
    .order_by(events.c.sequence)
    .limit(bindparam("limit"))
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What the check found.

    ``entries`` were proven good, from the first on. If not ``ok``, ``first_bad`` is the
    sequence of the first bad entry, ``what`` its kind, and ``detail`` a sentence.
    ``head_sequence`` and ``head_chain`` are where the good part ends. A ledger cut off
    together with its head looks whole from inside; only an anchor elsewhere shows that.
    """

    ok: bool
    entries: int
    head_sequence: int
    head_chain: str
    first_bad: int | None = None
    what: What | None = None
    detail: str | None = None


def verify(tx: Transaction, on_progress: Callable[[int, int], None] | None = None) -> Verification:
    """Recompute every hash from the first event on, in constant memory.

    ``on_progress(done, total)`` is called now and then. Run it with ``Store.scan``.
    """
    head = SELECT_HEAD.first(tx)
    total = head.sequence if head is not None else 0
    chain = GENESIS
    done = 0
    for row in _rows(tx):
        bad = _examine(tx, row, done + 1, chain, total if head is not None else None)
        if bad is not None:
            return _fail(done, chain, *bad)
        done += 1
        chain = bytes.fromhex(row.chain_hash)
        if on_progress is not None and done % PAGE == 0:
            on_progress(done, total)
    if head is None:
        return _fail(done, chain, done + 1, "truncated", "the record of the ledger's end is gone")
    if done < head.sequence:
        return _fail(
            done,
            chain,
            done + 1,
            "truncated",
            f"the ledger ends at {done}; {head.sequence} events were written",
        )
    if head.chain_hash != chain.hex():
        return _fail(done, chain, done, "changed", "the record of the ledger's end was altered")
    if on_progress is not None:
        on_progress(done, total)
    return Verification(True, done, done, chain.hex())


def _rows(tx: Transaction) -> Iterator[Row]:
    page = _FIRST_PAGE.all(tx, limit=PAGE)
    while page:
        yield from page
        page = _NEXT_PAGE.all(tx, after=page[-1].sequence, limit=PAGE)


def _examine(
    tx: Transaction, row: Row, expected: int, chain: bytes, total: int | None
) -> tuple[int, What, str] | None:
    sequence = row.sequence
    if sequence < expected:
        return sequence, "inserted", f"entry {sequence} stands before the first"
    if total is not None and expected > total:
        return expected, "inserted", f"entry {sequence} was added behind the ledger's end"
    if sequence > expected:
        return expected, "missing", f"entry {expected} is gone; the next is {sequence}"
    leaf = _leaf(row, sequence)
    if leaf is None or leaf.hex() != row.leaf_hash:
        place = _place_of(tx, row)
        if place is not None:
            return sequence, "reordered", f"entry {sequence} was written as entry {place}"
        return sequence, "changed", f"the content of entry {sequence} was altered"
    if chain_of(chain, leaf).hex() != row.chain_hash:
        return sequence, "changed", f"entry {sequence} does not follow from those before it"
    return None


def _leaf(row: Row, sequence: int) -> bytes | None:
    """Return the leaf that the row's content gives at a place, None if it is no content."""
    texts = (row.type, row.actor, row.subject, row.body)
    names = (row.agent, row.run, row.request)
    if not (
        isinstance(row.at, int)
        and all(isinstance(text, str) for text in texts)
        and all(name is None or isinstance(name, str) for name in names)
    ):
        return None
    try:
        return leaf_of(entry_bytes(sequence, row.at, *texts[:3], *names, row.body))
    except UnicodeEncodeError:
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


def _fail(done: int, chain: bytes, first_bad: int, what: What, detail: str) -> Verification:
    return Verification(False, done, done, chain.hex(), first_bad, what, detail)
