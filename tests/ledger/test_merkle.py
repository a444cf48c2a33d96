"""Roots and proofs against a naive tree, and against the vectors of Certificate Transparency."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.ledger.merkle import (
    EMPTY,
    WIDTH,
    Edge,
    consistency_proof,
    consistent,
    included,
    inclusion_proof,
    node_of,
    root_of,
)
from watchkeeper.store.journal import leaf_of

MOST = 300
LEAVES = [hashlib.sha256(number.to_bytes(2)).digest() for number in range(MOST)]


def naive(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962, 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_of(naive(leaves[:split]), naive(leaves[split:]))


ROOTS = [naive(LEAVES[:size]) for size in range(MOST + 1)]


def read(height: int, index: int) -> bytes:
    start = index << height
    assert start + (1 << height) <= MOST
    return naive(LEAVES[start : start + (1 << height)])


def test_roots_of_every_size() -> None:
    edge = Edge()
    for size in range(MOST + 1):
        assert edge.root() == root_of(LEAVES[:size]) == ROOTS[size]
        if size < MOST:
            full = edge.append(LEAVES[size])
            assert [tile.level for tile in full] == ([0] if size + 1 == WIDTH else [])


def test_two_levels_are_full_together() -> None:
    edge = Edge(WIDTH**2 - 1, [LEAVES[:255], LEAVES[:255]])
    levels = [(tile.level, tile.number) for tile in edge.append(LEAVES[255])]
    assert levels == [(0, 255), (1, 0)]
    assert [(tile.level, len(tile.hashes)) for tile in edge.partial()] == [(2, 1)]


@given(st.data())
def test_every_leaf_is_proven(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, MOST))
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(read, index, size)
    assert included(LEAVES[index], index, size, proof, ROOTS[size])
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index) | st.just(MOST))
    assert not included(LEAVES[index], other, size, proof, ROOTS[size])
    assert not included(LEAVES[index - 1], index, size, proof, ROOTS[size])
    _none_altered(data, proof, lambda bad: included(LEAVES[index], index, size, bad, ROOTS[size]))


@given(st.data())
def test_every_pair_of_sizes_is_consistent(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, MOST))
    old = data.draw(st.integers(0, size))
    proof = consistency_proof(read, old, size)
    assert consistent(old, size, proof, ROOTS[old], ROOTS[size])
    forged = hashlib.sha256(b"forged").digest()
    assert not consistent(old, size, proof, forged, ROOTS[size])
    assert not consistent(old, size, proof, ROOTS[old], forged) or old == 0
    _none_altered(data, proof, lambda bad: consistent(old, size, bad, ROOTS[old], ROOTS[size]))


@pytest.mark.parametrize("size", [*range(1, 34), 255, 256, 257, MOST])
def test_all_proofs_of_some_sizes(size: int) -> None:
    for index in range(0, size, 1 if size < 40 else 7):
        proof = inclusion_proof(read, index, size)
        assert included(LEAVES[index], index, size, proof, ROOTS[size])
        proof = consistency_proof(read, index, size)
        assert consistent(index, size, proof, ROOTS[index], ROOTS[size])


def _none_altered(data: st.DataObject, proof: list[bytes], accepts: object) -> None:
    assert callable(accepts)
    assert not accepts([*proof, LEAVES[0]])
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        bit = data.draw(st.integers(0, 255))
        flipped = (int.from_bytes(proof[place]) ^ (1 << bit)).to_bytes(32)
        assert not accepts([*proof[:place], flipped, *proof[place + 1 :]])
        assert not accepts(proof[:place] + proof[place + 1 :])
        assert not accepts(proof[:-1])


CT_LEAVES = [
    b"", b"\0", b"\x10", b" !", b"01", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno",
]  # fmt: skip
CT_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""Of the reference tests of certificate-transparency, for the first one to eight leaves."""


def test_the_reference_roots() -> None:
    leaves = [leaf_of(entry) for entry in CT_LEAVES]
    assert [root_of(leaves[: n + 1]).hex() for n in range(8)] == list(CT_ROOTS)
    assert root_of([]) == EMPTY
    # PATH(0, D[8]) and PROOF(6, D[8]) of the same
    path = ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"]  # fmt: skip

    def subtree(height: int, index: int) -> bytes:
        return root_of(leaves[index << height : (index + 1) << height])

    assert [one.hex() for one in inclusion_proof(subtree, 0, 8)] == path
    grown = consistency_proof(subtree, 6, 8)
    assert [one.hex() for one in grown] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert consistent(6, 8, grown, root_of(leaves[:6]), root_of(leaves))


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(read, index, size)
    assert not included(LEAVES[0], index, size, [], ROOTS[3])
