"""The Merkle log over a ledger: grows after the events are durable, and is signed at intervals.

Deciding never waits for it: it reads what was committed, writes tiles, signs their root and keeps
the checkpoint. Everything but the keys follows from the rows, and is made anew where it is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Conflict, Invalid, WatchkeeperError
from watchkeeper.ledger import checkpoints as rows
from watchkeeper.ledger.checkpoints import Checkpoint, read_signed
from watchkeeper.ledger.claims import Published
from watchkeeper.ledger.keys import LogKeys
from watchkeeper.ledger.merkle import WIDTH, Edge
from watchkeeper.ledger.notes import Note, NoteKey, read_key
from watchkeeper.ledger.tiles import CHECKPOINT, Tiles, bundle, tile_name
from watchkeeper.store.journal import SELECT_AFTER, entry_bytes, leaf_of
from watchkeeper.store.statement import Row
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

_LOG = logging.getLogger("watchkeeper.ledger.log")
LOOK_SECONDS = 1
"""How often it is looked whether a checkpoint is due: that many at most are made."""
MOST_EVENTS = 256
MOST_SECONDS = 10
IDLE_SECONDS = 3600
_AGAIN_SECONDS = 30
"""How long nothing is tried after it failed."""
_PAGE = 4 * WIDTH
_LOOK = "watchkeeper audit verify"


class Log:
    """One ledger's log. `name` begins its origin, e.g. `prod.watchkeeper/plane-1`."""

    def __init__(self, store: Store, state: Path, name: str) -> None:
        self.store = store
        self.tiles = Tiles(state / "log")
        self.keys = LogKeys(store, state / "signing", name)
        self._turn = asyncio.Lock()
        self._edge: Edge | None = None
        self._entries: list[bytes] = []
        """Those of the tile that is not full."""
        self._waiting_since: int | None = None
        self._filed = False
        """Whether the log's file holds the newest checkpoint."""
        self.last: Row | None = None
        """The newest checkpoint."""
        self.problem: tuple[int, WatchkeeperError] | None = None
        """Since when nothing can be signed, and why."""
        self._again_at = 0

    @property
    def key(self) -> NoteKey:
        """The public half of the key that signs now."""
        return self.keys.signing.public

    async def open(self) -> None:
        """Have a key; the first is made. Raises `Unavailable` if its file can't be used."""
        await self.keys.open()
        known = await self._known(await self.store.read(rows.last_checkpoint))
        if known is not None and known[0].size > self.store.head:
            # at once, before anything is recorded where other entries were
            await self._fork(self._lost(known[0].size), known[0].size)

    async def advance(self, *, now: bool = False) -> Row | None:
        """Make a checkpoint if one is due, or `now` if anything is new; return it.

        Raises `Conflict` where an entry is no longer what was written.
        """
        async with self._turn:
            at = self.store.clock.now()
            if self.problem is not None and at < self._again_at and not now:
                return None
            try:
                made = await self._advance(now)
            except WatchkeeperError as error:
                self.problem = (self.problem[0] if self.problem else at, error)
                self._again_at = at + _AGAIN_SECONDS * MICROSECONDS
                raise
            self.problem = None
            return made

    async def _advance(self, now: bool) -> Row | None:
        edge = self._edge or await self._load()
        await self._file()
        at, new = self.store.clock.now(), self.store.head - (self.last.size if self.last else 0)
        if new and self._waiting_since is None:
            self._waiting_since = at
        waited = at - (self._waiting_since if self._waiting_since is not None else at)
        quiet = self.last is None or at - self.last.at >= IDLE_SECONDS * MICROSECONDS
        enough = new >= MOST_EVENTS or waited >= MOST_SECONDS * MICROSECONDS
        if not ((new and (enough or now)) or (edge.size and quiet)):
            return None
        await self._grow(self.store.head)
        self._waiting_since = None
        return await self._sign()

    async def finish(self, seconds: float) -> None:
        """Sign what is left before the plane ends, if that takes no longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.advance(now=True)

    async def published(self) -> Published | None:
        """Return what the newest checkpoint is; None where there is none yet."""
        with contextlib.suppress(WatchkeeperError):
            await self.advance()
        async with self._turn:
            if self.last is None:
                return None
            return Published(self.last.id, await asyncio.to_thread(self.tiles.read, CHECKPOINT))

    async def rotate(self, *, actor: str, reason: str) -> str:
        """Sign with a new key from now on; return it. It also signs what the old one signed last.

        The private half of the old one is forgotten.
        """
        async with self._turn:
            if self._edge is None:
                await self._load()
            if self.store.head > (self.last.size if self.last is not None else 0):
                await self._grow(self.store.head)
                await self._sign()
            await self.keys.rotate(reason, actor)
            if self.last is not None:
                await self._sign_again(*read_signed(self.last.note))
            return self.key.text()

    async def fork(self, origin: str, reason: str, lost_size: int) -> None:
        """Go on under a new origin: the ledger lacks what was signed under an old one.

        Nothing is done where that is not the present one any more.
        """
        async with self._turn:
            if origin == self.key.name:
                await self._fork(reason, lost_size)

    async def _load(self) -> Edge:
        """Go on from the largest tree that was signed, or fork where the ledger lacks it."""
        last = await self.store.read(rows.last_checkpoint)
        known = await self._known(last)
        if known is None:
            await asyncio.to_thread(self._set_aside)
            self._edge, self._entries, self.last = Edge(), [], None
            return self._edge
        if known[0].size > self.store.head:
            return await self._fork(self._lost(known[0].size), known[0].size)
        edge = await asyncio.to_thread(self._edge_of, known[0])
        if edge is None:
            _LOG.warning("the log's tiles are made anew from the ledger")
            self._edge, self._entries = Edge(), []
            await self._grow(known[0].size)
            edge = self._edge
            if edge.root() != known[0].root:
                why = f"its first {known[0].size} entries are not those that were signed"
                return await self._fork(why, known[0].size)
        else:
            self._edge, self._entries = edge, await self._tail(edge.size)
        self.last = last
        if last is None or last.size < known[0].size:
            _LOG.warning("a checkpoint is not in the store any more; it is put there again")
            await self._keep(*known)
        if self.key not in known[1].signers([self.key]):
            await self._sign_again(*known)
        return edge

    async def _known(self, last: Row | None) -> tuple[Checkpoint, Note] | None:
        """Return the largest checkpoint of this origin that is known here."""
        raw = await asyncio.to_thread(self.tiles.read, CHECKPOINT)
        origin = self.key.name
        keys = [read_key(row.key) for row in await self.store.read(rows.read_keys)]
        found = []
        for text in (last.note if last else None, raw.decode("utf-8", "replace") if raw else None):
            with contextlib.suppress(Invalid):
                checkpoint, note = read_signed(text or "")
                if checkpoint.origin == origin and note.signers(keys):
                    found.append((checkpoint, note))
        return max(found, key=lambda one: one[0].size, default=None)

    def _edge_of(self, known: Checkpoint) -> Edge | None:
        edge = self.tiles.edge(known.size)
        sound = edge is not None and edge.root() == known.root and self.tiles.whole(known.size)
        return edge if sound else None

    async def _tail(self, size: int) -> list[bytes]:
        """Return the entries of the tile that is not full in the tree of a size."""
        first, count = size - size % WIDTH, size % WIDTH
        page = await self._page(first, count) if count else ()
        return [_entry_of(row) for row in page]

    async def _page(self, after: int, limit: int) -> Sequence[Row]:
        return await self.store.scan(lambda tx: SELECT_AFTER.all(tx, after=after, limit=limit))

    async def _grow(self, size: int) -> None:
        """Take the entries up to a size in, and write their tiles."""
        assert self._edge is not None, "it is loaded"
        edge, entries = self._edge, self._entries
        while edge.size < size:
            page = await self._page(edge.size, min(_PAGE, size - edge.size))
            if not page:
                gone = f"entry {edge.size + 1} of the ledger is gone"
                raise Conflict(gone, code="ledger_altered", remedy=_LOOK)
            edge, entries = await asyncio.to_thread(self._take, edge, entries, page)
            self._edge, self._entries = edge, entries
        await asyncio.to_thread(self._write_partial, edge, entries)

    def _take(
        self, edge: Edge, entries: list[bytes], page: Sequence[Row]
    ) -> tuple[Edge, list[bytes]]:
        """Take rows in, and write the tiles that are full with them; return what came of it."""
        edge, entries = edge.copy(), list(entries)
        files, full = [], []
        for row in page:
            entry = _entry_of(row)
            leaf = leaf_of(entry)
            if row.sequence != edge.size + 1 or leaf.hex() != row.leaf_hash:
                altered = f"entry {edge.size + 1} of the ledger is not what was written"
                raise Conflict(altered, code="ledger_altered", remedy=_LOOK)
            entries.append(entry)
            for tile in edge.append(leaf):
                files.append((tile_name(tile.level, tile.number), b"".join(tile.hashes)))
                full.append(tile)
                if tile.level == 0:
                    files.append((tile_name("entries", tile.number), bundle(entries)))
                    entries = []
        self.tiles.write(files)
        for tile in full:
            self.tiles.forget_partial(tile)
        return edge, entries

    def _write_partial(self, edge: Edge, entries: list[bytes]) -> None:
        files = []
        for tile in edge.partial():
            name = tile_name(tile.level, tile.number, len(tile.hashes))
            files.append((name, b"".join(tile.hashes)))
            if tile.level == 0:
                name = tile_name("entries", tile.number, len(entries))
                files.append((name, bundle(entries)))
        self.tiles.write(files)

    async def _sign(self) -> Row:
        """Sign the tree as it stands, and keep the checkpoint."""
        assert self._edge is not None, "it is loaded"
        found = Checkpoint(self.key.name, self._edge.size, self._edge.root())
        return await self._sign_again(found, Note(found.text(), ()))

    async def _sign_again(self, checkpoint: Checkpoint, note: Note) -> Row:
        """Sign what others may have signed before, and keep it with all its signatures."""
        signature = self.keys.sign(note.text)
        signed = Note(note.text, (signature, *note.signatures))
        return await self._keep(checkpoint, signed)

    async def _keep(self, checkpoint: Checkpoint, note: Note) -> Row:
        written = note.write()

        def unit(tx: Transaction) -> Row:
            tx.silent("a checkpoint is about the ledger, and so not in it")
            return rows.add_checkpoint(tx, checkpoint, written)

        self.last, self._filed = await self.store.write(unit), False
        await self._file()
        return self.last

    async def _file(self) -> None:
        """Have the newest checkpoint in the log's file."""
        if self.last is not None and not self._filed:
            raw = self.last.note.encode()
            await asyncio.to_thread(self.tiles.write, [(CHECKPOINT, raw)])
            self._filed = True

    async def _fork(self, reason: str, lost_size: int) -> Edge:
        _LOG.error("the ledger is forked: %s", reason)
        await self.keys.fork(reason, lost_size)
        await asyncio.to_thread(self._set_aside)
        self._edge, self._entries, self.last = Edge(), [], None
        await self._grow(self.store.head)
        await self._sign()
        return self._edge

    def _set_aside(self) -> None:
        """Keep the files of a log with another origin, as evidence of what was signed."""
        with contextlib.suppress(Invalid, OSError):
            raw = self.tiles.read(CHECKPOINT) or b""
            origin = read_signed(raw.decode("utf-8", "replace"))[0].origin
            if origin != self.key.name:
                kept = f"log-{origin.rpartition('/')[2]}"
                self.tiles.directory.rename(self.tiles.directory.with_name(kept))

    def _lost(self, size: int) -> str:
        return f"it ends at {self.store.head}; {size} entries were signed"


def _entry_of(row: Row) -> bytes:
    return entry_bytes(*row[:9])
