"""Merkle trees of RFC 6962: roots, inclusion and consistency proofs, and the growing right edge.

A leaf's hash is SHA-256 over a zero byte and the entry (`store.journal.leaf_of`), a node's over a
one byte and its two children. Verifying follows RFC 9162, 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

WIDTH = 256
"""Hashes of a full tile (C2SP tlog-tiles)."""
MOST_HASHES = 63
"""Hashes of the longest proof that anybody has to take."""
EMPTY = sha256().digest()

Reader = Callable[[int, int], bytes]
"""Returns the root of the perfect subtree of 2**height leaves that is the n-th of that height."""


def node_of(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node."""
    return sha256(b"\1" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over the roots of neighbouring subtrees, of which the last may be less."""
    if not hashes:
        return EMPTY
    level = list(hashes)
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [node_of(*pair) for pair in zip(level[::2], level[1::2], strict=False)] + odd
    return level[0]


def inclusion_proof(read: Reader, index: int, size: int) -> list[bytes]:
    """Return what proves that the leaf at an index is in the tree of a size."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_root(read, middle, end))
            end = middle
        else:
            path.append(_range_root(read, start, middle))
            start = middle
    return path[::-1]


def consistency_proof(read: Reader, old: int, size: int) -> list[bytes]:
    """Return what proves that the tree of a size begins with the one of an older size."""
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {size} leaves never had {old}")
    if old in (0, size):
        return []
    start, end, path = 0, size, []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range_root(read, middle, end))
            end = middle
        else:
            path.append(_range_root(read, start, middle))
            start = middle
    if start:
        path.append(_range_root(read, start, end))
    return path[::-1]


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof shows that a leaf stands at an index of the tree with a root."""
    if not 0 <= index < size or len(proof) > MOST_HASHES:
        return False
    first, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if first % 2 or first == last:
            found = node_of(sibling, found)
            while first % 2 == 0 and first:
                first, last = first >> 1, last >> 1
        else:
            found = node_of(found, sibling)
        first, last = first >> 1, last >> 1
    return last == 0 and found == root


def consistent(old: int, size: int, proof: Sequence[bytes], old_root: bytes, root: bytes) -> bool:
    """Whether a proof shows that the tree with a root began as the one with an older root."""
    if not 0 <= old <= size or len(proof) > MOST_HASHES:
        return False
    if old == size:
        return not proof and old_root == root
    if old == 0:
        return not proof and old_root == EMPTY
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    first, last = old - 1, size - 1
    while first % 2:
        first, last = first >> 1, last >> 1
    was = now = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if first % 2 or first == last:
            was, now = node_of(sibling, was), node_of(sibling, now)
            while first % 2 == 0 and first:
                first, last = first >> 1, last >> 1
        else:
            now = node_of(now, sibling)
        first, last = first >> 1, last >> 1
    return last == 0 and was == old_root and now == root


class Tile(NamedTuple):
    """Up to 256 neighbouring hashes of one level; those of level L are over 256**L leaves."""

    level: int
    number: int
    hashes: tuple[bytes, ...]


class Edge:
    """The right edge of a growing tree: of each level, the tile that is not full yet."""

    __slots__ = ("_peaks", "levels", "size")

    def __init__(self, size: int = 0, levels: Iterable[Sequence[bytes]] = ()) -> None:
        self.size = size
        self.levels = [list(level) for level in levels] or [[]]
        self._peaks = [peak for level in self.levels[::-1] for peak in _peaks_of(level)]
        """Roots of the perfect subtrees that the tree is made of, the largest first."""

    def copy(self) -> Edge:
        """Return another with the same hashes."""
        return Edge(self.size, self.levels)

    def append(self, leaf: bytes) -> tuple[Tile, ...]:
        """Add a leaf's hash; return the tiles that are full with it."""
        self.size = rest = self.size + 1
        self.levels[0].append(leaf)
        peaks, height = self._peaks, 0
        full: tuple[Tile, ...] = ()
        while not rest & 1:
            leaf = sha256(b"\1" + peaks.pop() + leaf).digest()
            rest >>= 1
            height += 1
            if not height & 7:
                full += (self._fill(height >> 3, rest, leaf),)
        peaks.append(leaf)
        return full

    def _fill(self, above: int, count: int, root: bytes) -> Tile:
        """Begin another tile below a level, where the root of the full one stands now."""
        hashes = self.levels[above - 1]
        tile = Tile(above - 1, count - 1, tuple(hashes))
        hashes.clear()
        if above == len(self.levels):
            self.levels.append([])
        self.levels[above].append(root)
        return tile

    def partial(self) -> list[Tile]:
        """Return the tiles that are not full and not empty."""
        return [
            Tile(level, self.size >> 8 * (level + 1), tuple(hashes))
            for level, hashes in enumerate(self.levels)
            if hashes
        ]

    def root(self) -> bytes:
        """Return the root of the tree as it stands."""
        return _joined(self._peaks) if self._peaks else EMPTY


def widths(size: int) -> list[int]:
    """Return how many hashes the tile that is not full has at each level of a tree."""
    found = []
    while size:
        found.append(size % WIDTH)
        size //= WIDTH
    return found


def _split(leaves: int) -> int:
    """Return the largest power of two below a number of leaves."""
    return 1 << (leaves - 1).bit_length() - 1


def _range_root(read: Reader, start: int, end: int) -> bytes:
    """Return the root over leaves from `start`, which is where such a subtree may begin."""
    peaks = []
    while start < end:
        height = (end - start).bit_length() - 1
        peaks.append(read(height, start >> height))
        start += 1 << height
    return _joined(peaks)


def _joined(peaks: Sequence[bytes]) -> bytes:
    """Return the root over perfect subtrees, each smaller than the one before."""
    found = peaks[-1]
    for peak in peaks[-2::-1]:
        found = node_of(peak, found)
    return found


def _peaks_of(hashes: Sequence[bytes]) -> Iterator[bytes]:
    """Return the roots of the perfect subtrees that neighbouring hashes are made of."""
    start = 0
    for height in range(len(hashes).bit_length() - 1, -1, -1):
        if len(hashes) >> height & 1:
            yield root_of(hashes[start : start + (1 << height)])
            start += 1 << height
