"""An append-only file elsewhere: another disk, another account, a share that only takes more."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from watchkeeper.core.clock import utc_text
from watchkeeper.core.errors import Conflict, Invalid, Unavailable
from watchkeeper.ledger.anchors.model import Ahead, Held, Publishing, Receipt
from watchkeeper.ledger.checkpoints import read_signed
from watchkeeper.ledger.notes import LARGEST_NOTE, NoteKey

_BEGIN = "--- checkpoint "


class FileAnchor:
    """Appends signed checkpoints to a file, each after a line that says which and when."""

    kind = "file"
    every_seconds = 60

    def __init__(self, path: Path) -> None:
        self._path = path
        self.place = str(path)

    async def publish(self, one: Publishing) -> str:
        """Append a checkpoint durably."""
        await asyncio.to_thread(self._append, one)
        return ""

    async def held(self, keys: Sequence[NoteKey], receipts: Sequence[Receipt]) -> list[Held]:
        """Return every checkpoint in the file, oldest first."""
        try:
            raw = await asyncio.to_thread(self._path.read_bytes)
        except FileNotFoundError:
            if receipts:
                raise Unavailable("the file is gone", where=self.place) from None
            return []
        except OSError as error:
            raise _unavailable(error, self.place) from None
        notes = _notes(raw.decode("utf-8", "replace"))
        if receipts and receipts[0].note not in notes:
            raise Conflict("the file has not what was appended last: it was altered, or put back")
        return [
            Held(f"checkpoint {number} of {self.place}", note)
            for number, note in enumerate(notes, 1)
        ]

    def _append(self, one: Publishing) -> None:
        text = f"{_BEGIN}{one.number} at {utc_text(one.at)}\n{one.note}"
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                self._check_last(descriptor, one)
                os.write(descriptor, text.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _unavailable(error, self.place) from None

    def _check_last(self, descriptor: int, one: Publishing) -> None:
        """Raise `Ahead` if the last checkpoint there is of a larger tree of this log."""
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, LARGEST_NOTE, max(0, size - LARGEST_NOTE))
        for note in _notes(tail.decode("utf-8", "replace"))[-1:]:
            try:
                checkpoint, signed = read_signed(note)
                ours = checkpoint.origin == one.checkpoint.origin and signed.signers(one.keys)
            except Invalid:
                return
            if ours and checkpoint.size > one.checkpoint.size:
                raise Ahead(self.place, checkpoint.size, one.checkpoint.size)


def _notes(text: str) -> list[str]:
    """Return the notes of a file or of its end; the first part of an end may be none."""
    found = []
    for record in f"\n{text}".split(f"\n{_BEGIN}")[1:]:
        _, _, note = record.partition("\n")
        found.append(note if note.endswith("\n") else note + "\n")
    return found


def _unavailable(error: OSError, place: str) -> Unavailable:
    return Unavailable(f"the file cannot be used: {error.strerror}", where=place)
