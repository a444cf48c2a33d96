"""Whether a balance has room, without holding anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watchkeeper.budgets import members
from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import key_of
from watchkeeper.budgets.model import MEASURES, Cap, Refused, budget_id
from watchkeeper.budgets.periods import resets_at, zone_of
from watchkeeper.budgets.rules import Amounts, Drawn, accounts_of, beyond_one_call, check_amounts
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure


def find_room(
    tx: Transaction | None,
    *,
    run: str,
    caps: Sequence[Cap],
    amounts: Mapping[Measure, int],
    now: int,
    touches: str | None = None,
) -> Refused | None:
    """Return what `reserve` would refuse with now, or None if it would hold the amounts.

    Without a transaction every balance is taken as empty.
    """
    asked = check_amounts(amounts)
    beyond = beyond_one_call(caps, asked)
    if beyond is not None:
        return refused_at_once(beyond, asked)
    for drawn in accounts_of(caps, asked, run=run, at=now):
        row = None if tx is None else sql.BALANCE.first(tx, **key_of(drawn.account))
        needed = asked
        if touches is not None and tx is not None and members.is_known(tx, drawn.account, touches):
            needed = {**asked, "objects": 0}
        refused = refusal(drawn, needed, row, now)
        if refused is not None:
            return refused
    return None


def refusal(drawn: Drawn, asked: Amounts, balance: Row | None, now: int) -> Refused | None:
    """Return the first measure of a balance that has no room; no balance is an empty one."""
    account = drawn.account
    for measure in MEASURES:
        if measure not in drawn.limits:
            continue
        room, cap = drawn.limits[measure]
        used, held, topped = (
            _of(balance, prefix, measure) for prefix in ("posted", "held", "topped")
        )
        if room + topped - used - held < asked[measure]:
            return Refused(
                budget_id=budget_id(account.scope, account.period, measure),
                scope=account.scope,
                period=account.period,
                period_key=account.period_key,
                measure=measure,
                used=used,
                held=held,
                cap=max(0, cap.cap) + topped,
                asked=asked[measure],
                resets_at=resets_at(account.period, now, zone_of(account.period_key)),
                by=cap,
            )
    return None


def refused_at_once(cap: Cap, asked: Amounts) -> Refused:
    """Return the refusal of a call that is beyond what one call may use."""
    return Refused(
        budget_id=cap.budget_id,
        scope=cap.scope,
        period=cap.period,
        period_key="",
        measure=cap.measure,
        used=0,
        held=0,
        cap=cap.cap,
        asked=asked[cap.measure],
        resets_at=None,
        by=cap,
    )


def _of(balance: Row | None, prefix: str, measure: Measure) -> int:
    return 0 if balance is None else int(getattr(balance, f"{prefix}_{measure}"))
