"""The statements of the outbox, compiled once."""

from __future__ import annotations

from sqlalchemy import bindparam, func, literal_column, select, update

from watchkeeper.outbox.tables import deliveries, targets_off
from watchkeeper.store.statement import Statement, insert

_row = deliveries.c
# Literals, not parameters: only so does SQLite know that its partial indexes apply.
IS_PENDING = _row.state == literal_column("'pending'")
IS_SENDING = _row.state == literal_column("'sending'")

ADD = Statement(deliveries.insert())
FIND = Statement(select(deliveries).where(_row.id == bindparam("id_is")))
ABANDONED = Statement(
    select(deliveries)
    .where(IS_SENDING, _row.claimed_until <= bindparam("now"))
    .order_by(_row.claimed_until)
    .limit(bindparam("most"))
)
SENDING = Statement(
    select(_row.id, _row.claimed_until).where(IS_SENDING).order_by(_row.claimed_until).limit(500)
)
CLAIM = Statement(
    update(deliveries)
    .where(_row.id == bindparam("id_is"), IS_PENDING, _row.epoch == bindparam("epoch_was"))
    .values(
        state="sending",
        attempts=_row.attempts + 1,
        epoch=_row.epoch + 1,
        next_at=None,
        claimed_until=bindparam("until"),
    )
)
MOVE = Statement(
    update(deliveries)
    .where(
        _row.id == bindparam("id_is"),
        _row.state == bindparam("state_was"),
        _row.epoch == bindparam("epoch_was"),
    )
    .values(
        state=bindparam("to_state"),
        attempts=bindparam("to_attempts"),
        next_at=bindparam("to_next_at"),
        claimed_until=None,
        last_status=bindparam("to_status"),
        last_error=bindparam("to_error"),
        sent_at=bindparam("to_sent_at"),
    )
)
DEAD_OF = Statement(
    select(deliveries)
    .where(
        _row.state == "dead", _row.kind == bindparam("kind_is"), _row.target == bindparam("name_is")
    )
    .order_by(_row.id)
    .limit(bindparam("most"))
)
COUNT_DEAD_OF = Statement(
    select(func.count()).where(
        _row.state == "dead", _row.kind == bindparam("kind_is"), _row.target == bindparam("name_is")
    )
)
LOST = Statement(
    select(
        _row.kind,
        _row.target,
        _row.state,
        func.count().label("many"),
        func.min(_row.created_at).label("since"),
        func.max(_row.last_error).label("error"),
    )
    .where(_row.state.in_([literal_column("'dead'"), literal_column("'unknown'")]))
    .group_by(_row.kind, _row.target, _row.state)
    .order_by(_row.kind, _row.target, _row.state)
    .limit(200)
)

_off = insert(targets_off)
TURN_OFF = Statement(
    _off.on_conflict_do_update(
        index_elements=["kind", "target"],
        set_={
            "digest": _off.excluded.digest,
            "why": _off.excluded.why,
            "since": _off.excluded.since,
        },
    )
)
TURN_ON = Statement(
    targets_off.delete().where(
        targets_off.c.kind == bindparam("kind_is"), targets_off.c.target == bindparam("name_is")
    )
)
OFF = Statement(
    select(targets_off).where(
        targets_off.c.kind == bindparam("kind_is"), targets_off.c.target == bindparam("name_is")
    )
)
ALL_OFF = Statement(select(targets_off).order_by(targets_off.c.since).limit(200))
