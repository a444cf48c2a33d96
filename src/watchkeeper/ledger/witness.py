"""A witness (C2SP tlog-witness): cosigns what follows from the last that it saw of a log.

What it saw is durable before it answers; one process at a time uses its directory.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.core.errors import Invalid
from watchkeeper.core.places import make_private
from watchkeeper.ledger.checkpoints import Checkpoint, read_signed
from watchkeeper.ledger.merkle import EMPTY, MOST_HASHES, consistent
from watchkeeper.ledger.notes import COSIGNATURE, Note, NoteKey, cosign, public_of, read_hash

LARGEST = 128 * 1024
"""Bytes of the largest request that is read."""
_OLD = re.compile(r"old (0|[1-9][0-9]{0,15})")
_PATH = re.compile(r"/([0-9a-f]{64})/checkpoint")
_TEXT = "text/plain; charset=utf-8"


class Reply(NamedTuple):
    """What is answered."""

    status: int
    body: str = ""
    type: str = _TEXT


class Witness:
    """Cosigns for the logs whose keys it is given; `directory` holds what it saw of each."""

    def __init__(self, name: str, private: Any, logs: Sequence[NoteKey], directory: Path) -> None:
        self.key = public_of(private, name, COSIGNATURE)
        self._private = private
        self._logs: dict[str, list[NoteKey]] = {}
        for key in logs:
            self._logs.setdefault(key.name, []).append(key)
        self._directory = directory
        make_private(directory)

    def show(self, path: str) -> Reply:
        """Answer `GET /<origin hash>/checkpoint`."""
        found = _PATH.fullmatch(path)
        try:
            text = (self._directory / found[1]).read_text("utf-8") if found else ""
        except OSError:
            text = ""
        return Reply(200, text) if text else Reply(404)

    def add(self, raw: bytes, seconds: int) -> Reply:
        """Answer `POST /add-checkpoint` at a time."""
        try:
            old, proof, checkpoint, note = _read(raw)
        except (Invalid, UnicodeDecodeError) as error:
            return Reply(400, f"{error.message if isinstance(error, Invalid) else error}\n")
        keys = self._logs.get(checkpoint.origin)
        if keys is None:
            return Reply(404, "the log is not known here\n")
        try:
            signed = note.signers(keys)
        except Invalid:
            signed = []
        if not signed:
            return Reply(403, "no key that is known here signed it\n")
        if old > checkpoint.size:
            return Reply(400, "the old size is the larger one\n")
        seen = self._seen(checkpoint.origin)
        if old != seen.size:
            return Reply(409, f"{seen.size}\n", "text/x.tlog.size")
        if not consistent(old, checkpoint.size, proof, seen.root, checkpoint.root) or (
            not checkpoint.size and checkpoint.root != EMPTY
        ):
            return Reply(422, "it does not follow from what was seen before\n")
        cosigned = cosign(self._private, self.key.name, note.text, seconds)
        known = {(key.name, key.id) for key in signed}
        kept = [one for one in note.signatures if (one.name, one.id) in known]
        self._keep(checkpoint.origin, Note(note.text, (*kept, cosigned)).write())
        return Reply(200, cosigned.line())

    def _seen(self, origin: str) -> Checkpoint:
        """Return the last that was cosigned; raise `Invalid` if its file is none any more."""
        path = self._file(origin)
        if not path.exists():
            return Checkpoint(origin, 0, EMPTY)
        checkpoint, note = read_signed(path.read_text("utf-8"))
        if not note.signers([self.key]) or checkpoint.origin != origin:
            raise Invalid("what was seen last cannot be read", where=str(path))
        return checkpoint

    def _keep(self, origin: str, text: str) -> None:
        path = self._file(origin)
        fresh = path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _file(self, origin: str) -> Path:
        return self._directory / hashlib.sha256(origin.encode()).hexdigest()


def _read(raw: bytes) -> tuple[int, list[bytes], Checkpoint, Note]:
    head, parted, text = raw.decode().partition("\n\n")
    lines = head.split("\n")
    old = _OLD.fullmatch(lines[0])
    if not parted or old is None or len(lines) > MOST_HASHES + 1:
        raise Invalid("a request begins with `old SIZE`, then at most 63 hashes and an empty line")
    return int(old[1]), [read_hash(line) for line in lines[1:]], *read_signed(text)
