"""Balances that an action turns out to count in when it ends.

What nothing was expected of draws only on the budgets that count it at all: a tool call on those
of calls. Where it is then said to have cost something, it counts in the budgets of money too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import key_of, open_account
from watchkeeper.budgets.model import LARGEST_AMOUNT, MEASURES, NO_CAP, Account, Cap
from watchkeeper.budgets.rules import (
    Amounts,
    Drawn,
    accounts_of,
    check_amounts,
    read_accounts,
    write_accounts,
)
from watchkeeper.budgets.service import fill
from watchkeeper.budgets.settling import count_spender, posted_of, reserved_of
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure

ANY_ROOM = NO_CAP // 2


def widen(
    tx: Transaction,
    decision: str,
    used: Mapping[Measure, int],
    caps: Sequence[Cap],
    *,
    agent: str,
    run: str,
    permitted_at: int,
) -> None:
    """Let an action's hold draw on every balance that caps what it `used`, room or not.

    To be settled in the same unit of work. The periods are those of its permit. A hold that
    expired, and counts as reserved, counts so there too; one that has ended otherwise stays.
    """
    asked = check_amounts({measure: min(n, LARGEST_AMOUNT) for measure, n in used.items()})
    hold = sql.FIND_HOLD.first(tx, decision_is=decision)
    if hold is not None and hold.state not in ("live", "expired"):
        return
    at = permitted_at if hold is None else hold.created_at
    kept = [] if hold is None else read_accounts(hold.accounts)
    counting = (cap for cap in caps if asked[cap.measure])
    # what is used is used: any room does, and each balance shows its caps from now on
    wanted = [
        Drawn(one.account, {m: (ANY_ROOM, room[1]) for m, room in one.limits.items()}, one.caps)
        for one in accounts_of(counting, asked, run=run, at=at)
    ]
    nothing: Amounts = dict.fromkeys(MEASURES, 0)
    fill(tx, [one for one in wanted if one.account in kept], nothing, MEASURES[:1])
    new = [one for one in wanted if one.account not in kept]
    if not new:
        return
    fresh = [one.account for one in new]
    for account in fresh:
        open_account(tx, account, agent, at)
    held = reserved_of(hold) if hold is not None and hold.state == "live" else nothing
    fill(tx, new, held, MEASURES)
    if hold is None:
        none = MEASURES[:1]
        sql.add_hold(none).run(
            tx,
            decision=decision,
            agent=agent,
            run=run,
            accounts=write_accounts(fresh),
            touches=None,
            created_at=at,
            expires_at=tx.now,
            **sql.named("reserved", nothing, none),
        )
        return
    sql.DRAW_ON.run(tx, decision_is=decision, accounts=write_accounts([*kept, *fresh]))
    if hold.state == "expired":
        _count(tx, hold.agent, fresh, posted_of(hold))


def _count(tx: Transaction, agent: str, accounts: list[Account], posted: Amounts) -> None:
    measures = tuple(m for m in MEASURES if posted[m]) or MEASURES[:1]
    values = sql.named("amount", posted, measures)
    for account in accounts:
        sql.correct_of(measures).run(tx, **key_of(account), **values)
    count_spender(tx, agent, accounts, measures, posted, actions=1)
