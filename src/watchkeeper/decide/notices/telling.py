"""Sending notices: what still concerns a person, at most so much at a time, in one message."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from sqlalchemy import select

from watchkeeper.approvals.rows import find_or_none
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Conflict, Invalid, NotFound, WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.decide.catalogue import Catalogue, CatalogueView
from watchkeeper.decide.notices.concerned import read_notice, through_with
from watchkeeper.notices.kinds import check_url
from watchkeeper.notices.model import Message, Notice, Place
from watchkeeper.notices.sending import Busy, Sender, Undecided
from watchkeeper.notices.service import count_in, counted, give_back, take_slot
from watchkeeper.notices.words import message, trial_of
from watchkeeper.outbox.model import Attempt, Delivery
from watchkeeper.outbox.tables import deliveries
from watchkeeper.registry.watch import Channel
from watchkeeper.store.statement import Row
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

ReadSecret = Callable[[str], Awaitable[str]]
"""Takes a credential reference; raises `Unavailable` when there is no value."""
_MOST_COUNTED = 2000
_LONGEST_WORDS = 250
_TESTER = "\ttest"
"""Stands for the recipient of tests; nobody has such a name."""
_SHORTEST_PART = 5
_PART = re.compile(rf"[^/?&=@:,;+]{{{_SHORTEST_PART},}}")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What one message may tell of: the deliveries at hand, and others for the same person."""

    moot: frozenset[str]
    told: frozenset[str]
    """A message told of them before their turn came."""
    live: tuple[Notice, ...]
    others: tuple[str, ...] = ()
    other_notices: tuple[Notice, ...] = ()
    more: int = 0


class Telling:
    """The handler of notices."""

    together = 64

    def __init__(
        self, store: Store, view: CatalogueView, read_secret: ReadSecret, place: Place
    ) -> None:
        self.place = place
        self._store = store
        self._view = view
        self._read_secret = read_secret
        self._sender = Sender()

    async def send(self, deliveries: Sequence[Delivery]) -> Sequence[Attempt]:
        """Tell one person, or one channel, of everything at hand in one message."""
        catalogue = self._view.now
        first = deliveries[0]
        channel = catalogue.channels.get(first.target)
        if channel is None:
            why = f"no channel {first.target} is in force"
            return [Attempt("refused", None, why)] * len(deliveries)
        # in a storm there are thousands to look at
        found = await self._store.scan(lambda tx: _look(tx, deliveries, catalogue))
        attempts = {
            **dict.fromkeys(found.moot, Attempt("moot")),
            **dict.fromkeys(found.told, Attempt("sent")),
        }
        if found.live:
            outcome = await self._tell(channel, first, found)
            attempts |= {one.id: outcome for one in deliveries if one.id not in attempts}
        return [attempts[one.id] for one in deliveries]

    async def test(self, name: str, person: str) -> None:
        """Send a test message by a channel.

        Raises `NotFound`, `Conflict` a few seconds after another test, and what `tell` of the
        sender raises; nothing of the channel's URL is in it.
        """
        channel = self._view.now.channels.get(name)
        if channel is None:
            raise NotFound(
                f"there is no channel {name!r:.80}", remedy="see `watchkeeper channels list`"
            )
        slot = await self._store.write(
            lambda tx: take_slot(
                tx, name, _TESTER, urgent=True, most_per_hour=channel.most_per_hour
            )
        )
        if isinstance(slot, int):
            raise Conflict(
                f"channel {name} was tested just now",
                code="tested_just_now",
                remedy=f"try again in {self._seconds_until(slot)} s",
            )
        try:
            await self._hand_over(channel, trial_of(name, person, self.place))
        except WatchkeeperError as error:
            if not isinstance(error, Undecided):
                await self._give_back(slot)
            await self._record_test(name, person, error.message)
            raise
        await self._record_test(name, person, None)

    async def kind_of(self, channel: Channel) -> str:
        """Return the scheme of a channel's URL; raise for one that cannot be had or taken."""
        url = await self._read_secret(channel.url)
        return check_url(url, allow_private=channel.allow_private)

    async def _tell(self, channel: Channel, first: Delivery, found: _Waiting) -> Attempt:
        urgent = any(one.urgent for one in found.live)
        slot = await self._store.write(
            lambda tx: take_slot(
                tx, channel.name, first.recipient or "", urgent=urgent,
                most_per_hour=channel.most_per_hour,
            )
        )  # fmt: skip
        if isinstance(slot, int):
            return Attempt("later", after_seconds=self._seconds_until(slot))
        now = self._store.clock.now()
        text = message([*found.live, *found.other_notices], self.place, now, more=found.more)
        try:
            await self._hand_over(channel, text)
        except Busy as busy:
            await self._give_back(slot)
            return Attempt("later", None, busy.message, after_seconds=2)
        except Undecided as error:
            return Attempt("unknown", None, error.message)
        except WatchkeeperError as error:
            await self._give_back(slot)
            return Attempt(
                "refused" if isinstance(error, Invalid) else "retry", None, error.message
            )
        if found.others:
            await self._store.write(lambda tx: count_in(tx, slot, found.others))
        return Attempt("sent")

    async def _hand_over(self, channel: Channel, text: Message) -> None:
        url = await self._read_secret(channel.url)
        try:
            await self._sender.tell(url, text, allow_private=channel.allow_private)
        except WatchkeeperError as error:
            error.message = without_secrets(url, error.message)
            error.args = (error.message,)
            raise

    async def _give_back(self, slot: str) -> None:
        await self._store.write(lambda tx: give_back(tx, slot))

    async def _record_test(self, name: str, person: str, error: str | None) -> None:
        went = "it was handed over" if error is None else f"it failed: {error}"

        def unit(tx: Transaction) -> None:
            tx.record(
                "channel.tested",
                actor=person,
                subject=f"channel/{name}",
                body={"told": error is None, "text": f"{person} tested channel {name}: {went}"},
            )

        await self._store.write(unit)

    def _seconds_until(self, at: int) -> int:
        return max(1, math.ceil((at - self._store.clock.now()) / MICROSECONDS))


def without_secrets(url: str, text: str) -> str:
    """Return words of a service with no part of a channel's URL in them but its host."""
    rest = url.partition("://")[2]
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    kept = host if "." in host or host == "localhost" else ""
    written = set(_PART.findall(rest)) - {kept}
    # the library and the service know a password as it is, without %XX
    parts = written | {plain for one in written if len(plain := unquote(one)) >= _SHORTEST_PART}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "…")
    return make_safe(text, limit=_LONGEST_WORDS)


def _look(tx: Transaction, group: Sequence[Delivery], catalogue: Catalogue) -> _Waiting:
    told = counted(tx, [one.id for one in group])
    moot, live = [], []
    for one in group:
        if one.id in told:
            continue
        notice = read_notice(one.payload)
        if _is_moot(tx, notice, one.recipient, catalogue):
            moot.append(one.id)
        else:
            live.append(notice)
    if not live:
        return _Waiting(frozenset(moot), told, ())
    rows = _others(tx, group)
    others, notices = [], []
    for row in rows[:_MOST_COUNTED]:
        notice = read_notice(row.payload)
        if not _is_moot(tx, notice, group[0].recipient, catalogue):
            others.append(row.id)
            notices.append(notice)
    more = max(0, len(rows) - _MOST_COUNTED)
    return _Waiting(frozenset(moot), told, tuple(live), tuple(others), tuple(notices), more)


def _others(tx: Transaction, group: Sequence[Delivery]) -> list[Row]:
    """Return what else is due for the same person by the same channel and was never tried."""
    row, first = deliveries.c, group[0]
    query = (
        select(row.id, row.payload)
        .where(
            row.kind == "notice",
            row.target == first.target,
            row.recipient.is_not_distinct_from(first.recipient),
            row.state == "pending",
            row.attempts == 0,
            row.next_at <= tx.now,
        )
        .order_by(row.id)
        .limit(_MOST_COUNTED + 1)
    )
    return list(tx.connection.execute(query))


def _is_moot(tx: Transaction, notice: Notice, recipient: str | None, catalogue: Catalogue) -> bool:
    """Whether a person need not be told any more: it was decided, or they are through with it."""
    if not notice.waits or notice.request is None:
        return False
    row = find_or_none(tx, notice.request)
    if row is None or row.state != "pending":
        return True
    return recipient is not None and bool(catalogue.names.names(recipient) & through_with(tx, row))
