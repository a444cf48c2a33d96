"""The statements of the budgets' hot path, each over the balances and measures in play.

They are compiled once for each shape: how many balances, and which measures. One statement
reads several balances; `MOST_AT_ONCE` bounds its text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    update,
)

from watchkeeper.budgets.model import MEASURES, NO_CAP, Account
from watchkeeper.budgets.tables import balances, holds, spenders
from watchkeeper.store.metadata import Whole
from watchkeeper.store.statement import Statement, insert
from watchkeeper.wire.budgets import Measure

MOST_AT_ONCE = 4
"""How many balances one statement reads."""
Measures = tuple[Measure, ...]
HOLD_FIELDS = (
    "decision",
    "agent",
    "run",
    "accounts",
    "state",
    "created_at",
    "expires_at",
    "touches",
)
"""What `FIND_HOLD` tells of a hold before its amounts: reserved, then posted, by measure."""
_shaped = lru_cache(maxsize=500)
_ZERO: ColumnElement[int] = literal_column("0", Whole)


def _number(name: str) -> BindParameter[int]:
    return bindparam(name, type_=Whole)


def _columns(table: Table, prefix: str) -> dict[str, ColumnElement[int]]:
    return {measure: table.c[f"{prefix}_{measure}"] for measure in MEASURES}


def _named(prefix: str, values: Mapping[Measure, Any]) -> dict[str, Any]:
    return {f"{prefix}_{measure}": value for measure, value in values.items()}


_NAMES = {
    prefix: {measure: f"{prefix}_{measure}" for measure in MEASURES}
    for prefix in ("amount", "cap", "held", "reserved")
}
_KEYS = tuple(
    (f"scope_{index}", f"period_{index}", f"key_{index}") for index in range(MOST_AT_ONCE)
)


def named(prefix: str, amounts: Mapping[Measure, int], measures: Measures) -> dict[str, Any]:
    """Return amounts of some measures under the parameter names `<prefix>_<measure>`."""
    names = _NAMES[prefix]
    return {names[measure]: amounts[measure] for measure in measures}


def keyed(accounts: Sequence[Account]) -> dict[str, Any]:
    """Return accounts under the parameter names of a statement over so many."""
    found: dict[str, Any] = {}
    for names, account in zip(_KEYS, accounts, strict=False):
        found[names[0]], found[names[1]], found[names[2]] = account
    return found


_POSTED = _columns(balances, "posted")
_HELD = _columns(balances, "held")
_TOPPED = _columns(balances, "topped")
_CAP = _columns(balances, "cap")
_RECENT = _columns(balances, "recent")
_AMOUNT = {measure: _number(f"amount_{measure}") for measure in MEASURES}
_MORE = {measure: _number(f"held_{measure}") for measure in MEASURES}
_RESERVED = {measure: _number(f"reserved_{measure}") for measure in MEASURES}

_THIS_ACCOUNT = (
    balances.c.scope == bindparam("scope_is"),
    balances.c.period == bindparam("period_is"),
    balances.c.period_key == bindparam("key_is"),
)


def _account(index: int) -> ColumnElement[bool]:
    return and_(
        balances.c.scope == bindparam(f"scope_{index}"),
        balances.c.period == bindparam(f"period_{index}"),
        balances.c.period_key == bindparam(f"key_{index}"),
    )


@_shaped
def look_at(count: int, measures: Measures) -> Statement:
    """Return what reads how some measures of some balances stand.

    After the balance's key, what is posted, held and topped up of each measure, and its cap.
    """
    return Statement(
        select(
            balances.c.scope,
            balances.c.period,
            balances.c.period_key,
            *(column[m] for m in measures for column in (_POSTED, _HELD, _TOPPED, _CAP)),
        ).where(or_(*(_account(index) for index in range(count))))
    )


@_shaped
def held_of(measures: Measures) -> Statement:
    """Return what adds to, or takes from, what is held in a balance."""
    return Statement(
        update(balances)
        .where(*_THIS_ACCOUNT)
        .values(**_named("held", {m: _HELD[m] + _MORE[m] for m in measures}))
    )


_BUCKET = _number("bucket_is")


@_shaped
def post_of(measures: Measures) -> Statement:
    """Return what changes what is held in a balance, and posts what was used to it.

    It adds to the sums of a clock hour too, which `TURN` has to have begun.
    """
    return Statement(
        update(balances)
        .where(*_THIS_ACCOUNT)
        .values(
            **_named("held", {m: _HELD[m] + _MORE[m] for m in measures}),
            **_named("posted", {m: _POSTED[m] + _AMOUNT[m] for m in measures}),
            **_named("recent", {m: _RECENT[m] + _AMOUNT[m] for m in measures}),
        )
    )


_NEXT = balances.c.bucket == _BUCKET - 1
TURN = Statement(
    update(balances)
    .where(*_THIS_ACCOUNT, balances.c.bucket != _BUCKET)
    .values(
        **_named("recent", dict.fromkeys(MEASURES, _ZERO)),
        **_named("earlier", {m: case((_NEXT, _RECENT[m]), else_=_ZERO) for m in MEASURES}),
        bucket=_BUCKET,
    )
)
"""Begins a clock hour of a balance, if nothing was posted in it yet."""


@_shaped
def correct_of(measures: Measures) -> Statement:
    """Return what adds to, or takes from, what a balance has posted."""
    return Statement(
        update(balances)
        .where(*_THIS_ACCOUNT)
        .values(**_named("posted", {m: _POSTED[m] + _AMOUNT[m] for m in measures}))
    )


BALANCE = Statement(select(balances).where(*_THIS_ACCOUNT))

OPEN_BALANCE = Statement(
    insert(balances)
    .values(
        scope=bindparam("scope"),
        period=bindparam("period"),
        period_key=bindparam("period_key"),
        agent=bindparam("agent"),
        opened_at=bindparam("opened_at"),
        bucket=_ZERO,
        **{
            f"{prefix}_{measure}": _ZERO
            for prefix in ("posted", "held", "topped", "refused", "asked", "recent", "earlier")
            for measure in MEASURES
        },
        **{f"cap_{measure}": NO_CAP for measure in MEASURES},
    )
    .on_conflict_do_nothing(index_elements=["scope", "period", "period_key"])
)


@_shaped
def add_hold(measures: Measures) -> Statement:
    """Return what keeps a hold of amounts of some measures."""
    return Statement(
        holds.insert().values(
            decision=bindparam("decision"),
            agent=bindparam("agent"),
            run=bindparam("run"),
            accounts=bindparam("accounts"),
            touches=bindparam("touches"),
            state=literal_column("'live'"),
            created_at=bindparam("created_at"),
            expires_at=bindparam("expires_at"),
            resolved_at=None,
            **{f"reserved_{m}": _RESERVED[m] if m in measures else _ZERO for m in MEASURES},
            **{f"posted_{m}": _ZERO for m in MEASURES},
        )
    )


@_shaped
def grow_hold(measures: Measures) -> Statement:
    """Return what adds amounts to a live hold."""
    return Statement(
        update(holds)
        .where(
            holds.c.decision == bindparam("decision_is"), holds.c.state == literal_column("'live'")
        )
        .values(
            **{f"reserved_{m}": holds.c[f"reserved_{m}"] + _AMOUNT[m] for m in measures},
        )
    )


FIND_HOLD = Statement(
    select(
        *(holds.c[name] for name in HOLD_FIELDS),
        *(holds.c[f"reserved_{m}"] for m in MEASURES),
        *(holds.c[f"posted_{m}"] for m in MEASURES),
    ).where(holds.c.decision == bindparam("decision_is"))
)


@_shaped
def resolve_of(measures: Measures) -> Statement:
    """Return what ends a hold that is in a state, with amounts of some measures."""
    return Statement(
        update(holds)
        .where(holds.c.decision == bindparam("decision_is"), holds.c.state == bindparam("state_is"))
        .values(
            state=bindparam("new_state"),
            resolved_at=bindparam("at"),
            **{f"posted_{m}": _AMOUNT[m] for m in measures},
        )
    )


DRAW_ON = Statement(
    update(holds)
    .where(holds.c.decision == bindparam("decision_is"))
    .values(accounts=bindparam("accounts"))
)
PROLONG = Statement(
    update(holds)
    .where(holds.c.decision == bindparam("decision_is"), holds.c.state == literal_column("'live'"))
    .values(expires_at=bindparam("until"))
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


_adding = insert(spenders)
SPENT = Statement(
    _adding.values(
        scope=bindparam("scope"),
        period=bindparam("period"),
        period_key=bindparam("period_key"),
        agent=bindparam("agent"),
        actions=bindparam("actions"),
        **_named("posted", _AMOUNT),
    ).on_conflict_do_update(
        index_elements=["scope", "period", "period_key", "agent"],
        set_={
            name: spenders.c[name] + _adding.excluded[name]
            for name in ("actions", *(f"posted_{m}" for m in MEASURES))
        },
    )
)
"""Adds amounts to what an agent posted to a shared balance."""


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


@_shaped
def caps_of(measures: Measures) -> Statement:
    """Return what keeps the caps that a balance has of some measures."""
    return Statement(
        update(balances)
        .where(*_THIS_ACCOUNT)
        .values(**_named("cap", {m: _number(f"cap_{m}") for m in measures}))
    )
