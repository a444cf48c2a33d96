"""A witness on another host (C2SP tlog-witness): it signs no tree that forgets what it saw."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from watchkeeper.core.errors import Conflict, Invalid, Unavailable
from watchkeeper.ledger.anchors.model import (
    Ahead,
    Answer,
    Held,
    NotKnown,
    Post,
    Publishing,
    Receipt,
)
from watchkeeper.ledger.checkpoints import read_signed
from watchkeeper.ledger.notes import (
    LARGEST_NOTE,
    Note,
    NoteKey,
    read_note,
    read_signatures,
    write_hashes,
)

_SIZE = re.compile(rb"(0|[1-9][0-9]{0,15})\n")
_TEXT = "text/plain; charset=utf-8"


class WitnessAnchor:
    """Has checkpoints cosigned by a witness whose key is known."""

    kind = "witness"
    every_seconds = 10

    def __init__(self, url: str, key: NoteKey, post: Post) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._post = post
        self.place = self._url

    async def publish(self, one: Publishing) -> str:
        """Have a checkpoint cosigned; return the lines of the cosignatures."""
        answer = await self._add(one, one.taken)
        if answer.status == 409:
            found = _SIZE.fullmatch(answer.body)
            if found is None:
                raise Unavailable("its answer 409 names no size", where=self.place)
            size = int(found[1])
            if size > one.checkpoint.size:
                raise Ahead(self.place, size, one.checkpoint.size)
            answer = await self._add(one, size)
        self._check(answer, one.keys[-1])
        try:
            given = read_signatures(answer.body.decode("utf-8", "replace"))
            note = Note(one.checkpoint.text(), given)
            if self._key not in note.signers([self._key]):
                raise Invalid("no signature of its key is in its answer")
        except Invalid as error:
            raise Unavailable(error.message, where=self.place) from None
        return "".join(line.line() for line in given if line.name == self._key.name)

    async def _add(self, one: Publishing, old: int) -> Answer:
        proof = await one.prove(old, one.checkpoint.size) if old else ()
        body = f"old {old}\n{write_hashes(proof)}\n{one.note}"
        return await self._post("POST", f"{self._url}/add-checkpoint", _TEXT, body.encode())

    def _check(self, answer: Answer, signing: NoteKey) -> None:
        if answer.status == 200:
            return
        if answer.status == 422:
            raise Conflict(
                "the witness says that this log is not the one that it saw before: entries that "
                "it saw were altered or are gone",
                code="ledger_altered",
                where=self.place,
                remedy="watchkeeper audit verify",
            )
        known = {403: "it does not know the log's key", 404: "it does not know the log"}
        if answer.status in known:
            raise NotKnown(
                known[answer.status],
                where=self.place,
                remedy="on its host, start `watchkeeper witness serve` again with "
                f"--log '{signing.text()}' besides those it has",
            )
        raise Unavailable(f"it answered HTTP {answer.status}", where=self.place)

    async def held(self, keys: Sequence[NoteKey], receipts: Sequence[Receipt]) -> list[Held]:
        """Return what it cosigned: by its receipts, and what it shows now of each origin."""
        found = []
        for receipt in receipts:
            try:
                _, note = read_signed(receipt.note)
                signed = Note(note.text, (*note.signatures, *read_signatures(receipt.given)))
                if self._key in signed.signers([self._key]):
                    found.append(Held(f"what {self._key.name} cosigned", signed.write()))
            except Invalid as error:
                raise Conflict(f"a receipt was altered: {error.message}") from None
        for origin in dict.fromkeys(key.name for key in keys):
            shown = await self._shown(origin)
            if shown is not None:
                found.append(Held(f"what {self.place} shows", shown))
        return found

    async def _shown(self, origin: str) -> str | None:
        mark = hashlib.sha256(origin.encode()).hexdigest()
        answer = await self._post("GET", f"{self._url}/{mark}/checkpoint", _TEXT, None)
        if answer.status == 404:
            return None
        text = answer.body[: LARGEST_NOTE + 1].decode("utf-8", "replace")
        try:
            if answer.status == 200 and self._key in read_note(text).signers([self._key]):
                return text
        except Invalid:
            pass
        raise Unavailable(f"it shows no cosigned checkpoint ({answer.status})", where=self.place)
