"""What a signed log proves: trees, proofs, keys and checkpoints (RFC 6962, C2SP)."""

from __future__ import annotations

import base64
import hashlib

from watchkeeper.core.evidence.signatures import Broken, ed25519

_DASH = "\u2014 "


class Tree:
    """The root over leaves and whole subtrees that come in order (RFC 6962)."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []

    def add(self, height: int, found: bytes) -> None:
        """Add the root over the next 2**height leaves; raise `Broken` where none can stand."""
        if self.size & ((1 << height) - 1):
            raise Broken("the entries and what stands between them are no tree")
        self.size += 1 << height
        self._peaks.append((height, found))
        while len(self._peaks) > 1 and self._peaks[-2][0] == self._peaks[-1][0]:
            (_, left), (_, right) = self._peaks[-2:]
            self._peaks[-2:] = [(self._peaks[-1][0] + 1, node_of(left, right))]

    def root(self) -> bytes:
        """Return the root as it stands."""
        found = self._peaks[-1][1] if self._peaks else hashlib.sha256().digest()
        for _, left in self._peaks[-2::-1]:
            found = node_of(left, found)
        return found


def node_of(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node."""
    return hashlib.sha256(b"\1" + left + right).digest()


def included(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """Whether a proof shows that a leaf is in a tree (RFC 9162, 2.1.3.2)."""
    first, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            found = node_of(sibling, found)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            found = node_of(found, sibling)
        first, last = first >> 1, last >> 1
    return 0 <= index < size and last == 0 and found == root


def consistent(old: int, size: int, proof: list[bytes], was: bytes, root: bytes) -> bool:
    """Whether a proof shows that a tree began as an older one (RFC 9162, 2.1.4.2)."""
    if not 0 < old < size:
        return old == size and not proof and was == root
    path = [was, *proof] if old & (old - 1) == 0 else list(proof)
    first, last = old - 1, size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    if not path:
        return False
    left = right = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            left, right = node_of(sibling, left), node_of(sibling, right)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            right = node_of(right, sibling)
        first, last = first >> 1, last >> 1
    return last == 0 and left == was and right == root


class Key:
    """A key that signs notes (C2SP signed-note), as NAME+ID+KEY."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.name, said, coded = self.text.split("+", 2)
        raw = base64.b64decode(coded, validate=True)
        self.kind, self.public = raw[0], raw[1:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + raw).digest()[:4]
        if self.id.hex() != said or self.kind not in (1, 4) or len(self.public) != 32:
            raise Broken("a key reads NAME+ID+KEY, all on one line")


class Checkpoint:
    """A signed note of a log's origin, size and root."""

    def __init__(self, note: str) -> None:
        self.text, parted, lines = note.rpartition("\n\n")
        self.text += "\n"
        self.origin, size, root = self.text.split("\n")[:3]
        self.size, self.root = int(size), base64.b64decode(root, validate=True)
        if not parted or self.text != f"{self.origin}\n{self.size}\n{root}\n":
            raise Broken("this is no checkpoint")
        self.signatures = []
        for line in lines.splitlines()[:64]:
            name, _, coded = line[len(_DASH) :].partition(" ")
            self.signatures.append((name, base64.b64decode(coded, validate=True)))

    def signed_by(self, key: Key) -> bool:
        """Whether a key signed it; raise `Broken` if a signature only says so."""
        for name, raw in self.signatures:
            if name != key.name or raw[:4] != key.id:
                continue
            signed, made = self.text.encode(), raw[4:]
            if key.kind == 4:
                seconds = int.from_bytes(made[:8], "big")
                signed, made = f"cosignature/v1\ntime {seconds}\n{self.text}".encode(), made[8:]
            if not ed25519(key.public, made, signed):
                raise Broken(f"the signature of {key.name} on a checkpoint is not its key's")
            return True
        return False


def hashes_of(lines: list[str]) -> list[bytes]:
    """Return hashes out of base64; raise `Broken` for anything else."""
    found = [base64.b64decode(one, validate=True) for one in lines]
    if len(found) > 63 or any(len(one) != 32 for one in found):
        raise Broken("a proof is malformed")
    return found
