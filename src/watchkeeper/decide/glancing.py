"""The facts of a real decision, looked at without taking anything.

A dry run asks the same state as the transaction that decides; only budgets and rates, which
a permit spends, are looked at instead of spent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watchkeeper.budgets.model import Cap, Refused
from watchkeeper.budgets.room import find_room
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import NoRoom
from watchkeeper.decide.live import LiveFacts
from watchkeeper.identity.model import RunFacts
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.rates import service as rates
from watchkeeper.tools.rates.rules import Limit
from watchkeeper.wire.budgets import Measure


class GlancingFacts(LiveFacts):
    """The world as a reading transaction sees it; nothing is reserved or spent."""

    def __init__(self, tx: Transaction, catalogue: Catalogue, run: RunFacts) -> None:
        super().__init__(tx, catalogue, run, "")

    def pass_rates(self, limits: Sequence[Limit]) -> rates.TooSoon | None:
        """Return what a call would have to wait for now."""
        return rates.look(self._tx, limits)

    def reserve(
        self, caps: Sequence[Cap], amounts: Mapping[Measure, int], touches: str | None = None
    ) -> NoRoom | None:
        """Return the budget that would refuse now."""
        refused = find_room(
            self._tx,
            run=self.run.run,
            caps=caps,
            amounts=amounts,
            now=self.now,
            touches=touches,
        )
        if refused is None:
            return None
        return NoRoom(refused.budget_id, refused.sentence, refused.remedy, refused.measure)

    def refuse(self, refused: Refused) -> None:
        """Nothing is counted."""
