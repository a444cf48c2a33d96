"""The keys that sign a log: one signs now, the public halves of all others are kept for ever.

Every key is told of in the ledger. A fork gives the log another origin, which has a key of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.core import ids
from watchkeeper.core.errors import NotFound
from watchkeeper.core.key_files import load_or_make
from watchkeeper.ledger import checkpoints as rows
from watchkeeper.ledger.notes import NoteKey, Signature, public_of, read_key, sign
from watchkeeper.store.statement import Row
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

_WHAT = "the key that signs checkpoints"


class Signing(NamedTuple):
    """The key that signs now: its place among the keys, and both halves."""

    id: int
    public: NoteKey
    private: Any


class LogKeys:
    """The keys of one log; `name` begins its origin, e.g. `prod.watchkeeper/plane-1`."""

    def __init__(self, store: Store, directory: Path, name: str) -> None:
        self._store = store
        self._directory = directory
        self._name = name
        self._signing: Signing | None = None
        self.forks: tuple[Row, ...] = ()
        """Forks that nobody has accepted yet."""

    @property
    def signing(self) -> Signing:
        """The key that signs now."""
        assert self._signing is not None, "it is open"
        return self._signing

    async def open(self) -> None:
        """Have a key; the first is made. Raises `Unavailable` if its file can't be used."""
        keys = await self._store.read(rows.read_keys)
        if not keys:
            await self._begin("began", "the ledger began", self._new_origin())
            return
        newest = read_key(keys[-1].key)
        path = self._file(keys[-1].id)
        if path.exists():
            private = await asyncio.to_thread(load_or_make, path, _WHAT)
            if public_of(private, newest.name) == newest:
                self._signing = Signing(keys[-1].id, newest, private)
                self._forget_older()
        if self._signing is None:
            await self._begin("rotated", "the key was gone", newest.name)
        await self._read_forks()

    def sign(self, text: str) -> Signature:
        """Sign the text of a note."""
        return sign(self.signing.private, self.signing.public.name, text)

    def attest(self, key: NoteKey, raw: bytes) -> bytes | None:
        """Sign bytes that are no note with the key that signs now; None if that is another."""
        if self.signing.public != key:
            return None
        made: bytes = self.signing.private.sign(raw)
        return made

    async def rotate(self, reason: str, actor: str) -> None:
        """Sign with a new key from now on; the private half of the old one is forgotten."""
        await self._begin("rotated", reason, self.signing.public.name, actor)

    async def fork(self, reason: str, lost_size: int) -> None:
        """Sign under a new origin from now on, as the old one's log has lost what was signed."""
        await self._begin("forked", reason, self._new_origin(), lost_size=lost_size)
        await self._read_forks()

    async def accept_forks(self, *, actor: str, reason: str) -> int:
        """Write down that somebody knows why the ledger was forked; raise `NotFound` if none."""
        about = f"ledger/{self.signing.public.name}"

        def unit(tx: Transaction) -> int:
            accepted = rows.accept_forks(tx, actor)
            if accepted:
                body = {"reason": reason, "forks": accepted}
                tx.record("ledger.fork_accepted", actor=actor, subject=about, body=body)
            return accepted

        accepted = await self._store.write(unit)
        if not accepted:
            raise NotFound("the ledger has no fork that waits to be accepted")
        await self._read_forks()
        return accepted

    async def _begin(self, cause: str, reason: str, origin: str, actor: str = "plane",
                     lost_size: int | None = None) -> None:  # fmt: skip
        """Sign with another key from now on."""
        number = len(await self._store.read(rows.read_keys)) + 1
        # the private half is on the disk before anybody can learn of the public one
        private = await asyncio.to_thread(load_or_make, self._file(number), _WHAT)
        public = public_of(private, origin)
        body = {"origin": origin, "key": public.text(), "reason": reason, "lost_size": lost_size}
        if self._signing is not None:
            body["was"] = self._signing.public.name

        def unit(tx: Transaction) -> None:
            rows.add_key(
                tx, origin=origin, key=public.text(), cause=cause, reason=reason,
                lost_size=lost_size,
            )  # fmt: skip
            if cause == "began":
                tx.silent("the event of the plane's start names the key that signs")
            else:
                type_ = "ledger.forked" if cause == "forked" else "ledger.key_rotated"
                tx.record(type_, actor=actor, subject=f"ledger/{origin}", body=body)

        await self._store.write(unit)
        self._signing = Signing(number, public, private)
        self._forget_older()

    def _forget_older(self) -> None:
        """Remove the private halves of keys that sign no more."""
        for number in range(1, self.signing.id):
            with contextlib.suppress(OSError):
                self._file(number).unlink(missing_ok=True)

    async def _read_forks(self) -> None:
        keys = await self._store.read(rows.read_keys)
        self.forks = tuple(row for row in keys if row.cause == "forked" and not row.accepted_at)

    def _new_origin(self) -> str:
        """Return the name and a part that no other log has: who signs for which is explicit."""
        mark = hashlib.sha256(ids.secret("log").encode()).hexdigest()[:8]
        return f"{self._name}/{mark}"

    def _file(self, number: int) -> Path:
        return self._directory / f"ledger-{number}.key"
