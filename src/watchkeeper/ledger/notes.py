"""Signed notes, Ed25519 keys for them and cosignatures (C2SP signed-note, tlog-cosignature).

A note is a text that ends with a newline, an empty line, and a line for each signature. Whatever
comes from elsewhere is bounded before it is read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from watchkeeper.core.errors import Invalid

SIGNATURE: Literal[1] = 1
"""Type of a plain Ed25519 signature over the note's text."""
COSIGNATURE: Literal[4] = 4
"""Type of a witness's Ed25519 signature with its time."""
LARGEST_NOTE = 64 * 1024
MOST_SIGNATURES = 64
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIZES = {SIGNATURE: 64, COSIGNATURE: 72}
_DASH = "\u2014 "


@dataclass(frozen=True, slots=True)
class NoteKey:
    """The public half of a key that signs notes, by its name and what it signs."""

    name: str
    kind: Literal[1, 4]
    public: bytes

    @property
    def id(self) -> bytes:
        """Four bytes by which a signature says which key made it."""
        named = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(named).digest()[:4]

    def text(self) -> str:
        """Return it as a verifier key: name, id and public key."""
        public = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{public}"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of a note: who says they made it, and its bytes."""

    name: str
    id: bytes
    raw: bytes

    def line(self) -> str:
        """Return it as a line of a note."""
        return f"{_DASH}{self.name} {base64.b64encode(self.id + self.raw).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures, of which nothing is believed before `signers` looked."""

    text: str
    signatures: tuple[Signature, ...]

    def write(self) -> str:
        """Return the whole note."""
        return f"{self.text}\n{''.join(one.line() for one in self.signatures)}"

    def signers(self, keys: Iterable[NoteKey]) -> list[NoteKey]:
        """Return the known keys that signed.

        Raises `Invalid` if a signature that names a known key is none of it.
        """
        known = {(key.name, key.id): key for key in keys}
        found = []
        for signature in self.signatures:
            key = known.get((signature.name, signature.id))
            if key is None:
                continue
            if not _made_by(key, signature, self.text):
                raise Invalid(f"the signature of {key.name} is none of its key's")
            if key not in found:
                found.append(key)
        return found


def sign(private: Any, name: str, text: str) -> Signature:
    """Sign a note's text with an Ed25519 private key under a name."""
    key = public_of(private, name)
    return Signature(name, key.id, private.sign(text.encode()))


def cosign(private: Any, name: str, text: str, seconds: int) -> Signature:
    """Sign, as a witness, that a checkpoint is the largest seen at a time."""
    key = public_of(private, name, COSIGNATURE)
    raw = private.sign(_cosigned(text, seconds))
    return Signature(name, key.id, struct.pack(">Q", seconds) + raw)


def public_of(private: Any, name: str, kind: Literal[1, 4] = SIGNATURE) -> NoteKey:
    """Return the public half of a private key under a name; raise `Invalid` for a bad name."""
    if not _NAME.fullmatch(name):
        raise Invalid("a key's name has 1 to 200 characters, no space and no +", where="name")
    return NoteKey(name, kind, private.public_key().public_bytes_raw())


def read_key(text: str) -> NoteKey:
    """Return the key that a verifier key names; raise `Invalid` for anything else."""
    try:
        name, id_, coded = text.strip().split("+", 2)
        raw = base64.b64decode(coded, validate=True)
        if _NAME.fullmatch(name) and len(raw) == 33 and raw[0] in _SIZES:
            key = NoteKey(name, raw[0], raw[1:])  # type: ignore[arg-type]
            if key.id.hex() == id_:
                return key
    except (ValueError, binascii.Error):
        pass
    raise Invalid(
        "not a verifier key", where=text[:60], remedy="it reads NAME+ID+KEY, all on one line"
    )


def read_note(text: str) -> Note:
    """Read a note; raise `Invalid` for what is none."""
    if len(text) > LARGEST_NOTE:
        raise Invalid(f"a note has at most {LARGEST_NOTE} bytes")
    body, parted, lines = text.rpartition("\n\n")
    if not parted or not lines.endswith("\n") or _CONTROLS.search(text):
        raise Invalid("this is no signed note")
    return Note(body + "\n", read_signatures(lines))


def read_signatures(text: str) -> tuple[Signature, ...]:
    """Read lines of signatures; raise `Invalid` for anything else."""
    lines = text.removesuffix("\n").split("\n")
    if not 0 < len(lines) <= MOST_SIGNATURES:
        raise Invalid(f"a note has 1 to {MOST_SIGNATURES} signatures")
    return tuple(_read_signature(line) for line in lines)


def _read_signature(line: str) -> Signature:
    name, parted, coded = line.removeprefix(_DASH).partition(" ")
    try:
        raw = base64.b64decode(coded, validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if not line.startswith(_DASH) or not parted or not _NAME.fullmatch(name) or len(raw) < 5:
        raise Invalid("a line of the note is no signature")
    found = Signature(name, raw[:4], raw[4:])
    # the last digit may have bits to spare: only one way to write a signature is taken
    if found.line() != f"{line}\n":
        raise Invalid("a line of the note is no signature")
    return found


def _made_by(key: NoteKey, signature: Signature, text: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(signature.raw) != _SIZES[key.kind]:
        return False
    signed, raw = text.encode(), signature.raw
    if key.kind == COSIGNATURE:
        signed, raw = _cosigned(text, struct.unpack(">Q", raw[:8])[0]), raw[8:]
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(raw, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def write_hashes(hashes: Sequence[bytes]) -> str:
    """Return hashes as lines of base64."""
    return "".join(f"{base64.b64encode(one).decode()}\n" for one in hashes)


def read_hash(line: str) -> bytes:
    """Return the SHA-256 hash of a line of base64; raise `Invalid` for anything else."""
    try:
        raw = base64.b64decode(line, validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    # the last digit has bits to spare: only one way to write a hash is taken
    if len(raw) != 32 or base64.b64encode(raw).decode() != line:
        raise Invalid("a line is no SHA-256 hash in base64")
    return raw
