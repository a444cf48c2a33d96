"""The events table, its hash chain, and the events that a batch is about to append."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Column, Index, Table, Text, bindparam, insert, select

from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import TooLarge
from watchkeeper.store.metadata import Whole, metadata
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.vault import Vault

if TYPE_CHECKING:
    from watchkeeper.store.transaction import Transaction

LARGEST_ENTRY = 65_535  # bytes; what a C2SP log bundle can carry
GENESIS = bytes(32)

events = Table(
    "events",
    metadata,
    Column("sequence", Whole, primary_key=True, autoincrement=False),
    Column("at", Whole, nullable=False),
    Column("type", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("agent", Text),
    Column("run", Text),
    Column("request", Text),
    Column("body", Text, nullable=False),
    Column("leaf_hash", Text, nullable=False),
    Column("chain_hash", Text, nullable=False),
)
Index("ix_events_agent_sequence", events.c.agent, events.c.sequence)
Index("ix_events_run_sequence", events.c.run, events.c.sequence)
_is_of_request = events.c.request.is_not(None)
Index(
    "ix_events_request_sequence",
    events.c.request,
    events.c.sequence,
    sqlite_where=_is_of_request,
    postgresql_where=_is_of_request,
)
Index("ix_events_subject_sequence", events.c.subject, events.c.sequence)

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("id", Whole, primary_key=True, autoincrement=False),
    Column("sequence", Whole, nullable=False),
    Column("chain_hash", Text, nullable=False),
)

INSERT_EVENT = Statement(insert(events))
MOVE_HEAD = Statement(
    ledger_head.update()
    .where(ledger_head.c.id == 1)
    .values(sequence=bindparam("sequence"), chain_hash=bindparam("chain_hash"))
)
SELECT_HEAD = Statement(
    select(ledger_head.c.sequence, ledger_head.c.chain_hash).where(ledger_head.c.id == 1)
)
SELECT_AFTER = Statement(
    select(events)
    .where(events.c.sequence > bindparam("after"))
    .order_by(events.c.sequence)
    .limit(bindparam("limit"))
)


class Event(NamedTuple):
    """One committed entry of the ledger; ``body_text`` is canonical JSON."""

    sequence: int
    at: int
    type: str
    actor: str
    subject: str
    agent: str | None
    run: str | None
    request: str | None
    body_text: str
    leaf_hash: str
    chain_hash: str

    @property
    def body(self) -> dict[str, Any]:
        """The body as a new dict at each access."""
        value: dict[str, Any] = json.loads(self.body_text)
        return value


def event_from_row(row: Row) -> Event:
    """Make an event of a row of the events table with its columns in order."""
    return Event._make(row)


def revealed(tx: Transaction, found: Sequence[Event]) -> list[Event]:
    """Return events with the personal data that they commit to, as far as it is still there.

    Every reader gets it here, but those that check or prove the entries as they stand.
    """
    bodies = tx.vault.reveal(tx, [event.body_text for event in found])
    return [
        event if body is event.body_text else event._replace(body_text=body)
        for event, body in zip(found, bodies, strict=True)
    ]


def entry_bytes(
    sequence: int,
    at: int,
    type_: str,
    actor: str,
    subject: str,
    agent: str | None,
    run: str | None,
    request: str | None,
    body_text: str,
) -> bytes:
    """Return the canonical JSON array that the leaf hash covers.

    The body's text goes in as it is stored, so that even a change that means the same
    JSON is a change.
    """
    text = encode_basestring
    return (
        f"[{sequence},{at},{text(type_)},{text(actor)},{text(subject)},"
        f"{'null' if agent is None else text(agent)},{'null' if run is None else text(run)},"
        f"{'null' if request is None else text(request)},{body_text}]"
    ).encode()


def leaf_of(entry: bytes) -> bytes:
    """Return the RFC 6962 leaf hash: SHA-256 over a zero byte and the entry."""
    return hashlib.sha256(b"\0" + entry).digest()


def chain_of(previous: bytes, leaf: bytes) -> bytes:
    """Return the next link: SHA-256 over a one byte, the previous link and the leaf."""
    return hashlib.sha256(b"\1" + previous + leaf).digest()


class Position(NamedTuple):
    """Where the journal stands; what a failed unit goes back to."""

    sequence: int
    chain: bytes
    pending: int


class Journal:
    """Numbers and chains new events in memory; the writer owns the only one."""

    def __init__(self, vault: Vault | None = None) -> None:
        self.vault = vault
        self.sequence = 0
        self.chain = GENESIS
        self.pending: list[Event] = []

    def load(self, sequence: int, chain_hash: str) -> None:
        """Stand where the stored ledger ends."""
        self.sequence = sequence
        self.chain = bytes.fromhex(chain_hash)

    def position(self) -> Position:
        """Return a point to restore to."""
        return Position(self.sequence, self.chain, len(self.pending))

    def restore(self, position: Position) -> None:
        """Forget every event since ``position``; its numbers are given again."""
        self.sequence = position.sequence
        self.chain = position.chain
        del self.pending[position.pending :]

    def append(
        self,
        at: int,
        type_: str,
        actor: str,
        subject: str,
        agent: str | None,
        run: str | None,
        request: str | None,
        body: Mapping[str, Any],
    ) -> int:
        """Take the next number for an event and return it.

        Raises ``Invalid`` for a body without canonical form, ``TooLarge`` beyond
        65,535 bytes.
        """
        sequence = self.sequence + 1
        body_text = canonical(body).decode()
        entry = entry_bytes(sequence, at, type_, actor, subject, agent, run, request, body_text)
        if len(entry) > LARGEST_ENTRY:
            raise TooLarge(
                f"event {type_} of {len(entry)} bytes; the ledger takes {LARGEST_ENTRY}",
                where=subject,
                remedy="record a digest and a short form of what is large",
            )
        leaf = leaf_of(entry)
        chain = chain_of(self.chain, leaf)
        self.pending.append(
            Event(
                sequence, at, type_, actor, subject, agent, run, request,
                body_text, leaf.hex(), chain.hex(),
            )
        )  # fmt: skip
        self.sequence = sequence
        self.chain = chain
        return sequence
