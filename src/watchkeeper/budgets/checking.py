"""Balances are derivable: every one is the sum of its holds, and of the objects it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select

from watchkeeper.budgets.model import MEASURES, Account, budget_id
from watchkeeper.budgets.rules import read_accounts
from watchkeeper.budgets.tables import balances, holds, members
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure

MOST_NAMED = 100
_Sums = dict[Account, tuple[list[int], list[int]]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of a balance that is not what its holds add up to."""

    account: Account
    measure: Measure
    part: Literal["posted", "held"]
    kept: int
    summed: int

    @property
    def budget(self) -> str:
        """The budget's id."""
        return budget_id(self.account.scope, self.account.period, self.measure)


@dataclass(frozen=True, slots=True)
class Check:
    """What was added up, and the first figures that differ."""

    balances: int
    holds: int
    differences: tuple[Difference, ...]


def check_balances(tx: Transaction) -> Check:
    """Add every balance up from its holds; for `Store.scan`, as it reads all there are."""
    sums: _Sums = {}
    count = 0
    for row in tx.connection.execute(
        select(
            holds.c.accounts,
            holds.c.state,
            *(holds.c[f"reserved_{m}"] for m in MEASURES),
            *(holds.c[f"posted_{m}"] for m in MEASURES),
        )
    ):
        count += 1
        live = row[1] == "live"
        amounts = row[2 : 2 + len(MEASURES)] if live else row[2 + len(MEASURES) :]
        for account in read_accounts(row[0]):
            summed = _of(sums, account)[live]
            for index, amount in enumerate(amounts):
                summed[index] += amount
    by_balance = (members.c.scope, members.c.period, members.c.period_key)
    for scope, period, key, number in tx.connection.execute(
        select(*by_balance, func.count()).group_by(*by_balance)
    ):
        _of(sums, Account(scope, period, key))[0][MEASURES.index("objects")] += number
    found: list[Difference] = []
    seen = 0
    for row in tx.connection.execute(select(balances)):
        seen += 1
        account = Account(row.scope, row.period, row.period_key)
        found += _differences(account, row, sums.pop(account, None))
    for account, left in sums.items():
        found += _differences(account, None, left)
    return Check(seen, count, tuple(found[:MOST_NAMED]))


def _differences(
    account: Account, row: object, summed: tuple[list[int], list[int]] | None
) -> list[Difference]:
    parts: tuple[Literal["posted", "held"], ...] = ("posted", "held")
    return [
        Difference(account, measure, part, kept, derived)
        for place, part in enumerate(parts)
        for index, measure in enumerate(MEASURES)
        if (kept := int(getattr(row, f"{part}_{measure}", 0)))
        != (derived := summed[place][index] if summed else 0)
    ]


def _of(sums: _Sums, account: Account) -> tuple[list[int], list[int]]:
    found = sums.get(account)
    if found is None:
        found = sums[account] = ([0] * len(MEASURES), [0] * len(MEASURES))
    return found
