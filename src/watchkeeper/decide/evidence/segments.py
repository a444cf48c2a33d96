"""Entries as lines, with the roots over what stands between them: together they prove all."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from watchkeeper.core.errors import Conflict
from watchkeeper.ledger.merkle import Reader
from watchkeeper.ledger.tiles import Tiles
from watchkeeper.store.journal import Event, entry_bytes, event_from_row, events, leaf_of
from watchkeeper.store.marks import commitments_of
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

LARGEST = 4 << 20
"""Bytes after which another segment begins."""


@dataclass(slots=True)
class Segment:
    """Some neighbouring lines, and what the entries among them commit to."""

    number: int
    lines: bytes = b""
    sequences: list[int] = field(default_factory=list)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    """Texts and salts by the ids of values; of one that was erased, its state."""


async def segments(
    store: Store,
    tiles: Tiles,
    pages: AsyncIterator[list[Event]],
    beside: Sequence[int],
    size: int,
) -> AsyncIterator[Segment]:
    """Return the entries of some pages and those `beside` them, each once and in order.

    What stands between them, up to a log's `size`, is there by the roots of whole subtrees. Raises
    `Conflict` where an entry is not what was hashed.
    """
    found = Segment(1)
    waiting, place = list(beside), 0
    async for page in pages:
        upto = page[-1].sequence if page else 0
        due = [one for one in waiting if one <= upto]
        waiting = waiting[len(due) :]
        more = await store.scan(lambda tx, due=due: _read(tx, due)) if due else ()  # type: ignore[misc]
        batch = sorted({event.sequence: event for event in (*more, *page)}.values())
        place = await asyncio.to_thread(_write, found, tiles.reader(size), batch, place)
        await store.scan(lambda tx, into=found, batch=batch: _open(tx, into, batch))  # type: ignore[misc]
        if len(found.lines) > LARGEST:
            yield found
            found = Segment(found.number + 1)
    rest = await store.scan(lambda tx: _read(tx, waiting)) if waiting else []
    place = await asyncio.to_thread(_write, found, tiles.reader(size), rest, place)
    await store.scan(lambda tx: _open(tx, found, rest))
    found.lines += b"".join(_between(tiles.reader(size), place, size))
    yield found


def _write(found: Segment, read: Reader, batch: Sequence[Event], place: int) -> int:
    """Write lines from a place of the tree on; return the place after the last."""
    lines = []
    for event in batch:
        entry = entry_bytes(*event[:9])
        if leaf_of(entry).hex() != event.leaf_hash:
            raise Conflict(
                f"entry {event.sequence} of the ledger is not what was written",
                code="ledger_altered",
                remedy="watchkeeper audit verify",
            )
        lines += _between(read, place, event.sequence - 1)
        lines.append(entry + b"\n")
        found.sequences.append(event.sequence)
        place = event.sequence
    found.lines += b"".join(lines)
    return place


def _between(read: Reader, start: int, end: int) -> list[bytes]:
    """Return lines for the leaves from one to before another: whole subtrees, as large as fit."""
    lines = []
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        root = base64.b64encode(read(height, start >> height))
        lines.append(b"~%d %s\n" % (height, root))
        start += 1 << height
    return lines


def _read(tx: Transaction, sequences: Sequence[int]) -> list[Event]:
    query = select(events).where(events.c.sequence.in_(sequences)).order_by(events.c.sequence)
    return [event_from_row(row) for row in tx.connection.execute(query)]


def _open(tx: Transaction, found: Segment, batch: Sequence[Event]) -> None:
    """Add what entries commit to, as far as it is still there."""
    vault = tx.vault
    named = [value for event in batch for value in commitments_of(event.body_text)]
    for value, one in vault.open(tx, named).items() if named else ():
        if one.text is not None and one.salt is not None:
            found.values[value] = {"text": one.text, "salt": one.salt.hex()}
        else:
            found.values[value] = {"state": one.state}
