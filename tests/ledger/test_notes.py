"""Signed notes as C2SP has them: its own example, and whatever is none."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import Invalid
from watchkeeper.ledger.checkpoints import Checkpoint, read_checkpoint, read_signed
from watchkeeper.ledger.notes import (
    COSIGNATURE,
    Note,
    cosign,
    public_of,
    read_key,
    read_note,
    sign,
)
from watchkeeper.ledger.tiles import bundle, read_bundle, tile_name

EXAMPLE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuw"
    "HjG1Yu72IneyaQM=\n"
)
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TEXT = Checkpoint("a.example/log", 7, bytes(32)).text()
SIGNED = Note(TEXT, (sign(PRIVATE, "a.example/log", TEXT),)).write()


def test_the_example_of_the_specification() -> None:
    key = read_key(EXAMPLE_KEY)
    assert key.text() == EXAMPLE_KEY
    note = read_note(EXAMPLE)
    assert note.signers([key]) == [key]
    assert note.write() == EXAMPLE


def test_the_example_of_a_cosignature() -> None:
    """The message of tlog-cosignature: header, time, and the checkpoint as it was signed."""
    cosigned = cosign(PRIVATE, "w.example", TEXT, 1_679_315_147)
    key = public_of(PRIVATE, "w.example", COSIGNATURE)
    note = Note(TEXT, (cosigned,))
    assert note.signers([key]) == [key]
    assert cosigned.raw[:8] == (1_679_315_147).to_bytes(8)
    message = f"cosignature/v1\ntime 1679315147\n{TEXT}".encode()
    PRIVATE.public_key().verify(cosigned.raw[8:], message)
    # the same public key as a log's is another key
    assert note.signers([public_of(PRIVATE, "w.example")]) == []


@given(st.data())
def test_no_altered_byte_is_signed(data: st.DataObject) -> None:
    key = public_of(PRIVATE, "a.example/log")
    raw = bytearray(SIGNED.encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        checkpoint, note = read_signed(raw.decode("utf-8", "replace"))
        known = note.signers([key])
    except Invalid:
        return
    assert not known or checkpoint.text() == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "a\n", TEXT, TEXT + "\n", f"{TEXT}\nno signature\n", f"{TEXT}\n— a.example/log\n",
        f"{TEXT}\n— a.example/log AAAA\n", SIGNED.rstrip("\n"), SIGNED.replace("7", "7\t"),
        SIGNED[:-3] + chr(ord(SIGNED[-3]) ^ 1) + "=\n",
        TEXT + "\n" + "— a AAAAAAAAAA==\n" * 65, "x" * 70_000 + "\n\n— a AAAAAAAAAA==\n",
    ],
)  # fmt: skip
def test_what_is_no_note(text: str) -> None:
    with pytest.raises(Invalid):
        read_note(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "a\n1\n", "\n1\nAAAA\n", f"a\n01\n{base64.b64encode(bytes(32)).decode()}\n",
        f"a\n-1\n{base64.b64encode(bytes(32)).decode()}\n", "a\n1\nAAAA\n",
        f"a\n1\n{base64.b64encode(bytes(32)).decode()}\nmore\n",
        f"a\n1\n{base64.b64encode(bytes(33)).decode()}\n",
        f"a\n1\n{base64.b64encode(bytes(32)).decode()[:-2]}B=\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(Invalid):
        read_checkpoint(text)


@pytest.mark.parametrize(
    "text", ["", "a", "a+b+c", EXAMPLE_KEY.replace("53", "54"), EXAMPLE_KEY.replace("foo", "bar")]
)
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(Invalid):
        read_key(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "x" * 201])
def test_names_that_no_key_has(name: str) -> None:
    with pytest.raises(Invalid):
        sign(PRIVATE, name, TEXT)


def test_paths_of_tiles() -> None:
    assert tile_name(0, 1_234_067) == "tile/0/x001/x234/067"
    assert tile_name(1, 5, 17) == "tile/1/005.p/17"
    assert tile_name("entries", 1000) == "tile/entries/x001/000"


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 5))
def test_bundles_give_their_entries(entries: list[bytes], cut: int) -> None:
    raw = bundle(entries)
    assert read_bundle(raw) == entries
    if 0 < cut < len(raw):
        assert read_bundle(raw[:-cut]) != entries
