"""Reserving; with settling, voiding and topping up, the whole room.

Holds are taken from all balances over an action or from none, and only if the amounts fit what
the one writer that there is finds there, so that posted + held never passes cap + top-ups however
many ask at once.
Only a soft cap is passed, by one call at most. Of a measure that no cap covers nothing is
counted, but for calls, tokens and money spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from watchkeeper.budgets import members
from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import key_of, open_account
from watchkeeper.budgets.model import (
    MEASURES,
    Account,
    Cap,
    Filled,
    Held,
    Refused,
)
from watchkeeper.budgets.moving import Movements, Standings
from watchkeeper.budgets.room import refusal, refused_at_once
from watchkeeper.budgets.rules import (
    Amounts,
    Drawn,
    accounts_of,
    beyond_one_call,
    check_amounts,
    read_accounts,
    write_accounts,
    write_touches,
)
from watchkeeper.budgets.settling import expire, prolong, reserved_of, settle, void
from watchkeeper.budgets.topping import top_up
from watchkeeper.core.errors import Conflict
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure

__all__ = [
    "expire",
    "extend",
    "live_spend",
    "prolong",
    "refuse",
    "reserve",
    "settle",
    "top_up",
    "void",
]

_Standing = dict[Account, Standings]


def reserve(
    tx: Transaction,
    *,
    decision: str,
    agent: str,
    run: str,
    caps: Sequence[Cap],
    amounts: Mapping[Measure, int],
    expires_at: int,
    now: int,
    touches: str | None = None,
    final: bool = True,
) -> Held | Refused:
    """Hold `amounts` under every cap until `expires_at`, or nothing at all.

    `touches` is the business object that an amount of `objects` is about: a balance that counts
    it already needs no room for it. The caller records the decision; only a budget that begins
    to refuse records its own event. Where a refusal is not `final` nothing is recorded: something
    else may be tried, or the caller says `refuse`. Raises :class:`Invalid` for unknown measures
    or amounts out of bounds.
    """
    asked = check_amounts(amounts)
    beyond = beyond_one_call(caps, asked)
    if beyond is not None:
        return refused_at_once(beyond, asked)
    wanted = accounts_of(caps, asked, run=run, at=now)
    counting = _counting(tx, wanted, touches) if touches is not None else frozenset()
    # objects need room and are not held: `members` posts them
    kept = asked if touches is None else {**asked, "objects": 0}
    measures = _in_play(kept)
    rows = _hold(tx, wanted, asked, measures, agent=agent, run=run, now=now)
    if isinstance(rows, Refused):
        if final:
            refuse(tx, rows, agent=agent, run=run)
        return rows
    for account in counting:
        assert touches is not None
        members.touch(tx, account, touches)
    accounts = tuple(drawn.account for drawn in wanted)
    if accounts:
        sql.add_hold(measures).run(
            tx,
            decision=decision,
            agent=agent,
            run=run,
            accounts=write_accounts(accounts),
            touches=write_touches(touches, accounts, counting) if touches else None,
            created_at=now,
            expires_at=expires_at,
            **sql.named("reserved", kept, measures),
        )
    return Held(
        decision, accounts, partial(_filled, wanted, rows, asked, counted=touches is not None)
    )


def extend(
    tx: Transaction, decision: str, amounts: Mapping[Measure, int], caps: Sequence[Cap]
) -> Held | Refused | None:
    """Hold more for an action that is under way, in all its balances or in none.

    `caps` are those over the action now. What a cap per invocation allows counts for the whole
    action. Balances that it did not draw on before are not drawn on. None if nothing is held for
    it; raises :class:`Conflict` if its hold has ended.
    """
    hold = sql.FIND_HOLD.first(tx, decision_is=decision)
    if hold is None:
        return None
    if hold.state != "live":
        raise Conflict(
            f"what was held for {decision} is {hold.state}",
            code="hold_ended",
            remedy="make a new call",
        )
    more = check_amounts(amounts)
    whole = reserved_of(hold)
    beyond = beyond_one_call(caps, {m: whole[m] + more[m] if more[m] else 0 for m in MEASURES})
    if beyond is not None:
        return refused_at_once(beyond, {m: whole[m] + more[m] for m in MEASURES})
    kept = read_accounts(hold.accounts)
    # it belongs to the periods of its permit, whatever the clock shows by now
    over = {
        drawn.account: drawn for drawn in accounts_of(caps, more, run=hold.run, at=hold.created_at)
    }
    wanted = [over.get(account, Drawn(account, {}, [])) for account in kept]
    measures = _in_play(more)
    rows = _hold(tx, wanted, more, measures, agent=hold.agent, run=hold.run, now=tx.now)
    if isinstance(rows, Refused):
        refuse(tx, rows, agent=hold.agent, run=hold.run)
        return rows
    sql.grow_hold(measures).run(tx, decision_is=decision, **sql.named("amount", more, measures))
    return Held(decision, tuple(kept), partial(_filled, wanted, rows, more, counted=False))


def refuse(tx: Transaction, refused: Refused, *, agent: str, run: str) -> None:
    """Count a refusal; a budget that begins to refuse records its event."""
    if refused.period == "invocation":
        return
    account = Account(refused.scope, refused.period, refused.period_key)
    row = sql.BALANCE.first(tx, **key_of(account))
    if row is None:  # the first call of a period, refused before anything was held of it
        open_account(tx, account, agent, tx.now)
        row = sql.BALANCE.first(tx, **key_of(account))
    measure = refused.measure
    limit = max(0, refused.by.cap)
    sql.REFUSE[measure].run(tx, **key_of(account), asked=refused.asked, limit=limit)
    if getattr(row, f"asked_{measure}"):
        return
    tx.record(
        "budget.exhausted",
        actor="plane",
        subject=f"budget/{refused.budget_id}",
        agent=agent,
        run=run,
        body={
            "budget": refused.budget_id,
            "period_key": refused.period_key,
            "measure": measure,
            "cap": refused.cap,
            "used": refused.used,
            "held": refused.held,
            "asked": refused.asked,
            "text": refused.sentence,
        },
    )


def live_spend(tx: Transaction, runs: Iterable[str]) -> int:
    """Return the micro-dollars that live holds of some runs keep reserved."""
    wanted = frozenset(runs)
    return sum(row.spend for row in sql.LIVE_SPEND.all(tx) if row.run in wanted)


def _in_play(amounts: Amounts) -> sql.Measures:
    return tuple([measure for measure in MEASURES if amounts[measure]]) or MEASURES[:1]


def _counting(tx: Transaction, wanted: Sequence[Drawn], touches: str) -> frozenset[Account]:
    """Return the balances that count objects; where this one is counted no room is needed."""
    found = []
    for drawn in wanted:
        if "objects" in drawn.limits:
            found.append(drawn.account)
            if members.is_known(tx, drawn.account, touches):
                del drawn.limits["objects"]
    return frozenset(found)


def _hold(
    tx: Transaction,
    wanted: Sequence[Drawn],
    asked: Amounts,
    measures: sql.Measures,
    *,
    agent: str,
    run: str,
    now: int,
) -> _Standing | Refused:
    """Hold amounts of some measures in every balance, or in none; return what each has then.

    All that is `asked` needs room.
    """
    if not wanted:
        return {}
    rows = fill(tx, wanted, asked, measures)
    if len(rows) == len(wanted):
        return rows
    missing = [drawn for drawn in wanted if drawn.account not in rows]
    opened = [drawn for drawn in missing if open_account(tx, drawn.account, agent, now)]
    if opened:
        rows |= fill(tx, opened, asked, measures)
    if len(rows) == len(wanted):
        return rows
    movements = tx.deferred(Movements)
    for account in rows:
        movements.release(account, asked, measures)
    full = next(drawn for drawn in wanted if drawn.account not in rows)
    row = sql.BALANCE.first(tx, **key_of(full.account))
    refused = refusal(full, asked, row, now)
    assert refused is not None
    return refused


def fill(
    tx: Transaction, wanted: Sequence[Drawn], asked: Amounts, measures: sql.Measures
) -> _Standing:
    """Hold amounts in the balances that have room, each by itself; return how those stand."""
    return tx.deferred(Movements).hold(tx, wanted, asked, measures)


def _filled(
    wanted: Sequence[Drawn], rows: _Standing, asked: Amounts, *, counted: bool
) -> tuple[Filled, ...]:
    found = []
    for drawn in wanted:
        standing = rows[drawn.account]
        for cap in drawn.caps:
            measure = cap.measure
            if measure not in drawn.limits:  # an object that the balance counts already
                continue
            posted, held, topped, _ = standing[measure]
            used = posted + held
            if counted and measure == "objects":
                used += asked[measure]
            limit = max(0, cap.cap) + topped
            found.append(Filled(cap, drawn.account, used, limit, asked[measure]))
    return tuple(found)
