"""Anchoring at work: gives each anchor the newest checkpoint, again and later where it fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Column, Table, Text, bindparam, select

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Unavailable, WatchkeeperError
from watchkeeper.ledger import merkle
from watchkeeper.ledger.anchors.model import Ahead, Anchor, Held, Publishing, Receipt
from watchkeeper.ledger.checkpoints import checkpoints, read_keys, read_signed
from watchkeeper.ledger.claims import OnProgress
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.notes import NoteKey, read_key
from watchkeeper.store.metadata import Key, Whole, metadata
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction

_LOG = logging.getLogger("watchkeeper.ledger.anchors")
_FIRST_RETRY_SECONDS = 5
_LONGEST_RETRY_SECONDS = 900
_SOON_SECONDS = 60
"""How long at most it takes to find that one is back which is given a checkpoint as often."""
_SECONDS = 120
"""How long one anchor may take in all."""
_RECEIPTS = 500

anchorings = Table(
    "anchorings",
    metadata,
    Column("anchor", Key, primary_key=True),
    Column("checkpoint", Whole, primary_key=True),
    Column("at", Whole, nullable=False),
    Column("given", Text, nullable=False),
)
"""Which checkpoint was put where and when; `given` is what the anchor gave for it."""

_of = anchorings.c
_ADD = Statement(insert(anchorings).values(
    anchor=bindparam("anchor"), checkpoint=bindparam("checkpoint"), at=bindparam("at"),
    given=bindparam("given"),
).on_conflict_do_nothing())  # fmt: skip
_NEWEST = Statement(
    select(_of.checkpoint, _of.at, _of.given, checkpoints.c.note)
    .join_from(anchorings, checkpoints, checkpoints.c.id == _of.checkpoint)
    .where(_of.anchor == bindparam("anchor_is"))
    .order_by(_of.checkpoint.desc())
    .limit(bindparam("limit"))
)
_BY_CHECKPOINT = Statement(
    select(_of.anchor, _of.checkpoint, _of.given).where(
        _of.checkpoint.between(bindparam("first"), bindparam("last"))
    ).order_by(_of.anchor)
)  # fmt: skip


@dataclass(slots=True)
class Standing:
    """How one anchor does."""

    anchor: Anchor
    last: Row | None = None
    """The newest checkpoint that it took."""
    due_at: int = 0
    failures: int = 0
    problem: WatchkeeperError | None = None
    since: int = 0
    """Since when it fails."""
    behind_since: int | None = None
    """Since when it has not taken what was signed; None while it has it all."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def size(self) -> int:
        """Entries of the last checkpoint that it took."""
        return read_signed(self.last.note)[0].size if self.last is not None else 0


class Anchoring:
    """The anchors of one log."""

    def __init__(self, log: Log, anchors: Sequence[Anchor]) -> None:
        self._log = log
        self.standings = [Standing(anchor) for anchor in anchors]

    async def start(self) -> None:
        """Read what each anchor took last."""
        for one in self.standings:
            found = await self._newest(one.anchor, 1)
            one.last = found[0] if found else None

    async def run_due(self, *, now: bool = False) -> None:
        """Give the newest checkpoint to every anchor whose time has come, or `now` to all."""
        await asyncio.gather(*(self.run(one, now=now) for one in self.standings))

    async def run(self, one: Standing, *, now: bool = False) -> None:
        """Give an anchor the newest checkpoint if its time has come; a slow one delays no other."""
        async with one.turn:
            newest = self._log.last
            if newest is None or (one.last is not None and one.last.checkpoint >= newest.id):
                return
            if one.behind_since is None:
                one.behind_since = newest.at
            if now or self._log.store.clock.now() >= one.due_at:
                await self._publish(one, newest)

    async def _publish(self, one: Standing, newest: Row) -> None:
        anchor = one.anchor
        try:
            checkpoint, _ = read_signed(newest.note)
            last = read_signed(one.last.note)[0] if one.last is not None else None
            taken = last.size if last is not None and last.origin == checkpoint.origin else 0
            publishing = Publishing(
                newest.id, newest.at, checkpoint, newest.note, taken, await self._keys(),
                self._prove,
            )  # fmt: skip
            async with asyncio.timeout(_SECONDS):
                given = await anchor.publish(publishing)
            await self._keep(one, newest.id, given)
        except TimeoutError:
            self._fail(one, _took_long())
        except Ahead as error:
            self._fail(one, error)
            await self._log.fork(checkpoint.origin, error.message, error.size)
        except WatchkeeperError as error:
            self._fail(one, error)
        else:
            at = self._log.store.clock.now()
            one.failures, one.problem, one.behind_since = 0, None, None
            one.due_at = at + anchor.every_seconds * MICROSECONDS

    async def _keep(self, one: Standing, number: int, given: str) -> None:
        anchor = name_of(one.anchor)

        def unit(tx: Transaction) -> None:
            tx.silent("an anchor's receipt is about the ledger, and so not in it")
            _ADD.run(tx, anchor=anchor, checkpoint=number, at=tx.now, given=given)

        await self._log.store.write(unit)
        one.last = (await self._newest(one.anchor, 1))[0]

    def _fail(self, one: Standing, error: WatchkeeperError) -> None:
        at = self._log.store.clock.now()
        if one.problem is None:
            one.since = at
            _LOG.warning("anchor %s: %s", name_of(one.anchor), error)
        longest = min(max(_SOON_SECONDS, one.anchor.every_seconds), _LONGEST_RETRY_SECONDS)
        pause = min(_FIRST_RETRY_SECONDS << min(one.failures, 16), longest)
        one.failures, one.problem = one.failures + 1, error
        one.due_at = at + pause * MICROSECONDS

    async def held(
        self, on_progress: OnProgress = lambda what, done, total: None
    ) -> tuple[list[Held], dict[str, WatchkeeperError]]:
        """Return what the anchors have, and by anchor why what it has cannot be known.

        A `Conflict`: something was altered.
        """
        keys = await self._keys()
        found: list[Held] = []
        troubles: dict[str, WatchkeeperError] = {}
        for done, one in enumerate(self.standings):
            on_progress("anchors", done, len(self.standings))
            rows = await self._newest(one.anchor, _RECEIPTS)
            receipts = [Receipt(row.note, row.given) for row in rows]
            try:
                async with asyncio.timeout(_SECONDS):
                    found += await one.anchor.held(keys, receipts)
            except TimeoutError:
                troubles[name_of(one.anchor)] = _took_long()
            except WatchkeeperError as error:
                troubles[name_of(one.anchor)] = error
        return found, troubles

    def newest(self) -> list[tuple[str, Row]]:
        """Return the newest checkpoint that each anchor took, by the anchor's name."""
        return [(name_of(one.anchor), one.last) for one in self.standings if one.last is not None]

    async def _newest(self, anchor: Anchor, limit: int) -> list[Row]:
        name = name_of(anchor)
        return await self._log.store.read(lambda tx: _NEWEST.all(tx, anchor_is=name, limit=limit))

    async def _keys(self) -> tuple[NoteKey, ...]:
        rows = await self._log.store.read(read_keys)
        return tuple(read_key(row.key) for row in rows)

    async def _prove(self, old: int, new: int) -> list[bytes]:
        reader = self._log.tiles.reader(new)
        return await asyncio.to_thread(merkle.consistency_proof, reader, old, new)


def _took_long() -> WatchkeeperError:
    return Unavailable(f"it took over {_SECONDS} s")


def name_of(anchor: Anchor) -> str:
    """Return the name under which an anchor's receipts are kept."""
    return f"{anchor.kind} {anchor.place}"


def anchored_where(tx: Transaction, first: int, last: int) -> dict[int, list[Row]]:
    """Return which anchors took checkpoints of a range, by checkpoint."""
    found: dict[int, list[Row]] = {}
    for row in _BY_CHECKPOINT.all(tx, first=first, last=last):
        found.setdefault(row.checkpoint, []).append(row)
    return found
