"""The statements of the budgets' hot path, each over the balances and measures in play.

They are compiled once for each shape: how many balances, and which measures. One statement
changes several balances; `MOST_AT_ONCE` bounds its text.
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
"""How many balances one statement changes."""
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


def _named(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}_{measure}": value for measure, value in values.items()}


_NAMES = {
    prefix: {measure: f"{prefix}_{measure}" for measure in MEASURES}
    for prefix in ("amount", "reserved")
}
_KEYS = tuple(
    (f"scope_{index}", f"period_{index}", f"key_{index}") for index in range(MOST_AT_ONCE)
)
ROOM_NAMES = {
    measure: tuple(
        (f"room_{index}_{measure}", f"cap_{index}_{measure}") for index in range(MOST_AT_ONCE)
    )
    for measure in MEASURES
}
"""By measure and balance, the parameters of `hold_of`: how far it may be filled, and the cap."""


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


def _cap_of(count: int, measure: Measure) -> ColumnElement[int]:
    """Return the cap that holds for a row now; the one it had where none does."""
    caps = [_number(f"cap_{index}_{measure}") for index in range(count)]
    return case(
        *(
            (
                caps[index] < NO_CAP if count == 1 else and_(_account(index), caps[index] < NO_CAP),
                caps[index],
            )
            for index in range(count)
        ),
        else_=_CAP[measure],
    )


@_shaped
def hold_of(count: int, measures: Measures, capped: Measures) -> Statement:
    """Return what holds amounts in each of some balances that has room for all of them.

    It changes, and returns, only those: with what is posted, held and topped up of the measures
    that are `capped` in any of them, one measure after the other.
    """
    return Statement(
        update(balances)
        .where(
            or_(
                *(
                    and_(
                        _account(index),
                        *(
                            _POSTED[m] + _HELD[m] + _AMOUNT[m]
                            <= _number(f"room_{index}_{m}") + _TOPPED[m]
                            for m in capped
                        ),
                    )
                    for index in range(count)
                )
            )
        )
        .values(
            **_named("held", {m: _HELD[m] + _AMOUNT[m] for m in measures}),
            **_named("cap", {m: _cap_of(count, m) for m in capped}),
        )
        .returning(
            balances.c.scope,
            balances.c.period,
            balances.c.period_key,
            *(column[m] for m in capped for column in (_POSTED, _HELD, _TOPPED)),
        )
    )


@_shaped
def release_of(measures: Measures) -> Statement:
    """Return what gives back what was held in a balance."""
    return Statement(
        update(balances)
        .where(*_THIS_ACCOUNT)
        .values(**_named("held", {m: _HELD[m] - _RESERVED[m] for m in measures}))
    )


_BUCKET = _number("bucket_is")
_SAME = balances.c.bucket == _BUCKET
_NEXT = balances.c.bucket == _BUCKET - 1


@_shaped
def post_of(count: int, measures: Measures) -> Statement:
    """Return what releases amounts in some balances and posts what was used.

    It adds to the sums of this clock hour too, but for the balances whose sums are of another:
    their `bucket`, which is returned for each, is not this hour's.
    """
    return Statement(
        update(balances)
        .where(or_(*(_account(index) for index in range(count))))
        .values(
            **_named("held", {m: _HELD[m] - _RESERVED[m] for m in measures}),
            **_named("posted", {m: _POSTED[m] + _AMOUNT[m] for m in measures}),
            **_named(
                "recent",
                {m: case((_SAME, _RECENT[m] + _AMOUNT[m]), else_=_RECENT[m]) for m in measures},
            ),
        )
        .returning(balances.c.scope, balances.c.period, balances.c.period_key, balances.c.bucket)
    )


@_shaped
def turn_of(measures: Measures) -> Statement:
    """Return what begins a clock hour of a balance, with amounts that were posted in it."""
    return Statement(
        update(balances)
        .where(*_THIS_ACCOUNT)
        .values(
            **_named("recent", {m: _AMOUNT[m] if m in measures else _ZERO for m in MEASURES}),
            **_named("earlier", {m: case((_NEXT, _RECENT[m]), else_=_ZERO) for m in MEASURES}),
            bucket=_BUCKET,
        )
    )


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


@_shaped
def spent_of(count: int, measures: Measures) -> Statement:
    """Return what adds amounts to what an agent posted to some shared balances.

    `actions_more` is how many actions that makes more.
    """
    adding = insert(spenders)
    return Statement(
        adding.values(
            [
                {
                    "scope": bindparam(f"scope_{index}"),
                    "period": bindparam(f"period_{index}"),
                    "period_key": bindparam(f"key_{index}"),
                    "agent": bindparam("agent"),
                    "actions": _number("actions_more"),
                    **{f"posted_{m}": _AMOUNT[m] if m in measures else _ZERO for m in MEASURES},
                }
                for index in range(count)
            ]
        ).on_conflict_do_update(
            index_elements=["scope", "period", "period_key", "agent"],
            set_={
                "actions": spenders.c.actions + adding.excluded.actions,
                **{
                    f"posted_{m}": spenders.c[f"posted_{m}"] + adding.excluded[f"posted_{m}"]
                    for m in measures
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
