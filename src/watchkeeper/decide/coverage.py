"""Who holds roles when: members by document, and whoever is on call."""

from __future__ import annotations

from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.oncall.model import ANYONE, Holders
from watchkeeper.store.transaction import Transaction


class RolesInForce:
    """Coverage of the roles that are in force now."""

    def __init__(self, view: CatalogueView) -> None:
        self._view = view

    def holders(self, tx: Transaction, role: str, at: int) -> Holders:
        """Return who holds a role at a time; one that nobody defined is held by nobody."""
        held = self._view.now.rota.now(tx).holders(role, at)
        return Holders(tuple(sorted(held - {ANYONE})), ANYONE in held)

    def next_change(self, tx: Transaction, at: int) -> int | None:
        """Return when somebody may next come on call; None: no schedule says."""
        return self._view.now.rota.now(tx).next_change(at)
