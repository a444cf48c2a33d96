"""The file that a bundle is: a tar of which every byte is accounted for, read where it stands."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any, BinaryIO

from watchkeeper.core.evidence.signatures import Broken

FORMAT = "watchkeeper-evidence/1"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:watchkeeper:evidence:1"
PAYLOAD = "application/vnd.in-toto+json"
VOTES = "watchkeeper-vote@watchkeeper"
MANIFEST, ENVELOPE = "manifest.json", "manifest.dsse.json"
LARGEST_SMALL = 64 << 20
"""Bytes of the largest member that is read whole; entries are read line by line."""
MOST_MEMBERS = 200_000
_BLOCK = 512
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){0,4}")


def tar_header(name: str, size: int) -> bytes:
    """Return the only header that a member of a bundle may have (ustar)."""
    fields = (
        name.encode().ljust(100, b"\0"), b"0000644\0", b"0000000\0", b"0000000\0",
        b"%011o\0" % size, b"00000000000\0", b" " * 8, b"0", bytes(100), b"ustar\x0000",
        bytes(64), b"0000000\0", b"0000000\0", bytes(167),
    )  # fmt: skip
    raw = b"".join(fields)
    return raw[:148] + b"%06o\0 " % sum(raw) + raw[156:]


def tar_member(name: str, raw: bytes) -> bytes:
    """Return a member with its header, filled up to whole blocks."""
    return tar_header(name, len(raw)) + raw + bytes(-len(raw) % _BLOCK)


def tar_end() -> bytes:
    """Return what ends a bundle."""
    return bytes(2 * _BLOCK)


def pae(kind: str, body: bytes) -> bytes:
    """Return what a DSSE signature is over."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(body), body)


def envelope_of(payload: bytes, key: str, signature: bytes) -> bytes:
    """Return the only DSSE envelope that a payload with one signature may have here."""
    signed = {"keyid": key, "sig": base64.b64encode(signature).decode()}
    envelope = {"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD}
    return json.dumps({**envelope, "signatures": [signed]}, separators=(",", ":")).encode()


def read_json(raw: bytes) -> Any:
    """Return JSON that everybody reads alike; raise `ValueError` for anything else."""
    return json.loads(raw.decode(), object_pairs_hook=_object, parse_constant=_refuse)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice in one object")
    return found


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


class Bundle:
    """The members of a bundle, read where they stand; every byte of the file is accounted for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.members: dict[str, tuple[int, int]] = {}
        self.listed: dict[str, Any] = {}
        at = 0
        while True:
            header = self._at(at, _BLOCK)
            if header == bytes(_BLOCK):
                break
            if header[257:262] != b"ustar":
                raise Broken("this is no evidence bundle, or not all of one")
            name = header[:100].rstrip(b"\0").decode("ascii")
            size = int(header[124:135], 8)
            if header != tar_header(name, size) or not _NAME.fullmatch(name) or len(name) > 100:
                raise Broken(f"the member at byte {at} is none that a bundle has")
            if name in self.members or len(self.members) >= MOST_MEMBERS:
                raise Broken(f"{name} is there twice, or there are too many members")
            self.members[name] = (at + _BLOCK, size)
            end = at + _BLOCK + size
            at = end + -end % _BLOCK
            if self._at(end, at - end).strip(b"\0"):
                raise Broken(f"there is something behind {name}")
        if self._at(at, 3 * _BLOCK) != bytes(2 * _BLOCK):
            raise Broken("the file does not end where its last member does")

    def _at(self, place: int, size: int) -> bytes:
        self._file.seek(place)
        return self._file.read(size)

    def read(self, name: str, most: int = LARGEST_SMALL) -> bytes:
        """Return a member's bytes as the manifest has them; raise `Broken`."""
        if name not in self.members:
            raise Broken(f"{name} is missing")
        place, size = self.members[name]
        if size > most:
            raise Broken(f"{name} is larger than {most} bytes")
        raw = self._at(place, size)
        wanted = self.listed.get(name)
        if name not in (MANIFEST, ENVELOPE) and (
            wanted is None or wanted["sha256"] != hashlib.sha256(raw).hexdigest()
        ):
            raise Broken(f"{name} is not what the manifest says")
        return raw

    def json(self, name: str) -> Any:
        """Return a member as JSON."""
        return read_json(self.read(name))

    def under(self, directory: str) -> list[str]:
        """Return the members in a directory, by name."""
        return sorted(one for one in self.members if one.startswith(directory + "/"))
