"""Reserving and settling; with topping up, the whole room. Every hold ends once, exactly.

Holds are taken from all balances over an action or from none, by updates that change a
row only if the amounts fit, so that posted + held never passes cap + top-ups however many
ask at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import key_of, open_account
from watchkeeper.budgets.model import (
    LARGEST_AMOUNT,
    MEASURES,
    Account,
    Cap,
    Held,
    HoldState,
    Refused,
    Settlement,
    written,
)
from watchkeeper.budgets.periods import HOUR_US
from watchkeeper.budgets.room import refusal
from watchkeeper.budgets.rules import (
    Amounts,
    accounts_of,
    check_amounts,
    closed_amounts,
    overshoot,
    posted_amounts,
)
from watchkeeper.budgets.topping import top_up
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import OutcomeStatus

__all__ = ["expire", "live_spend", "reserve", "settle", "top_up", "void"]


def reserve(
    tx: Transaction,
    *,
    decision: str,
    agent: str,
    run: str,
    caps: Sequence[Cap],
    amounts: Mapping[str, int],
    expires_at: int,
    now: int,
) -> Held | Refused:
    """Hold `amounts` under every cap until `expires_at`, or nothing at all.

    The caller records the decision; only a budget that begins to refuse records its own
    event. Raises :class:`Invalid` for unknown measures or amounts out of bounds.
    """
    asked = check_amounts(amounts)
    wanted = accounts_of(caps, asked, run=run, at=now)
    measures = tuple(measure for measure in MEASURES if asked[measure]) or MEASURES[:1]
    hold = sql.hold_of(measures)
    amount_of = {f"amount_{measure}": asked[measure] for measure in measures}
    for index, (account, limits) in enumerate(wanted):
        key = key_of(account)
        limit_of = {f"limit_{measure}": limits[measure] for measure in measures}
        if hold.run(tx, **key, **amount_of, **limit_of) == 1:
            continue
        opened = open_account(tx, account, agent, now)
        if opened and hold.run(tx, **key, **amount_of, **limit_of) == 1:
            continue
        reserved = sql.named("reserved", asked)
        for earlier, _ in wanted[:index]:
            sql.RELEASE.run(tx, **key_of(earlier), **reserved)
        return _refuse(tx, account, limits, asked, agent=agent, run=run, now=now)
    accounts = tuple(account for account, _ in wanted)
    if accounts:
        sql.ADD_HOLD.run(
            tx,
            decision=decision,
            agent=agent,
            run=run,
            accounts="\n".join([f"{a.scope} {a.period} {a.period_key}" for a in accounts]),
            created_at=now,
            expires_at=expires_at,
            **sql.named("reserved", asked),
        )
    return Held(decision, accounts)


def settle(
    tx: Transaction, decision: str, used: Mapping[str, int], status: OutcomeStatus
) -> Settlement | None:
    """Post what an action used, by measure, and release the rest of its hold.

    More than was reserved is posted as it is and recorded; the budget then refuses. The
    first resolution stands: later ones return it. None if no budget covers the decision.
    """
    hold = sql.FIND_HOLD.first(tx, decision_is=decision)
    if hold is None:
        return None
    reserved = amounts_of_row(hold, "reserved")
    bounded = {measure: min(amount, LARGEST_AMOUNT) for measure, amount in used.items()}
    posted = posted_amounts(reserved, check_amounts(bounded), status)
    return resolve(tx, hold, "settled", reserved, posted)


def void(tx: Transaction, decision: str) -> Settlement | None:
    """Release a hold of an action that was never performed; None if there is no hold."""
    return _close(tx, decision, "voided")


def expire(tx: Transaction, decision: str) -> Settlement | None:
    """End a hold that nobody settled in time: what was reserved counts as used."""
    ended = _close(tx, decision, "expired")
    if ended is not None and ended.first:
        tx.record(
            "hold.expired",
            actor="plane",
            subject=f"decision/{decision}",
            body={"posted": {m: n for m, n in ended.posted.items() if n}},
        )
    return ended


def live_spend(tx: Transaction, runs: Iterable[str]) -> int:
    """Return the micro-dollars that live holds of some runs keep reserved."""
    wanted = frozenset(runs)
    return sum(row.spend for row in sql.LIVE_SPEND.all(tx) if row.run in wanted)


def _refuse(
    tx: Transaction,
    account: Account,
    limits: Amounts,
    asked: Amounts,
    *,
    agent: str,
    run: str,
    now: int,
) -> Refused:
    row = sql.BALANCE.first(tx, **key_of(account))
    assert row is not None
    refused = refusal(account, limits, asked, row, now)
    assert refused is not None
    measure = refused.measure
    sql.REFUSE[measure].run(tx, **key_of(account), asked=asked[measure], limit=limits[measure])
    if not getattr(row, f"asked_{measure}"):
        tx.record(
            "budget.exhausted",
            actor="plane",
            subject=f"budget/{refused.budget_id}",
            agent=agent,
            run=run,
            body={
                "budget": refused.budget_id,
                "period_key": account.period_key,
                "measure": measure,
                "cap": refused.cap,
                "used": refused.used,
                "held": refused.held,
                "asked": refused.asked,
                "text": refused.sentence,
            },
        )
    return refused


def _close(tx: Transaction, decision: str, state: HoldState) -> Settlement | None:
    hold = sql.FIND_HOLD.first(tx, decision_is=decision)
    if hold is None:
        return None
    reserved = amounts_of_row(hold, "reserved")
    return resolve(tx, hold, state, reserved, closed_amounts(reserved, state))


def resolve(
    tx: Transaction, hold: Row, state: HoldState, reserved: Amounts, posted: Amounts
) -> Settlement:
    """End a hold with what is posted of it; if it had ended before, say how."""
    amounts = sql.named("amount", posted)
    moved = hold.state == "live" and sql.RESOLVE.run(
        tx, decision_is=hold.decision, new_state=state, at=tx.now, **amounts
    )
    if not moved:
        done = sql.FIND_HOLD.first(tx, decision_is=hold.decision)
        assert done is not None
        before = amounts_of_row(done, "posted")
        over = overshoot(reserved, before) if done.state == "settled" else {}
        return Settlement(hold.decision, done.state, before, over, first=False)
    over = overshoot(reserved, posted)
    released = sql.named("reserved", reserved)
    for line in hold.accounts.split("\n"):
        scope, period, key = line.split(" ")
        account = Account(scope, period, key)
        sql.POST.run(tx, **key_of(account), **amounts, **released, bucket_is=tx.now // HOUR_US)
        if state != "voided" and not scope.startswith(("run/", "agent/")):
            sql.SPENT.run(
                tx, scope=scope, period=period, period_key=key, agent=hold.agent, **amounts
            )
    if over:
        tx.record(
            "budget.overshot",
            actor="plane",
            subject=f"decision/{hold.decision}",
            agent=hold.agent,
            run=hold.run,
            body={"over": over, "text": ", ".join(written(m, n) for m, n in over.items())},
        )
    return Settlement(hold.decision, state, posted, over, first=True)


def amounts_of_row(row: Row, prefix: str) -> Amounts:
    """Return the amounts that a hold has under a prefix, `reserved` or `posted`."""
    return {measure: getattr(row, f"{prefix}_{measure}") for measure in MEASURES}
