"""Carving a child run's budget out of its parent's, and giving back what it did not use.

What is lent is held in the parent's own account until the child ends: whatever a parent hands
out, to however many, it can't pass its own caps. Budgets of agents and teams are not touched:
the child's calls draw on those themselves.

A person who tops up a child's own budget gives it room beyond the loan: what it uses of that is
never its parent's. A business object that parent and child both touch counts once for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import key_of
from watchkeeper.budgets.model import LARGEST_AMOUNT, Account, Cap, Refused, Settlement
from watchkeeper.budgets.rules import Amounts
from watchkeeper.budgets.service import reserve
from watchkeeper.budgets.settling import reserved_of, resolve
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure

LOAN_SECONDS = 30 * 86_400
"""After this long an open loan counts as used; its child may still use what it has."""


def lend(
    tx: Transaction,
    *,
    parent: str,
    child: str,
    agent: str,
    caps: Sequence[Cap],
    wanted: Mapping[Measure, int],
    usual: Mapping[Measure, int],
) -> dict[Measure, int] | Refused:
    """Hold a child's budget in its parent's account; return what the child may use.

    `caps` are those over the parent's run, `agent` is the parent's; a soft one is strict for a
    loan, which is not one call that may pass it but as many as it pays for. Of a measure that is
    not `wanted` the child gets its `usual` amount, or as much of it as the parent has left; one
    that neither caps stays free. The caller records the run that is opened with it.
    """
    account = Account(f"run/{parent}", "run", parent)
    limits: dict[Measure, int] = {}
    for cap in caps:
        limits[cap.measure] = min(cap.cap, limits.get(cap.measure, LARGEST_AMOUNT))
    row = sql.BALANCE.first(tx, **key_of(account))
    granted: dict[Measure, int] = {}
    for measure, limit in limits.items():
        left = max(0, limit - _used(row, measure) + _topped(row, measure))
        granted[measure] = min(left, usual.get(measure, left))
    granted |= wanted
    answer = reserve(
        tx,
        decision=child,
        agent=agent,
        run=parent,
        caps=[cap._replace(soft=False) for cap in caps],
        amounts=granted,
        expires_at=tx.now + LOAN_SECONDS * MICROSECONDS,
        now=tx.now,
    )
    return answer if isinstance(answer, Refused) else granted


def give_back(tx: Transaction, child: str) -> Settlement | None:
    """Post what a child used to its parent's account and release the rest.

    What a call in flight holds counts as used, and so does what the child's own children
    still have. None if the child has no loan; giving back again changes nothing.
    """
    hold = sql.FIND_HOLD.first(tx, decision_is=child)
    if hold is None:
        return None
    lent = reserved_of(hold)
    row = sql.BALANCE.first(tx, **key_of(Account(f"run/{child}", "run", child)))
    # what a person topped up for the child alone was never the parent's
    used: Amounts = {measure: min(lent[measure], _used(row, measure)) for measure in lent}
    return resolve(tx, hold, "settled", lent, used)


def _used(row: Row | None, measure: Measure) -> int:
    if row is None:
        return 0
    return int(getattr(row, f"posted_{measure}") + getattr(row, f"held_{measure}"))


def _topped(row: Row | None, measure: Measure) -> int:
    return 0 if row is None else int(getattr(row, f"topped_{measure}"))
