"""How full the balances under some caps are, without drawing on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from sqlalchemy import bindparam, select

from watchkeeper.budgets.accounts import key_of
from watchkeeper.budgets.model import MEASURES, Account, Cap, Refused, budget_id
from watchkeeper.budgets.periods import period_key, resets_at
from watchkeeper.budgets.rules import hourly_rate
from watchkeeper.budgets.tables import balances
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure


@dataclass(frozen=True, slots=True)
class Level:
    """How full one cap is. Amounts in the unit of its measure."""

    cap: Cap
    account: Account
    posted: int = 0
    held: int = 0
    topped: int = 0
    per_hour: int = 0
    """What the last hour posted."""

    @property
    def used(self) -> int:
        """What is posted and held."""
        return self.posted + self.held

    @property
    def limit(self) -> int:
        """The cap with top-ups."""
        return max(0, self.cap.cap) + self.topped

    @property
    def percent(self) -> int:
        """How much of it is used, in whole percent, rounded down."""
        return self.used * 100 // self.limit if self.limit else 100

    @property
    def left(self) -> int:
        """What is neither posted nor held."""
        return max(0, self.limit - self.used)

    @property
    def budget(self) -> str:
        """The budget's id; of a cap per run that run's."""
        return budget_id(self.account.scope, self.cap.period, self.cap.measure)

    def has_room(self, asked: int) -> bool:
        """Tell whether so much fits; under a soft cap anything that finds something left."""
        if not asked:
            return True
        return self.limit > self.used if self.cap.soft else asked <= self.limit - self.used

    def refusal(self, asked: int, now: int) -> Refused:
        """Return what refuses an amount here."""
        per_call = self.cap.period == "invocation"
        return Refused(
            budget_id=self.budget,
            scope=self.account.scope,
            period=self.cap.period,
            period_key=self.account.period_key,
            measure=self.cap.measure,
            used=self.posted,
            held=self.held,
            cap=self.limit,
            asked=asked,
            resets_at=None if per_call else resets_at(self.cap.period, now, self.cap.zone),
            by=self.cap,
        )


def levels_of(
    tx: Transaction | None, caps: Iterable[Cap], *, run: str, now: int
) -> tuple[Level, ...]:
    """Return how full every cap is, in their order; without a transaction all are empty."""
    placed = [(cap, account_of(cap, run=run, now=now)) for cap in caps]
    wanted: dict[Account, set[Measure]] = {}
    for cap, account in placed:
        if cap.period != "invocation":
            wanted.setdefault(account, set()).add(cap.measure)
    rows: dict[Account, Row | None] = {}
    if tx is not None:
        for account, measures in wanted.items():
            look = _look_at(tuple(one for one in MEASURES if one in measures))
            rows[account] = look.first(tx, **key_of(account))
    return tuple(_level(cap, account, rows.get(account), now) for cap, account in placed)


def account_of(cap: Cap, *, run: str, now: int) -> Account:
    """Return the balance that a cap is kept in now; one per invocation has none of its own."""
    if cap.period == "run":
        return Account(f"run/{run}", "run", run)
    if cap.period == "invocation":
        return Account(cap.scope, "invocation", "")
    return Account(cap.scope, cap.period, period_key(cap.period, now, run, cap.zone))


@cache
def _look_at(measures: tuple[Measure, ...]) -> Statement:
    """Return what reads some measures of a balance: a row has a hundred columns."""
    prefixes = ("posted", "held", "topped", "recent", "earlier")
    columns = [balances.c[f"{prefix}_{one}"] for one in measures for prefix in prefixes]
    return Statement(
        select(balances.c.bucket, *columns).where(
            balances.c.scope == bindparam("scope_is"),
            balances.c.period == bindparam("period_is"),
            balances.c.period_key == bindparam("key_is"),
        )
    )


def _level(cap: Cap, account: Account, row: Row | None, now: int) -> Level:
    if row is None:
        return Level(cap, account)
    measure = cap.measure

    def of(name: str) -> int:
        return int(getattr(row, f"{name}_{measure}"))

    rate = hourly_rate(recent=of("recent"), earlier=of("earlier"), bucket=row.bucket, now=now)
    return Level(cap, account, of("posted"), of("held"), of("topped"), rate)
