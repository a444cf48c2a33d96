"""Writing a bundle: a tar that is made while it is sent, in memory that does not grow with it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from watchkeeper import __version__
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Conflict
from watchkeeper.core.evidence.file import (
    ENVELOPE,
    FORMAT,
    MANIFEST,
    PAYLOAD,
    PREDICATE,
    STATEMENT,
    envelope_of,
    pae,
    tar_end,
    tar_member,
)
from watchkeeper.core.evidence.single import single_file
from watchkeeper.decide.evidence.documents import Snapshots, Wanted, take_snapshots
from watchkeeper.decide.evidence.requests import Member, request_members, signers_text
from watchkeeper.decide.evidence.segments import Segment, segments
from watchkeeper.decide.evidence.selecting import Asked, entries
from watchkeeper.ledger.anchors.model import Receipt
from watchkeeper.ledger.checkpoints import covering, read_keys, read_signed
from watchkeeper.ledger.merkle import inclusion_proof
from watchkeeper.ledger.notes import Note, read_signatures, write_hashes
from watchkeeper.ledger.service import PROOF, LedgerAudit
from watchkeeper.store.statement import Row
from watchkeeper.store.store import Store

MOST_PROOFS = 256
"""Entries that come with a C2SP proof of each; of more, the tree alone proves all at once."""
MOST_REQUESTS = 20_000
_REQUESTS_AT_ONCE = 50
_NOT_YET = (
    ("what agents remembered", "this plane keeps no memory of agents"),
    ("prompts, and context that was retrieved outside", "entries have their digests only"),
)
_README = """\
Evidence from the ledger of a Watchkeeper plane. Verify it offline, with Python 3.10 or newer and a
verify.py that you had from elsewhere, or that you have read:

    python3 -I verify.py BUNDLE --key KEY

KEY is the public key of the plane's log, from its people (`watchkeeper audit keys`).

manifest.json       what was asked for, digests of all members, and what is missing and why;
                    manifest.dsse.json is signed over it (DSSE, in-toto Statement)
entries/            ledger entries, one a line, as they were hashed; a line `~H HASH` stands for
                    2^H entries that are not here, by the root over them
checkpoint          the signed head of the log that all of them hash to (C2SP)
proofs/             C2SP inclusion proofs of single entries, where they are few
checkpoints.json    older checkpoints with their proofs of consistency, and where they are anchored
keys.json           the keys that sign or have signed the log
documents/          contracts and policy sets in force, as their digests are of; policies/ which
                    sets were in force together
requests/           what approvers were shown
votes/              signed votes: ssh-keygen -Y verify -f allowed_signers -I PERSON
                    -n watchkeeper-vote@watchkeeper -O verify-time=YYYYMMDDhhmmssZ
                    -s votes/REQUEST/N.txt.sig < votes/REQUEST/N.txt, at the time of the vote
values/             personal data that entries commit to, as far as it was not erased
"""


class Bundle:
    """One bundle on its way; `open` first, then `stream`, once each."""

    def __init__(self, store: Store, audit: LedgerAudit, asked: Asked, *, by: str) -> None:
        self._store = store
        self._audit = audit
        self._asked = asked
        self._by = by
        self._members: dict[str, dict[str, Any]] = {}
        self._missing: list[tuple[str, str]] = []
        self._first = self._last = self._count = self._written = 0

    async def open(self) -> None:
        """Note who exports what, sign the ledger, and see what there is.

        Raises `NotFound` where nothing is about what is asked for.
        """
        words, by = self._asked.words(), self._by
        about = f"evidence/{words.get('name') or 'period'}"
        await self._store.write(
            lambda tx: tx.record("evidence.exported", actor=by, subject=about, body=words)
        )
        self._key = self._audit.log.key
        self._head = await self._audit.sign_now()
        self._wanted, requests = Wanted(), dict[str, None]()
        async for batch in entries(self._store, self._asked, self._head.size):
            for event in batch:
                if event.type.startswith("decision."):
                    self._wanted.hear(event, event.body)
                if event.request:
                    requests[event.request] = None
                self._first, self._last = self._first or event.sequence, event.sequence
                self._count += 1
        self._requests = list(requests)[:MOST_REQUESTS]
        if len(requests) > MOST_REQUESTS:
            left = f"{len(requests) - MOST_REQUESTS:,} requests"
            self._missing.append((left, f"a bundle has {MOST_REQUESTS:,}; ask for less at once"))

    async def stream(self) -> AsyncIterator[bytes]:
        """Return the file in parts. Raises `Conflict` where the ledger is not what was signed."""
        yield self._member("verify.py", single_file())
        yield self._member("README", _README.encode())
        snapshots = await self._store.scan(
            lambda tx: take_snapshots(tx, self._wanted, self._head.size)
        )
        self._missing += snapshots.missing
        proven = list[int]()
        async for segment in self._segments(snapshots):
            proven += segment.sequences if len(proven) <= MOST_PROOFS else []
            yield self._member(f"entries/{segment.number:06}", segment.lines)
            if segment.values:
                yield self._member(f"values/{segment.number:06}.json", canonical(segment.values))
        checkpoint = await self._cosigned(self._head)
        yield self._member("checkpoint", checkpoint.encode())
        if len(proven) <= MOST_PROOFS:
            for sequence in proven:
                proof = self._prove(sequence)
                yield self._member(f"proofs/{sequence}.tlog-proof", (proof + checkpoint).encode())
        for name, raw in self._documents(snapshots):
            yield self._member(name, raw)
        yield self._member("checkpoints.json", canonical(await self._checkpoints()))
        yield self._member("keys.json", canonical(await self._keys()))
        async for name, raw in self._approvals():
            yield self._member(name, raw)
        yield self._sealed()

    def _member(self, name: str, raw: bytes) -> bytes:
        self._members[name] = {"sha256": hashlib.sha256(raw).hexdigest(), "size": len(raw)}
        return tar_member(name, raw)

    async def _segments(self, snapshots: Snapshots) -> AsyncIterator[Segment]:
        # the first entry names the plane; those that applied documents bind them to the log
        beside = sorted({1, *snapshots.applied})
        pages = entries(self._store, self._asked, self._head.size)
        async for segment in segments(
            self._store, self._audit.log.tiles, pages, beside, self._head.size
        ):
            self._written += len(segment.sequences)
            yield segment

    def _prove(self, sequence: int) -> str:
        read = self._audit.log.tiles.reader(self._head.size)
        hashes = inclusion_proof(read, sequence - 1, self._head.size)
        return f"{PROOF}\nindex {sequence - 1}\n{write_hashes(hashes)}\n"

    def _documents(self, found: Snapshots) -> Iterator[Member]:
        for (kind, digest), raw in sorted(found.documents.items()):
            yield f"documents/{kind}/{digest.removeprefix('sha256:')}.json", raw
        for digest, raw in sorted(found.policies.items()):
            yield f"policies/{digest.removeprefix('sha256:')}.json", raw

    async def _cosigned(self, row: Row) -> str:
        """Return a checkpoint with what witnesses gave for it."""
        _, note = read_signed(row.note)
        given = await self._audit.cosignatures(row.id)
        return Note(note.text, (*note.signatures, *given)).write()

    async def _checkpoints(self) -> list[dict[str, Any]]:
        """Return the first that covers the entries asked for, and the newest of each anchor."""
        origin, size, last = self._key.name, self._head.size, self._last
        first = await self._store.read(lambda tx: covering(tx, last, origin))
        found: dict[int, tuple[str, set[str]]] = {}
        if first is not None:
            found[first.size] = (await self._cosigned(first), set())
        for name, newest in self._audit.anchoring.newest():
            checkpoint, note = read_signed(newest.note)
            if checkpoint.origin == origin and checkpoint.size <= size:
                signed = _with(note, Receipt(newest.note, newest.given), name)
                found.setdefault(checkpoint.size, (signed, set()))[1].add(name)
        return [
            {
                "note": note,
                "anchors": sorted(anchors),
                "consistency": write_hashes(await self._audit.consistency(old, size)).splitlines(),
            }
            for old, (note, anchors) in sorted(found.items())
        ]

    async def _keys(self) -> dict[str, Any]:
        rows = await self._store.read(read_keys)
        names = ("origin", "key", "cause", "reason", "made_at", "lost_size", "accepted_by")
        return {"keys": [{name: getattr(row, name) for name in names} for row in rows]}

    async def _approvals(self) -> AsyncIterator[Member]:
        signers = set[str]()
        for start in range(0, len(self._requests), _REQUESTS_AT_ONCE):
            part = self._requests[start : start + _REQUESTS_AT_ONCE]
            found = await self._store.scan(
                lambda tx, part=part: list(request_members(tx, part, signers, self._missing))  # type: ignore[misc]
            )
            for member in found:
                yield member
        if signers:
            yield "allowed_signers", await self._store.scan(lambda tx: signers_text(tx, signers))

    def _sealed(self) -> bytes:
        """Return the manifest, the envelope that is signed over it, and the end of the file."""
        words, head = self._asked.words(), self._head
        agents = self._asked.agents
        manifest = canonical({
            "format": FORMAT,
            "asked": words,
            "by": self._by,
            "at": head.at,
            "program": f"watchkeeper {__version__}",
            "log": {"origin": head.origin, "size": head.size, "root": head.root,
                    "key": self._key.text()},
            "entries": {"count": self._written, "asked": self._count, "first": self._first,
                        "last": self._last, "agents": None if agents is None else sorted(agents)},
            "members": self._members,
            "missing": [{"what": what, "why": why} for what, why in (*self._missing, *_NOT_YET)],
        })  # fmt: skip
        statement = canonical({
            "_type": STATEMENT,
            "subject": [
                {"name": MANIFEST, "digest": {"sha256": hashlib.sha256(manifest).hexdigest()}}
            ],
            "predicateType": PREDICATE,
            "predicate": {"asked": words, "size": head.size},
        })  # fmt: skip
        signature = self._audit.log.keys.attest(self._key, pae(PAYLOAD, statement))
        if signature is None:
            raise Conflict("the log's key was rotated meanwhile", remedy="export it again")
        raw = envelope_of(statement, self._key.text(), signature)
        return tar_member(MANIFEST, manifest) + tar_member(ENVELOPE, raw) + tar_end()


def _with(note: Note, receipt: Receipt, anchor: str) -> str:
    """Return a checkpoint with an anchor's cosignature, if the anchor is a witness."""
    given: Sequence[Any] = ()
    if anchor.startswith("witness "):
        given = read_signatures(receipt.given)
    return Note(note.text, (*note.signatures, *given)).write()
