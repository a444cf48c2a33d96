"""Whether every admitted call is recorded: permits in the ledger, among decisions, and as spans."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, func, literal, literal_column, or_, select

from watchkeeper.core import ids
from watchkeeper.decide.tables import decisions, is_open, is_permitted
from watchkeeper.store.journal import events
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import keeping
from watchkeeper.traces.keeping import HOUR_US, Terms
from watchkeeper.traces.tables import spans, trace_cursor
from watchkeeper.wire.traces import TraceCheck

_MOST_NAMED = 20
_d = decisions.c
_s = spans.c
_is_call = (_s.kind == literal_column("'action'")) & (_s.verdict == literal_column("'permit'"))
_said = _s.attributes.contains
_is_anybodys = or_(
    _s.agent == "",
    _s.version.is_(None),
    _s.rule.is_(None),
    # attributes are JSON; what one is called is in quotation marks there
    ~func.coalesce(_said('"watchkeeper.policies"'), literal(False)),
    and_(_s.principal.is_(None), func.coalesce(_d.team, "") == ""),
    and_(_is_call, _s.request.is_not(None),
         ~func.coalesce(_said('"watchkeeper.approved_by"'), literal(False))),
)  # fmt: skip
_ONE: ColumnElement[int] = literal_column("1")


def check_calls(tx: Transaction, since: int, until: int, terms: Terms) -> TraceCheck:
    """Count the calls that were admitted in a time, thrice over, and name what is missing.

    Counted are whole hours, no further back than spans are kept, up to the first entry that no
    span tells of yet. It looks through all of them.
    """
    since = max(since, tx.now - terms.days * 24 * HOUR_US)
    since -= since % HOUR_US
    told = trace_cursor.at(tx) or 0
    untold = tx.connection.scalar(
        select(events.c.at).where(events.c.sequence > told).order_by(events.c.sequence).limit(1)
    )
    until = until if untold is None else min(until, untold)
    in_time = (_d.decision >= ids.first_at("dec", since)) & (
        _d.decision < ids.first_at("dec", until)
    )
    seen = (_s.start >= since) & (_s.start < until)

    def count(*conditions: ColumnElement[bool]) -> int:
        return tx.connection.scalar(select(func.count()).where(*conditions)) or 0

    admitted = count(
        events.c.type == "decision.permitted", events.c.at >= since, events.c.at < until
    )
    decided = count(is_permitted, in_time)
    recorded = count(_is_call, seen)
    left_out = keeping.left_out(tx, since, until)
    has_span = select(_ONE).where(_s.key == _d.decision).exists()
    has_decision = select(_ONE).where(_d.decision == _s.key).exists()
    absent = select(_d.decision).where(is_permitted, in_time, ~has_span)
    if left_out:  # of what went well nobody can say which
        absent = absent.where(_d.outcome.is_distinct_from("succeeded"))
    missing = tx.connection.scalars(absent.order_by(_d.decision).limit(_MOST_NAMED)).all()
    unknown = tx.connection.scalars(
        select(_s.key).where(_is_call, seen, ~has_decision).order_by(_s.key).limit(_MOST_NAMED)
    ).all()
    unattributed = tx.connection.scalars(
        select(_s.key)
        .join(decisions, _d.decision == _s.key, isouter=True)
        .where(_s.kind == "action", _s.source == "plane", seen, _is_anybodys)
        .order_by(_s.key)
        .limit(_MOST_NAMED)
    ).all()
    return TraceCheck(
        ok=admitted == decided == recorded + left_out and not missing and not unknown,
        since=since,
        until=until,
        told=told,
        admitted=admitted,
        decided=decided,
        recorded=recorded,
        left_out=left_out,
        running=count(is_open, in_time),
        missing=tuple(missing),
        unknown=tuple(unknown),
        unattributed=tuple(unattributed),
    )
