"""What a run that is decided again uses of the budgets over it, counted apart from all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watchkeeper.budgets.filling import Level, account_of
from watchkeeper.budgets.history import by, sums_of
from watchkeeper.budgets.model import Account, Cap
from watchkeeper.decide.facts import NoRoom
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure

Amounts = Mapping[Measure, int]


class Balances:
    """Balances of a replay: what was posted before the run began, and what its steps use.

    Nothing is read from or written to the real ones while it is used.
    """

    def __init__(self, run: str, before: Mapping[Account, Amounts], *, changed: bool) -> None:
        self._run = run
        self._posted = {account: dict(amounts) for account, amounts in before.items()}
        self._objects: dict[Account, set[str]] = {}
        self._used: Amounts = {}
        self._held: tuple[Sequence[Cap], Amounts, str | None, int] | None = None
        self._changed = changed
        """Whether some budget is another than it was."""

    def begin(self, used: Amounts) -> None:
        """Begin a step, which came to use so much then; what is not said is used as asked."""
        self._used, self._held = used, None

    def levels(self, caps: Sequence[Cap], now: int) -> tuple[Level, ...]:
        """Return how full the replay made caps, in their order."""
        placed = [(cap, account_of(cap, run=self._run, now=now)) for cap in caps]
        return tuple(
            Level(cap, account, self._posted.get(account, {}).get(cap.measure, 0))
            for cap, account in placed
        )

    def find_room(
        self, caps: Sequence[Cap], amounts: Amounts, touches: str | None, now: int
    ) -> NoRoom | None:
        """Return the first cap without room for a step; else it can be posted.

        Room is needed for what it asks, and at least for what it came to use.
        """
        asked = {
            measure: max(most, self._used.get(measure, 0)) for measure, most in amounts.items()
        }
        used = {measure: self._used.get(measure, most) for measure, most in amounts.items()}
        for level in self.levels(caps, now):
            needed = asked[level.cap.measure]
            known = level.cap.measure == "objects" and touches in self._objects.get(
                level.account, ()
            )
            if not known and not level.has_room(needed):
                refused = level.refusal(needed, now)
                return NoRoom(refused.budget_id, refused.sentence, refused.remedy, refused.measure)
        self._held = (caps, used, touches, now)
        return None

    def assume(self, caps: Sequence[Cap], now: int) -> None:
        """Take it that a step that can't be decided again ran as it did."""
        wanted = [cap for cap in caps if cap.measure in self._used]
        self._held = (wanted, self._used, None, now)

    def post(self, cost_micros: int | None) -> None:
        """Count the step as one that ran, for what it would have cost."""
        if self._held is None:
            return
        caps, used, touches, now = self._held
        if cost_micros is not None and "spend" in used:
            used = {**used, "spend": cost_micros}
        for account, measure in dict.fromkeys(
            (account_of(cap, run=self._run, now=now), cap.measure)
            for cap in caps
            if cap.period != "invocation"
        ):
            amount = used.get(measure, 0)
            if measure == "objects" and touches is not None:
                seen = self._objects.setdefault(account, set())
                amount = 0 if touches in seen else amount
                seen.add(touches)
            posted = self._posted.setdefault(account, {})
            posted[measure] = posted.get(measure, 0) + amount

    def lifts(self, rule: str) -> bool:
        """Tell whether a refusal may be taken back that this rule came to."""
        return self._changed and rule.startswith("budget/")


def posted_by(
    tx: Transaction, caps: Sequence[Cap], *, run: str, at: int
) -> dict[Account, dict[Measure, int]]:
    """Return what balances under caps had posted by a time, as last copied before it."""
    accounts = {account_of(cap, run=run, now=at) for cap in caps}
    measures = {cap.measure for cap in caps}
    return {
        account: {measure: by(sums, measure, at) for measure in measures}
        for account, sums in sums_of(tx, accounts).items()
    }
