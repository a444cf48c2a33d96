"""Who holds which role now, for the load of each approver."""

from __future__ import annotations

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.oncall.model import ANYONE, OWNER
from watchkeeper.store.transaction import Transaction


def roles_held(tx: Transaction, catalogue: Catalogue) -> dict[str, frozenset[str]]:
    """Return the roles that each person whom a document names holds now, as members or on call."""
    rota = catalogue.rota.now(tx)
    named = set(catalogue.people).union(*(rota.people_of(role) for role in rota.roles))
    named |= {one.add for one in rota.standing if one.add is not None}
    return {
        person: rota.roles_of(person, owner=person == OWNER, at=tx.now)
        for person in sorted(named - {ANYONE})
    }
