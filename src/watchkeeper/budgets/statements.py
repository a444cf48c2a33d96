"""The statements of the budgets' hot path, each over all measures at once."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Table,
    bindparam,
    case,
    func,
    literal_column,
    select,
    update,
)

from watchkeeper.budgets.model import MEASURES, NO_CAP
from watchkeeper.budgets.tables import balances, holds, spenders
from watchkeeper.store.metadata import Whole
from watchkeeper.store.statement import Statement, insert
from watchkeeper.wire.budgets import Measure


def _number(name: str) -> BindParameter[int]:
    return bindparam(name, type_=Whole)


def _columns(table: Table, prefix: str) -> dict[str, ColumnElement[int]]:
    return {measure: table.c[f"{prefix}_{measure}"] for measure in MEASURES}


def _named(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}_{measure}": value for measure, value in values.items()}


def named(prefix: str, amounts: dict[Any, int]) -> dict[str, int]:
    """Return amounts under the parameter names `<prefix>_<measure>`."""
    return {f"{prefix}_{measure}": amount for measure, amount in amounts.items()}


_POSTED = _columns(balances, "posted")
_HELD = _columns(balances, "held")
_TOPPED = _columns(balances, "topped")
_CAP = _columns(balances, "cap")
_RECENT = _columns(balances, "recent")
_EARLIER = _columns(balances, "earlier")
_AMOUNT = {measure: _number(f"amount_{measure}") for measure in MEASURES}
_LIMIT = {measure: _number(f"limit_{measure}") for measure in MEASURES}
_RESERVED = {measure: _number(f"reserved_{measure}") for measure in MEASURES}

_THIS_ACCOUNT = (
    balances.c.scope == bindparam("scope_is"),
    balances.c.period == bindparam("period_is"),
    balances.c.period_key == bindparam("key_is"),
)


@cache
def hold_of(measures: tuple[Measure, ...]) -> Statement:
    """Return what holds amounts of some measures if each has room under its limit.

    It changes no row otherwise.
    """
    return Statement(
        update(balances)
        .where(
            *_THIS_ACCOUNT,
            *(_POSTED[m] + _HELD[m] + _AMOUNT[m] <= _LIMIT[m] + _TOPPED[m] for m in measures),
        )
        .values(
            **_named("held", {m: _HELD[m] + _AMOUNT[m] for m in measures}),
            **_named(
                "cap", {m: case((_LIMIT[m] < NO_CAP, _LIMIT[m]), else_=_CAP[m]) for m in measures}
            ),
        )
    )


RELEASE = Statement(
    update(balances)
    .where(*_THIS_ACCOUNT)
    .values(**_named("held", {m: _HELD[m] - _RESERVED[m] for m in MEASURES}))
)

_BUCKET = _number("bucket_is")
_SAME = balances.c.bucket == _BUCKET
_NEXT = balances.c.bucket == _BUCKET - 1
POST = Statement(
    update(balances)
    .where(*_THIS_ACCOUNT)
    .values(
        **_named("held", {m: _HELD[m] - _RESERVED[m] for m in MEASURES}),
        **_named("posted", {m: _POSTED[m] + _AMOUNT[m] for m in MEASURES}),
        **_named(
            "recent",
            {m: case((_SAME, _RECENT[m]), else_=0) + _AMOUNT[m] for m in MEASURES},
        ),
        **_named(
            "earlier",
            {m: case((_SAME, _EARLIER[m]), (_NEXT, _RECENT[m]), else_=0) for m in MEASURES},
        ),
        bucket=_BUCKET,
    )
)
"""Releases what was held and posts what was used, also to the sums of this clock hour."""

BALANCE = Statement(select(balances).where(*_THIS_ACCOUNT))

OPEN_BALANCE = Statement(
    insert(balances)
    .values(
        scope=bindparam("scope"),
        period=bindparam("period"),
        period_key=bindparam("period_key"),
        agent=bindparam("agent"),
        opened_at=bindparam("opened_at"),
        bucket=0,
        **{
            f"{prefix}_{measure}": 0
            for prefix in ("posted", "held", "topped", "refused", "asked", "recent", "earlier")
            for measure in MEASURES
        },
        **{f"cap_{measure}": NO_CAP for measure in MEASURES},
    )
    .on_conflict_do_nothing(index_elements=["scope", "period", "period_key"])
)

ADD_HOLD = Statement(
    holds.insert().values(
        decision=bindparam("decision"),
        agent=bindparam("agent"),
        run=bindparam("run"),
        accounts=bindparam("accounts"),
        state="live",
        created_at=bindparam("created_at"),
        expires_at=bindparam("expires_at"),
        resolved_at=None,
        **{f"reserved_{m}": bindparam(f"reserved_{m}") for m in MEASURES},
        **{f"posted_{m}": 0 for m in MEASURES},
    )
)
FIND_HOLD = Statement(select(holds).where(holds.c.decision == bindparam("decision_is")))
RESOLVE = Statement(
    update(holds)
    .where(holds.c.decision == bindparam("decision_is"), holds.c.state == literal_column("'live'"))
    .values(
        state=bindparam("new_state"),
        resolved_at=bindparam("at"),
        **{f"posted_{m}": bindparam(f"amount_{m}") for m in MEASURES},
    )
)
EXPIRED = Statement(
    select(holds.c.decision)
    .where(holds.c.state == literal_column("'live'"), holds.c.expires_at <= bindparam("now"))
    .order_by(holds.c.expires_at)
    .limit(bindparam("most"))
)
NEXT_EXPIRY = Statement(
    select(holds.c.expires_at)
    .where(holds.c.state == literal_column("'live'"))
    .order_by(holds.c.expires_at)
    .limit(1)
)
LIVE_SPEND = Statement(
    select(holds.c.run, func.sum(holds.c.reserved_spend).label("spend"))
    .where(holds.c.state == literal_column("'live'"), holds.c.decision < literal_column("'run_'"))
    .group_by(holds.c.run)
)
"""What is lent to child runs is left out: their own calls hold it."""

_spent = insert(spenders)
SPENT = Statement(
    _spent.values(
        scope=bindparam("scope"),
        period=bindparam("period"),
        period_key=bindparam("period_key"),
        agent=bindparam("agent"),
        actions=1,
        **{f"posted_{m}": bindparam(f"amount_{m}") for m in MEASURES},
    ).on_conflict_do_update(
        index_elements=["scope", "period", "period_key", "agent"],
        set_={
            "actions": spenders.c.actions + 1,
            **{
                f"posted_{m}": spenders.c[f"posted_{m}"] + _spent.excluded[f"posted_{m}"]
                for m in MEASURES
            },
        },
    )
)

REFUSE = {
    m: Statement(
        update(balances)
        .where(*_THIS_ACCOUNT)
        .values(
            **{
                f"refused_{m}": balances.c[f"refused_{m}"] + 1,
                f"asked_{m}": bindparam("asked"),
                f"cap_{m}": bindparam("limit"),
            }
        )
    )
    for m in MEASURES
}
TOP_UP = {
    m: Statement(
        update(balances)
        .where(*_THIS_ACCOUNT)
        .values(**{f"topped_{m}": _TOPPED[m] + bindparam("amount"), f"asked_{m}": 0})
    )
    for m in MEASURES
}
SET_CAP = {
    m: Statement(update(balances).where(*_THIS_ACCOUNT).values(**{f"cap_{m}": bindparam("limit")}))
    for m in MEASURES
}
