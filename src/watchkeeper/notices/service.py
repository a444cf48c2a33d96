"""Who may be told something now: slots, taken before a message is handed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, func, select

from watchkeeper.notices.model import Lane
from watchkeeper.notices.rules import HOUR, may_tell_at
from watchkeeper.notices.tables import notice_counted, notice_log
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction

_log = notice_log.c
_LANE = Statement(
    select(func.max(_log.at).label("told_at")).where(
        _log.channel == bindparam("channel_is"),
        _log.recipient == bindparam("recipient_is"),
        _log.at > bindparam("since"),
        _log.urgent >= bindparam("urgent_from"),
    )
)
_SPENT = Statement(
    select(_log.at)
    .where(_log.channel == bindparam("channel_is"), _log.at > bindparam("since"))
    .order_by(_log.at.desc())
    .limit(bindparam("most"))
)
_ADD = Statement(notice_log.insert())
_DROP = Statement(notice_log.delete().where(_log.id == bindparam("slot_is")))
_COUNT = Statement(
    insert(notice_counted)
    .values(delivery=bindparam("delivery"), slot=bindparam("slot"), at=bindparam("at"))
    .on_conflict_do_nothing(index_elements=["delivery"])
)
_UNCOUNT = Statement(notice_counted.delete().where(notice_counted.c.slot == bindparam("slot_is")))
_FORGET_LOG = Statement(notice_log.delete().where(_log.at < bindparam("before")))
_FORGET_COUNTED = Statement(
    notice_counted.delete().where(notice_counted.c.at < bindparam("before"))
)


def take_slot(
    tx: Transaction, channel: str, recipient: str, *, urgent: bool, most_per_hour: int
) -> str | int:
    """Take the right to send one message now and return its id; else from when on there is one.

    It counts from here on, so that two planes do not both send; `give_back` where none was sent.
    """
    tx.silent("what is told is recorded with its delivery")
    since = tx.now - HOUR
    lane = Lane(*(
        _LANE.scalar(
            tx, channel_is=channel, recipient_is=recipient, since=since, urgent_from=least
        )
        for least in (0, 1)
    ))  # fmt: skip
    spent = [row.at for row in _SPENT.all(tx, channel_is=channel, since=since, most=most_per_hour)]
    at = may_tell_at(lane, spent[::-1], most_per_hour=most_per_hour, urgent=urgent, now=tx.now)
    if at > tx.now:
        return at
    slot = tx.new_id("ntc")
    _ADD.run(tx, id=slot, channel=channel, recipient=recipient, urgent=int(urgent), at=tx.now)
    return slot


def give_back(tx: Transaction, slot: str) -> None:
    """Forget a slot by which nobody was told, and what was counted in its message."""
    tx.silent("nothing was told")
    _DROP.run(tx, slot_is=slot)
    _UNCOUNT.run(tx, slot_is=slot)


def count_in(tx: Transaction, slot: str, deliveries: Sequence[str]) -> None:
    """Keep which deliveries a message tells of beside its own."""
    tx.silent("they are settled when their turn comes")
    _COUNT.run_many(tx, [{"delivery": one, "slot": slot, "at": tx.now} for one in deliveries])


def counted(tx: Transaction, deliveries: Sequence[str]) -> frozenset[str]:
    """Return which deliveries a message told of before."""
    query = select(notice_counted.c.delivery).where(notice_counted.c.delivery.in_(deliveries))
    return frozenset(tx.connection.execute(query).scalars())


def told_lately(tx: Transaction) -> Mapping[str, tuple[int, int]]:
    """Return, by channel, how many messages it took in the last hour, and when the last."""
    query = (
        select(_log.channel, func.count().label("told"), func.max(_log.at).label("last"))
        .where(_log.at > tx.now - HOUR)
        .group_by(_log.channel)
    )
    return {row.channel: (int(row.told), int(row.last)) for row in tx.connection.execute(query)}


def purge(tx: Transaction, before: int) -> None:
    """Forget what was told before a time; it is in the ledger."""
    tx.silent("what was told is in the ledger")
    _FORGET_LOG.run(tx, before=before)
    _FORGET_COUNTED.run(tx, before=before)
