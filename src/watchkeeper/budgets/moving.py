"""What a batch holds and posts in each balance: looked at once, written once.

Nobody else changes a balance meanwhile: a batch is the only writer there is until it is committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import key_of
from watchkeeper.budgets.model import MEASURES, NO_CAP, Account
from watchkeeper.budgets.periods import HOUR_US
from watchkeeper.budgets.rules import Amounts, Drawn
from watchkeeper.budgets.tables import balances, spenders
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure

Standing = tuple[int, int, int, int]
"""What is posted, held and topped up of a measure, and the cap that was last applied."""
Standings = Mapping[Measure, Standing]


_UNKNOWN: dict[Measure, Standing] = {}


class _Moved:
    """What is not written of one balance."""

    __slots__ = ("caps", "held", "hour", "posted")

    def __init__(self) -> None:
        self.held: Amounts = {}
        self.posted: Amounts = {}
        self.caps: Amounts = {}
        self.hour: int | None = None
        """The clock hour that something was posted in."""


class Movements:
    """What the units of a batch held and posted, and how the balances stand with it."""

    table: ClassVar[str] = balances.name

    def __init__(self) -> None:
        self._moved: dict[Account, _Moved] = {}
        self._known: dict[Account, dict[Measure, Standing]] = {}

    def hold(
        self, tx: Transaction, wanted: Sequence[Drawn], asked: Amounts, measures: sql.Measures
    ) -> dict[Account, Standings]:
        """Hold amounts in the balances that have room; return how those stand then.

        What is told of each is the measures that have a cap there.
        """
        self._look(tx, wanted)
        found: dict[Account, Standings] = {}
        for account, limits, _ in wanted:
            known = self._known.get(account)
            if known is None:
                continue
            for measure, (room, _cap) in limits.items():
                posted, held, topped, _last = known[measure]
                if posted + held + asked[measure] > room + topped:
                    break
            else:
                moved = self._add(account, asked, measures)
                for measure, (_room, cap) in limits.items():
                    posted, held, topped, last = known[measure]
                    if cap.cap != last and cap.cap < NO_CAP:
                        moved.caps[measure] = cap.cap
                        known[measure] = (posted, held, topped, cap.cap)
                found[account] = {measure: known[measure] for measure in limits}
        return found

    def release(self, account: Account, amounts: Amounts, measures: sql.Measures) -> None:
        """Give back what was held in a balance."""
        self._add(account, {measure: -amounts[measure] for measure in measures}, measures)

    def post(
        self,
        tx: Transaction,
        account: Account,
        reserved: Amounts,
        posted: Amounts,
        measures: sql.Measures,
    ) -> None:
        """Release what was reserved in a balance, and post what was used."""
        hour = tx.now // HOUR_US
        before = self._moved.get(account)
        if before is not None and before.hour not in (None, hour):
            _write(tx.as_stored(), {account: self._moved.pop(account)})
        moved = self._of(account)
        moved.hour = hour
        known = self._known.get(account, _UNKNOWN)
        all_held, all_posted = moved.held, moved.posted
        for measure in measures:
            back, amount = reserved[measure], posted[measure]
            all_held[measure] = all_held.get(measure, 0) - back
            all_posted[measure] = all_posted.get(measure, 0) + amount
            if measure in known:
                was, held, topped, cap = known[measure]
                known[measure] = (was + amount, held - back, topped, cap)

    def write(self, tx: Transaction) -> None:
        """Write all that was moved."""
        _write(tx, self._moved)

    def _look(self, tx: Transaction, wanted: Sequence[Drawn]) -> None:
        """Read what is not known yet of the balances and of the measures that are capped."""
        new = [
            drawn
            for drawn in wanted
            if (known := self._known.get(drawn.account)) is None
            or not known.keys() >= drawn.limits.keys()
        ]
        for start in range(0, len(new), sql.MOST_AT_ONCE):
            some = new[start : start + sql.MOST_AT_ONCE]
            limited = {measure for drawn in some for measure in drawn.limits}
            measures = tuple(measure for measure in MEASURES if measure in limited)
            keys = sql.keyed([drawn.account for drawn in some])
            for row in sql.look_at(len(some), measures).all(tx.as_stored(), **keys):
                account = Account(*row[:3])
                known = self._known.setdefault(account, {})
                for place, measure in enumerate(measures):
                    if measure not in known:
                        first = 3 + 4 * place
                        posted, held, topped, cap = row[first : first + 4]
                        moved = self._moved.get(account)
                        if moved is not None:
                            posted += moved.posted.get(measure, 0)
                            held += moved.held.get(measure, 0)
                        known[measure] = (posted, held, topped, cap)

    def _add(self, account: Account, amounts: Amounts, measures: sql.Measures) -> _Moved:
        moved = self._of(account)
        known = self._known.get(account, _UNKNOWN)
        all_held = moved.held
        for measure in measures:
            amount = amounts[measure]
            all_held[measure] = all_held.get(measure, 0) + amount
            if measure in known:
                posted, held, topped, cap = known[measure]
                known[measure] = (posted, held + amount, topped, cap)
        return moved

    def _of(self, account: Account) -> _Moved:
        moved = self._moved.get(account)
        if moved is None:
            moved = self._moved[account] = _Moved()
        return moved


class Spent:
    """What agents posted in a batch to balances that others post to too."""

    table: ClassVar[str] = spenders.name

    def __init__(self) -> None:
        self._sums: dict[tuple[Account, str], Amounts] = {}
        self._actions: dict[tuple[Account, str], int] = {}

    def add(
        self, account: Account, agent: str, amounts: Amounts, measures: sql.Measures, actions: int
    ) -> None:
        """Add amounts, and how many actions they were of."""
        key = (account, agent)
        sums = self._sums.setdefault(key, {})
        for measure in measures:
            sums[measure] = sums.get(measure, 0) + amounts[measure]
        self._actions[key] = self._actions.get(key, 0) + actions

    def write(self, tx: Transaction) -> None:
        """Write all that was added."""
        sql.SPENT.run_many(
            tx,
            [
                {
                    **account._asdict(),
                    "agent": agent,
                    "actions": self._actions[account, agent],
                    **sql.named("amount", {**_NOTHING, **sums}, MEASURES),
                }
                for (account, agent), sums in self._sums.items()
            ],
        )


_NOTHING: Amounts = dict.fromkeys(MEASURES, 0)


def _write(tx: Transaction, all_moved: Mapping[Account, _Moved]) -> None:
    turned: list[dict[str, Any]] = []
    changes: dict[Statement, list[dict[str, Any]]] = {}
    for account, moved in all_moved.items():
        key: dict[str, Any] = {**key_of(account)}
        if moved.caps:
            capped = tuple(measure for measure in MEASURES if measure in moved.caps)
            values = key | sql.named("cap", moved.caps, capped)
            changes.setdefault(sql.caps_of(capped), []).append(values)
        if not any(moved.held.values()) and not any(moved.posted.values()):
            continue
        measures = tuple(measure for measure in MEASURES if measure in moved.held)
        values = key | sql.named("held", moved.held, measures)
        if moved.hour is None:
            changes.setdefault(sql.held_of(measures), []).append(values)
            continue
        turned.append(key | {"bucket_is": moved.hour})
        posted = {measure: moved.posted.get(measure, 0) for measure in measures}
        values |= sql.named("amount", posted, measures)
        changes.setdefault(sql.post_of(measures), []).append(values)
    sql.TURN.run_many(tx, turned)
    for statement, rows in changes.items():
        statement.run_many(tx, rows)
