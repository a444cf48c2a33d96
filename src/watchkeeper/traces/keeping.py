"""How long spans are kept, and which of them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Column, Table, bindparam, delete, func, select

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.tracing import trace_of
from watchkeeper.store.metadata import Whole, metadata
from watchkeeper.store.retention import is_held
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import contents, words
from watchkeeper.traces.model import Span
from watchkeeper.traces.tables import spans

AT_ONCE = 500
"""How many spans one purge takes."""
_DAY_US = 86_400 * MICROSECONDS
HOUR_US = 3600 * MICROSECONDS
_ALL = 100

spans_left_out = Table(
    "spans_left_out",
    metadata,
    Column("hour", Whole, primary_key=True, autoincrement=False),
    Column("calls", Whole, nullable=False),
)
"""How many calls that went well were not kept, by the hour in which they began."""
_put = insert(spans_left_out).values(hour=bindparam("hour"), calls=bindparam("calls"))
_COUNT = Statement(
    _put.on_conflict_do_update(
        index_elements=["hour"], set_={"calls": spans_left_out.c.calls + _put.excluded.calls}
    )
)
_LEFT_OUT = Statement(
    select(func.coalesce(func.sum(spans_left_out.c.calls), 0)).where(
        spans_left_out.c.hour >= bindparam("since"), spans_left_out.c.hour < bindparam("until")
    )
)
_s = spans.c
_DROP = Statement(delete(spans).where(_s.key == bindparam("key_is")))
_PURGE = Statement(
    delete(spans).where(
        _s.key.in_(
            select(_s.key)
            .where(
                _s.end < bindparam("before"),
                ~is_held(run=_s.run, agent=_s.agent, request=_s.request),
            )
            .order_by(_s.end)
            .limit(AT_ONCE)
        )
    )
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is kept for how long."""

    days: int = 30
    """Of spans, from their end; what lasts is kept."""
    content_days: int = 7
    """Of what was said."""
    percent: int = _ALL
    """Of runs, those of which calls that went well are kept. Refusals, errors, approvals, what
    ran under one, and the runs themselves with their sums always are.
    """

    def leaves_out(self, span: Span) -> bool:
        """Tell whether a span is one of those that are not kept."""
        return (
            self.percent < _ALL
            and span.kind == "action"
            and span.verdict == "permit"
            and span.status == "ok"
            and span.request is None
            and int(trace_of(span.run or "")[:8], 16) % _ALL >= self.percent
        )


KEPT_ALL = Terms()


def leave_out(tx: Transaction, left: list[Span]) -> None:
    """Drop spans that are not kept, and count them."""
    hours: dict[int, int] = {}
    for span in left:
        hour = span.start - span.start % HOUR_US
        hours[hour] = hours.get(hour, 0) + 1
    _COUNT.run_many(tx, [{"hour": hour, "calls": calls} for hour, calls in hours.items()])
    _DROP.run_many(tx, [{"key_is": span.key} for span in left])


def left_out(tx: Transaction, since: int, until: int) -> int:
    """Return how many calls that began in whole hours were not kept."""
    return int(_LEFT_OUT.scalar(tx, since=since, until=until))


def purge(tx: Transaction, terms: Terms) -> int:
    """Forget spans that ended long ago, up to a bound, unless held; return how many."""
    tx.silent("what they are of stays on record")
    gone = _PURGE.run(tx, before=tx.now - terms.days * _DAY_US)
    if gone:
        words.forget(tx)
    return gone


def purge_contents(tx: Transaction, terms: Terms) -> int:
    """Forget what was said long ago, up to a bound, unless held; return how much."""
    return contents.purge(tx, tx.now - terms.content_days * _DAY_US)
