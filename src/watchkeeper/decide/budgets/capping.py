"""Changing caps: every view of them at once, and again after a restart."""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.budgets import changes
from watchkeeper.budgets.changes import ChangedCap
from watchkeeper.budgets.model import Cap
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.refreshing import Refreshing
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import CapChange


class Capping:
    """Changes caps; the deciding view knows of each change once it is durable."""

    def __init__(self, store: Store, view: CatalogueView) -> None:
        self._store = store
        self._view = view
        self._version = 0
        self._refreshing = Refreshing("changed caps", self.load)

    async def load(self) -> None:
        """Take over what is in the store; raise `Unavailable` if that can't be read."""
        while True:
            version = self._version
            found = await self._store.read(changes.changed_caps)
            if version == self._version:
                self._view.change_caps(found)
                return

    def follow(self) -> None:
        """Read the store again: time or another plane may have changed something."""
        self._refreshing.begin()

    async def stop(self) -> None:
        """Let go of what is still being read."""
        await self._refreshing.stop()

    def change_in(
        self, tx: Transaction, budget: str, change: CapChange, *, caps: tuple[Cap, ...], actor: str
    ) -> None:
        """Change a cap within a unit of work; `caps` are those that hold for the budget now.

        Raises `NotFound` where documents put no cap there, and as `budgets.changes.change_cap`.
        """
        if not caps:
            raise NotFound(
                f"no document puts a cap on {budget!r:.120}",
                where="budget",
                remedy="see `watchkeeper budgets list`, or apply a `budget` document",
            )
        changes.change_cap(
            tx,
            budget,
            change.cap,
            until=change.until,
            reason=change.reason,
            actor=actor,
            before=min(cap.cap for cap in caps),
        )
        known = changes.changed_caps(tx)
        tx.after_commit(lambda: self._put(known))

    def _put(self, known: Mapping[str, ChangedCap]) -> None:
        self._version += 1
        self._view.change_caps(known)
