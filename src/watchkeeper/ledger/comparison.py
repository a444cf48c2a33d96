"""The log's files put beside what the rows give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from watchkeeper.ledger.merkle import WIDTH, Edge, Tile
from watchkeeper.ledger.tiles import HASH, Tiles, bundle, read_bundle, tile_name


class Difference(NamedTuple):
    """A file of the log that is not what the rows give, from an entry on; or is not there."""

    name: str
    sequence: int
    missing: bool


class Comparison:
    """Holds each file against the rows while they are read; the first difference is kept."""

    def __init__(self, tiles: Tiles, logged: int) -> None:
        self._tiles = tiles
        self._logged = logged
        self.found: Difference | None = None

    def full(self, tile: Tile, entries: Sequence[bytes]) -> None:
        """Compare a tile that is full, and the bundle of its entries."""
        if (tile.number + 1) * WIDTH ** (tile.level + 1) > self._logged:
            return
        self._compare(tile, tile.hashes, WIDTH)
        if tile.level == 0:
            self._compare_entries(tile.number, entries, WIDTH)

    def partial(self, edge: Edge, entries: Sequence[bytes]) -> None:
        """Compare what stands for the tiles that are not full, in the tree with an edge.

        Only the newest must be there: tiles that were made anew lack those of older trees.
        """
        newest = edge.size == self._logged
        for tile in edge.partial():
            if newest or tile.number == self._logged >> 8 * (tile.level + 1):
                self._compare(tile, tile.hashes, len(tile.hashes), must=newest)
                if tile.level == 0:
                    self._compare_entries(tile.number, entries, len(entries), must=newest)

    def locate(self, edge: Edge) -> Difference | None:
        """Return from where on the rows are not what the log's files have, if that is so."""
        for tile in edge.partial()[:1]:
            kept = self._tiles.hashes(0, tile.number, self._logged)[: len(tile.hashes)]
            first = _first_difference(kept, tile.hashes)
            if tile.level == 0 and first < len(kept):
                name = tile_name(0, tile.number)
                self._tell(name, tile.number * WIDTH + first + 1, missing=False)
        return self.found

    def _compare(
        self, tile: Tile, hashes: Sequence[bytes], width: int, *, must: bool = True
    ) -> None:
        name, raw = self._read(tile.level, tile.number, width, HASH * width)
        if raw == b"".join(hashes) or (raw is None and not must):
            return
        first = 0
        if raw is not None:
            kept = [raw[at : at + HASH] for at in range(0, len(raw), HASH)]
            first = _first_difference(kept, hashes)
        leaf = (tile.number * WIDTH + min(first, width - 1)) * WIDTH**tile.level
        self._tell(name, leaf + 1, missing=raw is None)

    def _compare_entries(
        self, index: int, entries: Sequence[bytes], width: int, *, must: bool = True
    ) -> None:
        wanted = bundle(entries)
        name, raw = self._read("entries", index, width, len(wanted))
        if raw == wanted or (raw is None and not must):
            return
        first = _first_difference(read_bundle(raw or b"") or (), entries)
        self._tell(name, index * WIDTH + min(first, width - 1) + 1, missing=raw is None)

    def _read(
        self, level: int | str, index: int, width: int, length: int
    ) -> tuple[str, bytes | None]:
        """Return a file's name and bytes; a full one stands for what it took the place of."""
        name = tile_name(level, index, width)
        raw = self._tiles.read(name)
        if raw is None and width < WIDTH:
            full = self._tiles.read(tile_name(level, index))
            return name, full[:length] if full is not None else None
        return name, raw

    def _tell(self, name: str, sequence: int, *, missing: bool) -> None:
        if self.found is None:
            self.found = Difference(name, sequence, missing)


def _first_difference(kept: Sequence[bytes], given: Sequence[bytes]) -> int:
    for number, (one, other) in enumerate(zip(kept, given, strict=False)):
        if one != other:
            return number
    return min(len(kept), len(given))
