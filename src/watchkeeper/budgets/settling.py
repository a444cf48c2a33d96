"""How holds end: settled, voided or expired, each exactly once.

What nobody reported expires and counts as it was reserved. It is the one end that a later report
still corrects: then what the action came to counts, as if it had been reported in time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from watchkeeper.budgets import members
from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import key_of
from watchkeeper.budgets.model import (
    LARGEST_AMOUNT,
    MEASURES,
    Account,
    HoldState,
    Settlement,
    written,
)
from watchkeeper.budgets.moving import Movements, Spent
from watchkeeper.budgets.rules import (
    Amounts,
    check_amounts,
    closed_amounts,
    overshoot,
    posted_amounts,
    read_accounts,
    read_touches,
)
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure
from watchkeeper.wire.decisions import OutcomeStatus

_FIRST = len(sql.HOLD_FIELDS)
OF_ONE_AGENT = ("run/", "agent/", "version/")
"""Scopes that one agent alone posts to."""


def settle(
    tx: Transaction,
    decision: str,
    used: Mapping[Measure, int],
    status: OutcomeStatus,
    *,
    within: Collection[Measure] = (),
) -> Settlement | None:
    """Post what an action used, by measure, and release the rest of its hold.

    More than was reserved is posted as it is and recorded; the budget then refuses. Of the
    measures `within` no more counts than was reserved: whoever performed it cut it off there. The
    first end stands, and later ones return it; only an expired hold is corrected, by an outcome
    that is not `unknown`. None if no budget covers the decision.
    """
    hold = sql.FIND_HOLD.first(tx, decision_is=decision)
    if hold is None:
        return None
    reserved = reserved_of(hold)
    bounded = {measure: min(amount, LARGEST_AMOUNT) for measure, amount in used.items()}
    elapsed = min(max(0, tx.now - hold.created_at), LARGEST_AMOUNT)
    posted = posted_amounts(reserved, check_amounts(bounded), status, elapsed=elapsed)
    for measure in within:
        posted[measure] = min(posted[measure], reserved[measure])
    if hold.state == "expired" and status != "unknown":
        return _correct(tx, hold, reserved, posted)
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


def prolong(tx: Transaction, decision: str, until: int) -> bool:
    """Let a live hold last until a time, as what it is for is still under way."""
    return sql.PROLONG.run(tx, decision_is=decision, until=until) == 1


def resolve(
    tx: Transaction, hold: Row, state: HoldState, reserved: Amounts, posted: Amounts
) -> Settlement:
    """End a hold with what is posted of it; if it had ended before, say how."""
    if not _move(tx, hold, "live", state, posted):
        before = posted_of(hold)
        over = overshoot(reserved, before) if hold.state == "settled" else {}
        return Settlement(hold.decision, hold.state, before, over, first=False)
    _post(tx, hold, reserved, posted, count=state != "voided")
    if state == "voided" and hold.touches is not None:
        touches, counting = read_touches(hold.touches, read_accounts(hold.accounts))
        for account in counting:
            members.leave(tx, account, touches)
    return Settlement(hold.decision, state, posted, _over(tx, hold, reserved, posted), first=True)


def _correct(tx: Transaction, hold: Row, reserved: Amounts, posted: Amounts) -> Settlement:
    """Put what an action came to in place of the reservation that counted for it."""
    if not correct(tx, hold, posted):
        return Settlement(hold.decision, hold.state, posted_of(hold), {}, first=False)
    return Settlement(
        hold.decision, "settled", posted, _over(tx, hold, reserved, posted), first=True
    )


def correct(tx: Transaction, hold: Row, posted: Amounts) -> bool:
    """Count something else of a hold that has ended; False if it stands otherwise meanwhile."""
    before = posted_of(hold)
    if not _move(tx, hold, hold.state, "settled", posted):
        return False
    more = {measure: posted[measure] - before[measure] for measure in MEASURES}
    measures = tuple(measure for measure in MEASURES if more[measure])
    if measures:
        values = sql.named("amount", more, measures)
        accounts = read_accounts(hold.accounts)
        for account in accounts:
            sql.correct_of(measures).run(tx, **key_of(account), **values)
        count_spender(tx, hold.agent, accounts, measures, more, actions=0)
    tx.record(
        "hold.corrected",
        actor="plane",
        subject=f"decision/{hold.decision}",
        agent=hold.agent,
        run=hold.run,
        body={"posted": {m: n for m, n in posted.items() if n}, "before": _seen(before)},
    )
    return True


def _close(tx: Transaction, decision: str, state: HoldState) -> Settlement | None:
    hold = sql.FIND_HOLD.first(tx, decision_is=decision)
    if hold is None:
        return None
    reserved = reserved_of(hold)
    return resolve(tx, hold, state, reserved, closed_amounts(reserved, state))


def _move(tx: Transaction, hold: Row, of: HoldState, to: HoldState, posted: Amounts) -> bool:
    if hold.state != of:
        return False
    before = posted_of(hold)
    measures = tuple([m for m in MEASURES if posted[m] != before[m]]) or MEASURES[:1]
    return bool(
        sql.resolve_of(measures).run(
            tx,
            decision_is=hold.decision,
            state_is=of,
            new_state=to,
            at=tx.now,
            **sql.named("amount", posted, measures),
        )
    )


def _post(tx: Transaction, hold: Row, reserved: Amounts, posted: Amounts, *, count: bool) -> None:
    measures = tuple([m for m in MEASURES if reserved[m] or posted[m]]) or MEASURES[:1]
    accounts = read_accounts(hold.accounts)
    movements = tx.deferred(Movements)
    for account in accounts:
        movements.post(tx, account, reserved, posted, measures)
    if count:
        count_spender(tx, hold.agent, accounts, measures, posted, actions=1)


def count_spender(
    tx: Transaction,
    agent: str,
    accounts: list[Account],
    measures: sql.Measures,
    amounts: Amounts,
    *,
    actions: int,
) -> None:
    """Add to what an agent posted to the balances that others post to too."""
    for account in accounts:
        if not account.scope.startswith(OF_ONE_AGENT):
            tx.deferred(Spent).add(account, agent, amounts, measures, actions)


def _over(tx: Transaction, hold: Row, reserved: Amounts, posted: Amounts) -> Amounts:
    over = overshoot(reserved, posted)
    if over:
        tx.record(
            "budget.overshot",
            actor="plane",
            subject=f"decision/{hold.decision}",
            agent=hold.agent,
            run=hold.run,
            body={"over": over, "text": ", ".join(written(m, n) for m, n in over.items())},
        )
    return over


def _seen(amounts: Amounts) -> Amounts:
    return {measure: amount for measure, amount in amounts.items() if amount}


def reserved_of(hold: Row) -> Amounts:
    """Return what a hold has reserved, by measure."""
    return dict(zip(MEASURES, hold[_FIRST : _FIRST + len(MEASURES)], strict=True))


def posted_of(hold: Row) -> Amounts:
    """Return what a hold that has ended counts as, by measure."""
    return dict(zip(MEASURES, hold[_FIRST + len(MEASURES) :], strict=True))
