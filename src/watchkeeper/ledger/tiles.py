"""The log as plain files (C2SP tlog-tiles): tiles of hashes, bundles of entries, the checkpoint.

All of it follows from the rows, so that what is lost or torn is made anew. A file is written
beside its place, made durable and put there in one step.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from watchkeeper.core.errors import Unavailable
from watchkeeper.core.places import make_private
from watchkeeper.ledger.merkle import WIDTH, Edge, Tile, root_of, widths

HASH = 32
CHECKPOINT = "checkpoint"


def tile_name(level: int | str, index: int, width: int = WIDTH) -> str:
    """Return a tile's path: `tile/0/x001/234`, with `.p/WIDTH` unless it is full.

    The level of entries is `entries`.
    """
    parts = [f"{index % 1000:03}"]
    while index := index // 1000:
        parts.insert(0, f"x{index % 1000:03}")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(parts)}{partial}"


def bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries as a bundle: each after its length in two bytes."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def read_bundle(raw: bytes) -> list[bytes] | None:
    """Return the entries of a bundle; None for what is none."""
    entries, place = [], 0
    while place < len(raw):
        length = int.from_bytes(raw[place : place + 2])
        entry = raw[place + 2 : place + 2 + length]
        if place + 2 > len(raw) or len(entry) < length:
            return None
        entries.append(entry)
        place += 2 + length
    return entries


class Tiles:
    """The files of one log; all of it blocks, briefly: use it in a thread."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes; None if it is not there or cannot be read."""
        try:
            return (self.directory / name).read_bytes()
        except OSError:
            return None

    def write(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write files durably, each whole or not at all; raise `Unavailable`."""
        touched = set()
        try:
            for name, raw in files:
                path = self.directory / name
                if not path.parent.is_dir():
                    make_private(self.directory)
                    touched |= {above for above in path.parents if above.is_relative_to(
                        self.directory)}  # fmt: skip
                    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                fresh = path.with_name(f".{path.name}.new")
                with fresh.open("wb") as file:
                    file.write(raw)
                    file.flush()
                    os.fsync(file.fileno())
                fresh.replace(path)
                touched.add(path.parent)
            for directory in touched:
                _make_durable(directory)
        except OSError as error:
            raise Unavailable(
                f"the log's files cannot be written: {error.strerror}",
                where=str(self.directory),
                remedy="free space on that disk, or fix its permissions",
            ) from None

    def forget_partial(self, tile: Tile) -> None:
        """Remove what stood for a tile before it was full."""
        names = [tile_name(tile.level, tile.number)]
        if tile.level == 0:
            names.append(tile_name("entries", tile.number))
        for name in names:
            directory = self.directory / f"{name}.p"
            with contextlib.suppress(OSError):
                for path in directory.iterdir():
                    path.unlink()
                directory.rmdir()

    def hashes(self, level: int, index: int, size: int) -> Sequence[bytes]:
        """Return the hashes of a tile as it is in the tree of a size; none if it is torn.

        A full tile stands for one that was not full yet.
        """
        width = min(WIDTH, (size >> 8 * level) - index * WIDTH)
        for wide in dict.fromkeys((width, WIDTH)):
            raw = self.read(tile_name(level, index, wide)) if wide > 0 else None
            if raw is not None and len(raw) == wide * HASH:
                return [raw[at : at + HASH] for at in range(0, width * HASH, HASH)]
        return ()

    def edge(self, size: int) -> Edge | None:
        """Return the right edge of the tree of a size; None if a tile of it is missing."""
        levels = []
        for level, width in enumerate(widths(size)):
            index = size >> 8 * (level + 1)
            hashes = self.hashes(level, index, size) if width else ()
            if len(hashes) != width:
                return None
            levels.append(hashes)
        return Edge(size, levels)

    def whole(self, size: int) -> bool:
        """Whether every full tile of the tree of a size is there with its length."""
        for level in range(len(widths(size))):
            for index in range(size >> 8 * (level + 1)):
                for name, least in ((level, WIDTH * HASH), ("entries", 1)):
                    if name == "entries" and level:
                        continue
                    try:
                        found = (self.directory / tile_name(name, index)).stat().st_size
                    except OSError:
                        return False
                    if found < least:
                        return False
        return True

    def reader(self, size: int) -> TreeReader:
        """Return what reads the tree of a size."""
        return TreeReader(self, size)


class TreeReader:
    """Reads roots of perfect subtrees out of tiles; a tile is read once."""

    def __init__(self, tiles: Tiles, size: int) -> None:
        self._tiles = tiles
        self._size = size
        self._read: dict[tuple[int, int], Sequence[bytes]] = {}

    def __call__(self, height: int, index: int) -> bytes:
        """Return the root of a subtree; raise `Unavailable` if its tile is not there."""
        level, above = divmod(height, 8)
        first = index << above
        tile, place = divmod(first, WIDTH)
        hashes = self._read.get((level, tile))
        if hashes is None:
            hashes = self._read[level, tile] = self._tiles.hashes(level, tile, self._size)
        wanted = hashes[place : place + (1 << above)]
        if len(wanted) != 1 << above:
            raise Unavailable(
                "a tile of the log is missing",
                where=tile_name(level, tile),
                remedy="start the plane again: it makes its tiles anew from the ledger",
            )
        return root_of(wanted)


def _make_durable(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
